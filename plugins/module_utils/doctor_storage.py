# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The object store: does MLflow's identity do its work in its bucket, is the bucket as it should be, is it closed to others."""

from __future__ import annotations

import os

from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotApplicable, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import environment, read, words
from ansible_collections.mlops.platform.plugins.module_utils.doctor_place import in_cluster, log_place, secret, secret_place, settings_place

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    boto3 = None

# the object of a probe: an upload in parts that is ended before it is an object, and so leaves no version
PROBE = "mlops-platform-doctor/probe"


def client(plan, env, keys, **config):
    """Return a boto3 client; `keys` is (access key, secret key), or None for nobody."""
    more = {"signature_version": UNSIGNED} if keys is None else {}
    given = {} if keys is None else {"aws_access_key_id": keys[0], "aws_secret_access_key": keys[1]}
    return boto3.client(
        "s3",
        endpoint_url=plan["object_store"].get("through") or plan["object_store"]["url"],
        region_name=plan["object_store"]["region"],
        verify=plan["object_store"].get("ca") or env.get("AWS_CA_BUNDLE") or None,
        config=Config(
            s3={"addressing_style": config.get("style") or "path"},
            request_checksum_calculation=config.get("checksum") or "when_required",
            response_checksum_validation="when_required",
            connect_timeout=4,
            read_timeout=6,
            retries={"max_attempts": 1},
            proxies={},
            **more,
        ),
        **given,
    )


def attempt(call, **arguments):
    """Make a call; return (its answer or None, the error's code or "", the server's words)."""
    try:
        return call(**arguments), "", ""
    except ClientError as problem:
        return None, str(problem.response["Error"].get("Code", "")), words(problem)
    except (BotoCoreError, ValueError) as problem:
        return None, type(problem).__name__, words(problem)


def probe(s3, bucket):
    """Begin an upload, send a part, and drop it; return (which step failed or "", code, words)."""
    begun, code, said = attempt(s3.create_multipart_upload, Bucket=bucket, Key=PROBE)
    if not begun:
        return "begin", code, said
    upload = {"Bucket": bucket, "Key": PROBE, "UploadId": begun["UploadId"]}
    _part, code, said = attempt(s3.upload_part, PartNumber=1, Body=b"doctor", **upload)
    _ended, not_ended, why = attempt(s3.abort_multipart_upload, **upload)
    return ("write", code, said) if code else ("end", not_ended, why) if not_ended else ("", "", "")


def look(plan):
    """Return the facts of this layer."""
    return ask(plan, environment(read(os.path.join(plan["data_dir"], "etc", "mlflow.env"))))


def ask(plan, env):
    """Return the facts of this layer; `env` is MLflow's environment."""
    if boto3 is None:
        raise NotChecked("this Python has no boto3: the platform's tools are missing")
    bucket = plan["object_store"]["bucket"]
    own = (
        env.get("AWS_ACCESS_KEY_ID") or secret(plan, "object_store_mlflow_access_key"),
        env.get("AWS_SECRET_ACCESS_KEY") or secret(plan, "object_store_mlflow_secret_key"),
    )
    mlflow = client(plan, env, own)
    facts = {
        "environment": {name: env[name] for name in env if name in KNOWN},
        "listed": attempt(mlflow.list_objects_v2, Bucket=bucket, MaxKeys=1)[1:],
    }
    if facts["listed"][0] in NO_ANSWER:
        return facts
    # first with the settings that are known to work, then with those that the server has
    facts["probe"] = probe(mlflow, bucket)
    style, checksum = env.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"), env.get("AWS_REQUEST_CHECKSUM_CALCULATION")
    if (style or "path", checksum or "when_supported") != ("path", "when_required"):
        facts["probe_as_set"] = probe(client(plan, env, own, style=style, checksum=checksum or "when_supported"), bucket)
    nobody = client(plan, env, None)
    facts["anonymous"] = attempt(nobody.list_objects_v2, Bucket=bucket, MaxKeys=1)[1:]
    if plan["object_store"]["has_admin"]:
        admin = client(plan, env, (secret(plan, "object_store_admin_access_key"), secret(plan, "object_store_admin_secret_key")))
        facts["admin"] = {
            name: attempt(getattr(admin, call), Bucket=bucket)
            for name, call in (
                ("bucket", "head_bucket"),
                ("versioning", "get_bucket_versioning"),
                ("lifecycle", "get_bucket_lifecycle_configuration"),
                ("policy", "get_bucket_policy"),
            )
        }
    return facts


KNOWN = (
    "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
    "MLFLOW_S3_ENDPOINT_URL",
)
NO_ANSWER = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "SSLError",
    "ProxyConnectionError",
    "ConnectionError",
)
REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "Forbidden", "InvalidToken")
MISSING = ("NoSuchBucket", "404", "NotFound")


def answered(facts):
    """Raise NotChecked where the object store gave no answer."""
    if facts["listed"][0] in NO_ANSWER:
        raise NotChecked("the object store does not answer")


