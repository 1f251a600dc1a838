# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server says of a bucket: one request per fact, in the form of the modules' options."""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_lifecycle import by_id, from_s3

# what HEAD answers has no body, so the status is the code; the named ones are what other requests say
MISSING = {"404", "NoSuchBucket", "NotFound"}


def _versioning(answer):
    return answer.get("Status", "disabled").lower()


def _tags(answer):
    return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", [])}


def _policy(answer):
    return json.loads(answer.get("Policy") or "{}")


def _lifecycle(answer):
    return by_id([from_s3(rule) for rule in answer.get("Rules", [])])


def _object_lock(answer):
    config = answer.get("ObjectLockConfiguration", {})
    retention = config.get("Rule", {}).get("DefaultRetention", {})
    found = {"enabled": config.get("ObjectLockEnabled") == "Enabled", "mode": (retention.get("Mode") or "none").lower()}
    found.update({key.lower(): retention[key] for key in ("Days", "Years") if retention.get(key)})
    return found


def _encryption(answer):
    for rule in answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", []):
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        return {
            "algorithm": default.get("SSEAlgorithm"),
            "kms_key_id": default.get("KMSMasterKeyID"),
            "bucket_key_enabled": bool(rule.get("BucketKeyEnabled")),
        }
    return {}


def _public_access(answer):
    config = answer.get("PublicAccessBlockConfiguration", {})
    names = {"block_public_acls": "BlockPublicAcls", "ignore_public_acls": "IgnorePublicAcls"}
    names.update(block_public_policy="BlockPublicPolicy", restrict_public_buckets="RestrictPublicBuckets")
    return {name: bool(config.get(key)) for name, key in names.items()}


def _location(answer):
    # the oldest region of AWS is an empty answer, and its second one has an alias: GetBucketLocation in AWS's reference
    return {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(answer.get("LocationConstraint"), answer.get("LocationConstraint"))


# fact -> the request, the codes that say "there is none", how to read the answer
FACTS = {
    "versioning": ("get_bucket_versioning", (), _versioning),
    "object_lock": ("get_object_lock_configuration", ("ObjectLockConfigurationNotFoundError",), _object_lock),
    "tags": ("get_bucket_tagging", ("NoSuchTagSet", "NoSuchTagSetError"), _tags),
    "lifecycle_rules": ("get_bucket_lifecycle_configuration", ("NoSuchLifecycleConfiguration",), _lifecycle),
    "policy": ("get_bucket_policy", ("NoSuchBucketPolicy",), _policy),
    "encryption": ("get_bucket_encryption", ("ServerSideEncryptionConfigurationNotFoundError",), _encryption),
    "public_access": ("get_public_access_block", ("NoSuchPublicAccessBlockConfiguration",), _public_access),
    "location": ("get_bucket_location", (), _location),
}


def read_fact(connection, bucket, fact):
    """Return `fact` (a key of FACTS) of `bucket`; the empty form where the bucket has none. Raises S3Error."""
    operation, none, convert = FACTS[fact]
    try:
        return convert(connection.call(f"read {fact} of bucket {bucket}", operation, Bucket=bucket))
    except S3Error as error:
        if error.code in none:
            return {} if fact == "public_access" else convert({})
        raise
    except ValueError:
        raise S3Error(f"cannot read {fact} of bucket {bucket} at {connection.where}: it answers with something else than JSON") from None


def bucket_exists(connection, bucket):
    """Return whether `bucket` is there and open to this identity. Raises S3Error, for example when it is someone else's."""
    try:
        connection.call(f"look for bucket {bucket}", "head_bucket", Bucket=bucket)
    except S3Error as error:
        if error.code in MISSING:
            return False
        if not error.code:  # no answer at all
            raise
        # HEAD refuses without words: ask for something that has them, or that this identity may read
        try:
            connection.call(f"look for bucket {bucket}", "get_bucket_versioning", Bucket=bucket)
        except S3Error as worded:
            if worded.code in MISSING:
                return False
            raise
    return True
