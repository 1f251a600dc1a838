"""What the platform needs of an S3 server (see test_s3_conformance.py): who gets in, and what cannot be destroyed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest
from botocore import UNSIGNED
from lib import platform_clients as clients
from lib.s3_buckets import put, read, refused, versions


def test_presigned_urls(s3_connection, s3, bucket):
    def fetch(url, method="GET", data=None):
        # the scheme is the endpoint's own: http or https
        # an empty type, or urllib adds one of its own, which is part of what is signed
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": ""})  # noqa: S310
        with urllib.request.urlopen(request, context=tls_context(s3_connection)) as answer:  # noqa: S310
            return answer.read()

    target = {"Bucket": bucket, "Key": "signed"}
    fetch(s3.generate_presigned_url("put_object", Params=target, ExpiresIn=60), "PUT", b"by URL")
    url = s3.generate_presigned_url("get_object", Params=target, ExpiresIn=60)
    assert fetch(url) == b"by URL"
    for broken in (url.replace("signed", "other"), url[:-4] + ("0000" if not url.endswith("0000") else "1111")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(broken)
        assert caught.value.code == 403


def tls_context(connection):
    import ssl

    return ssl.create_default_context(cafile=connection.get("ca_bundle")) if connection["endpoint_url"].startswith("https") else None


def test_nobody_gets_in_without_a_valid_signature(s3_connection, s3, bucket):
    put(s3, bucket, "private", b"secret")
    strangers = [
        clients.s3(s3_connection, signature_version=UNSIGNED),
        clients.s3({**s3_connection, "secret_key": "wrong" * 8}),
        clients.s3({**s3_connection, "access_key": "AKIANOBODYATALL00000"}),
    ]
    for stranger in strangers:
        for call in (
            lambda who=stranger: read(who, bucket, "private"),
            lambda who=stranger: who.list_objects_v2(Bucket=bucket),
            lambda who=stranger: who.list_buckets(),
            lambda who=stranger: put(who, bucket, "private", b"changed"),
            lambda who=stranger: who.delete_object(Bucket=bucket, Key="private"),
            lambda who=stranger: who.delete_bucket(Bucket=bucket),
        ):
            refused(call, "403")
    assert read(s3, bucket, "private") == b"secret"


def test_a_bucket_policy_denies_what_it_names_and_nothing_else(s3, bucket):
    put(s3, bucket, "closed/a", b"a")
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/closed/*"}],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Effect"] == "Deny"
    refused(lambda: put(s3, bucket, "closed/a", b"b"), "AccessDenied", "403")
    assert read(s3, bucket, "closed/a") == b"a"
    put(s3, bucket, "open/a", b"b")
    s3.delete_bucket_policy(Bucket=bucket)
    refused(lambda: s3.get_bucket_policy(Bucket=bucket), "NoSuchBucketPolicy")
    put(s3, bucket, "closed/a", b"b")


def test_tags_of_buckets_and_objects(s3, versioned):
    tags = [{"Key": "team", "Value": "ml ops/ü + 1"}, {"Key": "empty", "Value": ""}]

    def by_key(tag):
        return tag["Key"]

    s3.put_bucket_tagging(Bucket=versioned, Tagging={"TagSet": tags})
    assert sorted(s3.get_bucket_tagging(Bucket=versioned)["TagSet"], key=by_key) == sorted(tags, key=by_key)
    s3.delete_bucket_tagging(Bucket=versioned)
    refused(lambda: s3.get_bucket_tagging(Bucket=versioned), "NoSuchTagSet")
    put(s3, versioned, "tagged", b"x", Tagging="stage=dev")
    assert s3.get_object_tagging(Bucket=versioned, Key="tagged")["TagSet"] == [{"Key": "stage", "Value": "dev"}]
    s3.put_object_tagging(Bucket=versioned, Key="tagged", Tagging={"TagSet": [{"Key": "stage", "Value": "prod"}]})
    assert s3.get_object_tagging(Bucket=versioned, Key="tagged")["TagSet"] == [{"Key": "stage", "Value": "prod"}]
    assert len(versions(s3, versioned)[0]) == 1, "tagging made a new version"


def test_lifecycle_rules_are_kept_as_given(s3, versioned):
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=versioned, LifecycleConfiguration={"Rules": [rule]})
    (stored,) = s3.get_bucket_lifecycle_configuration(Bucket=versioned)["Rules"]
    assert {key: stored[key] for key in ("ID", "Status", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")} == {
        key: rule[key] for key in ("ID", "Status", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    }
    s3.delete_bucket_lifecycle(Bucket=versioned)
    refused(lambda: s3.get_bucket_lifecycle_configuration(Bucket=versioned), "NoSuchLifecycleConfiguration")


def runs_seaweedfs(s3, bucket):
    server = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return server.lower().startswith("seaweedfs")


@pytest.fixture
def encrypted(s3, bucket):
    """A bucket with default encryption, where the server has it."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    try:
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    except s3.exceptions.ClientError as error:
        # the platform's own has a key; another one may say that it has none
        assert not runs_seaweedfs(s3, bucket)
        pytest.skip(f"the server has no default encryption: {error}")
    return bucket