def identity(plan, facts):
    """MLflow's identity reads and writes in its bucket."""
    store = plan["object_store"]
    code, said = facts["listed"]
    if code in NO_ANSWER:
        service = "object-store" if in_cluster(plan) else "seaweedfs"
        own = f"; {log_place(plan, service)} says why it does not run" if store["engine"] != "external" else ""
        yield error(
            "s3-unreachable",
            f"the object store does not answer at {store['url']}",
            UP + own if own else "start that server, or correct object_store_external_url",
            said,
        )
    # who may only use its own bucket is not told that another one is missing
    elif code in MISSING or facts.get("admin", {}).get("bucket", ("", "", ""))[1] in MISSING:
        yield error(
            "bucket-missing",
            f"there is no bucket {store['bucket']} (object_store_bucket)",
            f"{UP} makes it; its content comes from a backup: make restore",
            said,
        )
    elif code in REFUSED:
        yield error(
            "s3-identity-refused",
            f"the object store refuses MLflow's identity in the bucket {store['bucket']}",
            f"{UP} gives both the keys in {secret_place(plan, 'object_store_mlflow_*')}; for an external server correct"
            " object_store_mlflow_secret_key",
            said,
        )
    elif code:
        yield error(
            "s3-failing",
            f"the object store answers MLflow's identity with {code}",
            "read its log, and that of PostgreSQL, which has its names",
            said,
        )
    elif facts["probe"][0]:
        yield error(
            "s3-unwritable",
            f"MLflow's identity cannot write in the bucket {store['bucket']} (at the step: {facts['probe'][0]})",
            f"give it the right to write, and the disk of the object store room above mlops_reserve_mb; then {UP}",
            facts["probe"][2],
        )


def settings(plan, facts):
    """boto3's checksums and addresses are those that every S3 server takes."""
    answered(facts)
    env = facts["environment"]
    if not env:
        raise NotChecked(f"{settings_place(plan)} cannot be read")
    # where the plain way fails too, it is not for these
    fails = facts.get("probe_as_set", ("", "", ""))[0] and not facts["probe"][0]
    make, said = (error, facts["probe_as_set"][2]) if fails else (warning, "")
    checksum = env.get("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    if checksum != "when_required":
        yield make(
            "s3-checksum",
            f"MLflow sends checksums that some S3 servers mishandle: AWS_REQUEST_CHECKSUM_CALCULATION is {checksum}",
            f"take it out of mlflow_environment (it should be when_required), then {UP}",
            said,
        )
    style = env.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
    if style != "path":
        yield make(
            "s3-path-style",
            f"MLflow puts the bucket's name into the host's: MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE is {style}",
            f"take it out of mlflow_environment (it should be path), then {UP}",
            said,
        )


def bucket_settings(plan, facts):
    """Replaced and deleted objects are kept, and for as long as they should."""
    answered(facts)
    if "admin" not in facts:
        raise NotApplicable("the bucket of this external object store is its owner's: object_store_admin_access_key is not set")
    name = plan["object_store"]["bucket"]
    code, said = facts["admin"]["bucket"][1:]
    if code in REFUSED:
        yield error(
            "s3-admin-refused",
            "the object store refuses its administrator",
            f"{UP} gives it the keys in {secret_place(plan, 'object_store_admin_*')}; else correct those of the variables",
            said,
        )
        return
    if code:
        raise NotChecked(f"the bucket {name}: {code}")
    versioning, code, said = facts["admin"]["versioning"]
    if versioning is not None and versioning.get("Status") != "Enabled":
        yield error(
            "versioning-suspended",
            f"the bucket {name} keeps no versions ({versioning.get('Status') or 'never enabled'}): what is deleted is gone",
            f"{UP} enables it",
        )
    lifecycle, code, said = facts["admin"]["lifecycle"]
    if code == "NoSuchLifecycleConfiguration" or (lifecycle is not None and not noncurrent(lifecycle)):
        yield warning(
            "lifecycle-missing",
            f"the bucket {name} has no rule that removes old versions: it grows for ever",
            f"{UP} writes it (object_store_noncurrent_days)",
            said,
        )
    policy, code, said = facts["admin"]["policy"]
    if plan["object_store"]["engine"] == "seaweedfs" and (
        code == "NoSuchBucketPolicy" or (policy is not None and "MlflowKeepsVersions" not in policy["Policy"])
    ):
        what = f"the bucket {name} has no policy that keeps MLflow from deleting versions"
        yield error("bucket-policy-missing", what, f"{UP} writes it", said)


def noncurrent(lifecycle):
    """Return whether a rule ends old versions."""
    return any(rule.get("Status") == "Enabled" and rule.get("NoncurrentVersionExpiration") for rule in lifecycle.get("Rules", []))


def strangers(plan, facts):
    """Nobody gets in without a signature."""
    answered(facts)
    if facts["anonymous"][0] in MISSING:
        raise NotChecked("there is no bucket")
    if not facts["anonymous"][0]:
        yield error(
            "s3-anonymous",
            f"anybody who reaches {plan['object_store']['url']} can list the bucket {plan['object_store']['bucket']} without a login",
            f"remove the identity `anonymous` and any policy with Principal *; {UP} writes both anew",
        )


CHECKS = [
    Check("object-store", "storage", identity),
    Check("object-store-settings", "storage", settings),
    Check("bucket", "storage", bucket_settings),
    Check("object-store-closed", "storage", strangers),
]