def test_default_encryption_does_not_stop_writes(s3, encrypted):
    """SeaweedFS without a key accepts the setting, and then answers 500 to every write."""
    (stored,) = s3.get_bucket_encryption(Bucket=encrypted)["ServerSideEncryptionConfiguration"]["Rules"]
    assert stored["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    for key, body in {"small": b"encrypted", "medium": bytes(range(256)) * 4096}.items():
        put(s3, encrypted, key, body)
        answer = s3.get_object(Bucket=encrypted, Key=key)
        assert answer["ServerSideEncryption"] == "AES256"
        assert answer["Body"].read() == body
    s3.delete_bucket_encryption(Bucket=encrypted)
    put(s3, encrypted, "plain", b"plain")
    assert read(s3, encrypted, "plain") == b"plain"


def test_a_large_encrypted_object_is_read_back(s3, encrypted, request):
    """One of several pieces: SeaweedFS cuts at 4 MiB."""
    if runs_seaweedfs(s3, encrypted):
        # strict: the release that mends it is noticed
        gap = "SeaweedFS asks its volume servers without TLS for the pieces of an encrypted object, which ours refuse: GET answers 500"
        request.applymarker(pytest.mark.xfail(strict=True, reason=gap))
    body = bytes(range(256)) * 20_480
    put(s3, encrypted, "large", body)
    assert read(s3, encrypted, "large") == body


def test_object_lock_keeps_a_version_until_it_is_released(s3, make_bucket):
    locked = make_bucket(ObjectLockEnabledForBucket=True)
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    until = datetime.now(timezone.utc) + timedelta(days=1)
    version = put(s3, locked, "held", b"held", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    refused(lambda: s3.delete_object(Bucket=locked, Key="held", VersionId=version), "AccessDenied", "403")
    free = put(s3, locked, "legal", b"x")["VersionId"]
    s3.put_object_legal_hold(Bucket=locked, Key="legal", VersionId=free, LegalHold={"Status": "ON"})
    refused(lambda: s3.delete_object(Bucket=locked, Key="legal", VersionId=free), "AccessDenied", "403")
    s3.put_object_legal_hold(Bucket=locked, Key="legal", VersionId=free, LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=locked, Key="legal", VersionId=free)
    assert read(s3, locked, "held", VersionId=version) == b"held"
    refused(lambda: s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"}), "InvalidBucketState", "409")
    s3.delete_object(Bucket=locked, Key="held", VersionId=version, BypassGovernanceRetention=True)


def test_a_bucket_with_objects_is_not_deleted(s3, bucket):
    put(s3, bucket, "dir/kept", b"kept")
    refused(lambda: s3.delete_bucket(Bucket=bucket), "BucketNotEmpty", "409")
    assert read(s3, bucket, "dir/kept") == b"kept"


def test_a_bucket_with_versions_is_not_deleted(s3, versioned, request):
    if runs_seaweedfs(s3, versioned):
        # strict: the release that mends it is noticed, and the guard in front of it can go
        gap = "SeaweedFS deletes versions with their bucket, also with -s3.allowDeleteBucketNotEmpty=false"
        request.applymarker(pytest.mark.xfail(strict=True, reason=gap))
    put(s3, versioned, "kept", b"kept")
    s3.delete_object(Bucket=versioned, Key="kept")
    refused(lambda: s3.delete_bucket(Bucket=versioned), "BucketNotEmpty", "409")
    assert len(versions(s3, versioned)[0]) == 1


def test_a_policy_protects_a_bucket_from_deletion_even_by_an_administrator(s3, versioned):
    put(s3, versioned, "kept", b"kept")
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{versioned}"}
    s3.put_bucket_policy(Bucket=versioned, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    refused(lambda: s3.delete_bucket(Bucket=versioned), "AccessDenied", "403")
    assert read(s3, versioned, "kept") == b"kept"
    s3.delete_bucket_policy(Bucket=versioned)
