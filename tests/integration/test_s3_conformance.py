"""What the platform needs of an S3 server, tried with boto3 alone against the running object store.

Releases of S3-compatible servers break versioning now and then, so this runs against each version before it is pinned: a failure here
means that the version must not be. It uses no module of the collection: what fails here is the server.
"""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
import uuid
import zlib
from datetime import datetime, timedelta, timezone

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

PART = 5 * 1024 * 1024  # the smallest part that S3 allows, except for the last one


def make_client(connection, **overrides):
    options = {
        "signature_version": "s3v4",  # presigned URLs for endpoints other than AWS would still be version 2
        "s3": {"addressing_style": connection.get("addressing_style") or "path"},
        "retries": {"max_attempts": 1},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    options.update(overrides)
    return boto3.client(
        "s3",
        endpoint_url=connection["endpoint_url"],
        aws_access_key_id=connection["access_key"],
        aws_secret_access_key=connection["secret_key"],
        region_name=connection.get("region") or "us-east-1",
        verify=connection.get("ca_bundle") or connection.get("validate_certs", True),
        config=Config(**options),
    )


def remove_bucket(client, name):
    """Deletes a bucket with every version, delete marker and open upload in it; governance locks are bypassed."""
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            client.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True)
    client.delete_bucket(Bucket=name)


@pytest.fixture(scope="module")
def s3(s3_connection):
    return make_client(s3_connection)


@pytest.fixture
def make_bucket(s3):
    names = []

    def make(**options):
        name = f"conformance-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(Bucket=name, **options)
        names.append(name)
        return name

    yield make
    existing = {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    for name in names:
        if name in existing:
            remove_bucket(s3, name)


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture
def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(s3, bucket, key, body, **options):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **options)


def read(s3, bucket, key, **options):
    return s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


def versions(s3, bucket, key=""):
    answer = s3.list_object_versions(Bucket=bucket, Prefix=key)
    return answer.get("Versions", []), answer.get("DeleteMarkers", [])


def refused(call, *codes):
    """The call fails with one of the codes (S3's name or the HTTP status)."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    assert error["Error"]["Code"] in codes or str(error["ResponseMetadata"]["HTTPStatusCode"]) in codes, error["Error"]


# ---- versioning ----------------------------------------------------------------------------------------------------------------------


def test_versioning_is_off_then_enabled_then_suspended(s3, bucket):
    assert s3.get_bucket_versioning(Bucket=bucket).get("Status") is None
    for status in ("Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_every_overwrite_keeps_the_version_before_it(s3, versioned):
    ids = [put(s3, versioned, "dir/model", body)["VersionId"] for body in (b"one", b"two", b"three")]
    assert len(set(ids)) == 3
    assert read(s3, versioned, "dir/model") == b"three"
    assert [read(s3, versioned, "dir/model", VersionId=one) for one in ids] == [b"one", b"two", b"three"]
    listed, markers = versions(s3, versioned)
    assert [entry["VersionId"] for entry in listed] == ids[::-1], "versions are not listed newest first"
    assert [entry["IsLatest"] for entry in listed] == [True, False, False]
    assert markers == []


def test_a_delete_leaves_a_marker_and_removing_the_marker_restores(s3, versioned):
    version = put(s3, versioned, "model", b"kept")["VersionId"]
    answer = s3.delete_object(Bucket=versioned, Key="model")
    assert answer["DeleteMarker"] is True
    refused(lambda: read(s3, versioned, "model"), "NoSuchKey")
    refused(lambda: s3.head_object(Bucket=versioned, Key="model"), "404")
    assert s3.list_objects_v2(Bucket=versioned).get("Contents", []) == []
    assert read(s3, versioned, "model", VersionId=version) == b"kept"
    listed, markers = versions(s3, versioned, "model")
    assert [(entry["VersionId"], entry["IsLatest"]) for entry in listed] == [(version, False)]
    assert [(entry["VersionId"], entry["IsLatest"]) for entry in markers] == [(answer["VersionId"], True)]
    s3.delete_object(Bucket=versioned, Key="model", VersionId=answer["VersionId"])
    assert read(s3, versioned, "model") == b"kept"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=versioned)["Contents"]] == ["model"]


def test_deleting_the_latest_version_uncovers_the_one_before(s3, versioned):
    first = put(s3, versioned, "model", b"first")["VersionId"]
    second = put(s3, versioned, "model", b"second")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="model", VersionId=second)
    assert read(s3, versioned, "model") == b"first"
    refused(lambda: read(s3, versioned, "model", VersionId=second), "NoSuchVersion", "404")
    assert [entry["VersionId"] for entry in versions(s3, versioned)[0]] == [first]


def test_an_older_version_is_restored_by_a_copy(s3, versioned):
    old = put(s3, versioned, "model", b"good", Metadata={"run": "17"})["VersionId"]
    put(s3, versioned, "model", b"bad")
    s3.copy_object(Bucket=versioned, Key="model", CopySource={"Bucket": versioned, "Key": "model", "VersionId": old})
    assert read(s3, versioned, "model") == b"good"
    assert s3.head_object(Bucket=versioned, Key="model")["Metadata"] == {"run": "17"}
    assert len(versions(s3, versioned)[0]) == 3


def test_suspended_versioning_overwrites_only_the_null_version(s3, versioned):
    kept = put(s3, versioned, "model", b"kept")["VersionId"]
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    put(s3, versioned, "model", b"null one")
    put(s3, versioned, "model", b"null two")
    assert read(s3, versioned, "model") == b"null two"
    assert read(s3, versioned, "model", VersionId=kept) == b"kept"
    assert sorted(entry["VersionId"] for entry in versions(s3, versioned)[0]) == sorted(["null", kept])


def test_objects_from_before_versioning_become_the_null_version(s3, bucket):
    put(s3, bucket, "model", b"before")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    after = put(s3, bucket, "model", b"after")["VersionId"]
    assert read(s3, bucket, "model") == b"after"
    assert read(s3, bucket, "model", VersionId="null") == b"before"
    assert {entry["VersionId"] for entry in versions(s3, bucket)[0]} == {"null", after}


def test_the_list_of_versions_is_paged_without_loss(s3, versioned):
    expected = set()
    for key in ("a", "b/1", "b/2", "c"):
        expected.update((key, put(s3, versioned, key, body)["VersionId"]) for body in (b"1", b"2"))
        expected.add((key, s3.delete_object(Bucket=versioned, Key=key)["VersionId"]))
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": 2}):
        found += [(entry["Key"], entry["VersionId"]) for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == expected


def test_a_bulk_delete_makes_markers_and_removes_named_versions(s3, versioned):
    ids = {key: put(s3, versioned, key, b"x")["VersionId"] for key in ("a", "b", "c")}
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "a"}, {"Key": "b", "VersionId": ids["b"]}]})
    assert answer.get("Errors", []) == []
    listed, markers = versions(s3, versioned)
    assert {(entry["Key"], entry["VersionId"]) for entry in listed} == {("a", ids["a"]), ("c", ids["c"])}
    assert [entry["Key"] for entry in markers] == ["a"]


# ---- uploads and reads ---------------------------------------------------------------------------------------------------------------


def test_a_multipart_upload_of_two_parts(s3, versioned):
    parts = [b"a" * PART, b"the end"]
    upload = s3.create_multipart_upload(Bucket=versioned, Key="big")["UploadId"]
    done = []
    for number, body in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=versioned, Key="big", UploadId=upload, PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    listed = s3.list_parts(Bucket=versioned, Key="big", UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, 7)]
    refused(lambda: read(s3, versioned, "big"), "NoSuchKey")
    s3.complete_multipart_upload(Bucket=versioned, Key="big", UploadId=upload, MultipartUpload={"Parts": done})
    assert read(s3, versioned, "big") == b"".join(parts)
    assert s3.head_object(Bucket=versioned, Key="big")["ETag"].strip('"').endswith("-2")
    assert s3.list_multipart_uploads(Bucket=versioned).get("Uploads", []) == []


def test_an_aborted_multipart_upload_leaves_nothing(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="gone")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="gone", UploadId=upload, PartNumber=1, Body=b"x")
    assert [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    s3.abort_multipart_upload(Bucket=bucket, Key="gone", UploadId=upload)
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    refused(lambda: s3.list_parts(Bucket=bucket, Key="gone", UploadId=upload), "NoSuchUpload")
    assert s3.list_objects_v2(Bucket=bucket).get("Contents", []) == []


def test_range_reads(s3, bucket):
    body = bytes(range(256)) * 20
    put(s3, bucket, "ranged", body)
    for spec, expected in (
        ("bytes=0-0", body[:1]),
        ("bytes=100-299", body[100:300]),
        ("bytes=5000-", body[5000:]),
        ("bytes=-7", body[-7:]),
    ):
        answer = s3.get_object(Bucket=bucket, Key="ranged", Range=spec)
        assert answer["Body"].read() == expected, spec
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused(lambda: s3.get_object(Bucket=bucket, Key="ranged", Range="bytes=9999-"), "InvalidRange", "416")


def test_odd_keys_and_the_empty_object(s3, bucket):
    keys = ["a b+c", "ü/日本.bin", "per%20cent", "q?a=1&b=2", "'\"<>~!@$^*()"]
    for key in keys:
        put(s3, bucket, key, key.encode())
    put(s3, bucket, "empty", b"")
    assert [read(s3, bucket, key) for key in keys] == [key.encode() for key in keys]
    assert read(s3, bucket, "empty") == b""
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {*keys, "empty"}


def test_listing_with_prefix_delimiter_and_pages(s3, bucket):
    for key in ("1/a/x", "1/a/y", "1/b", "2/c"):
        put(s3, bucket, key, b"x")
    answer = s3.list_objects_v2(Bucket=bucket, Prefix="1/", Delimiter="/")
    assert [entry["Key"] for entry in answer["Contents"]] == ["1/b"]
    assert [entry["Prefix"] for entry in answer["CommonPrefixes"]] == ["1/a/"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == ["1/a/x", "1/a/y", "1/b", "2/c"]


def test_checksums_are_stored_and_a_wrong_one_is_refused(s3, bucket):
    body = b"checked" * 1000
    good = {
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        "ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
    }
    for name, value in good.items():
        put(s3, bucket, name, body, **{name: value})
        assert s3.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")[name] == value
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    refused(lambda: put(s3, bucket, "bad", body, ChecksumSHA256=wrong), "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "400")
    content_md5 = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    refused(lambda: put(s3, bucket, "bad", body, ContentMD5=content_md5), "BadDigest", "InvalidDigest", "400")
    assert "bad" not in {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}


def test_the_checksums_that_boto3_sends_by_default(s3_connection, bucket):
    eager = make_client(s3_connection, request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
    put(eager, bucket, "default", b"x" * 100_000)
    assert read(eager, bucket, "default") == b"x" * 100_000


def test_conditional_puts_and_reads(s3, bucket):
    tag = put(s3, bucket, "lock", b"mine", IfNoneMatch="*")["ETag"]
    refused(lambda: put(s3, bucket, "lock", b"theirs", IfNoneMatch="*"), "PreconditionFailed", "412")
    refused(lambda: put(s3, bucket, "lock", b"theirs", IfMatch='"00000000000000000000000000000000"'), "PreconditionFailed", "412")
    assert read(s3, bucket, "lock") == b"mine"
    put(s3, bucket, "lock", b"still mine", IfMatch=tag)
    assert read(s3, bucket, "lock") == b"still mine"
    refused(lambda: s3.get_object(Bucket=bucket, Key="lock", IfMatch=tag), "PreconditionFailed", "412")
    current = s3.head_object(Bucket=bucket, Key="lock")["ETag"]
    refused(lambda: s3.get_object(Bucket=bucket, Key="lock", IfNoneMatch=current), "304")


def test_copies_keep_or_replace_metadata(s3, bucket, make_bucket):
    other = make_bucket()
    put(s3, bucket, "source", b"copied", Metadata={"run": "1"}, ContentType="text/x-model")
    s3.copy_object(Bucket=other, Key="kept", CopySource={"Bucket": bucket, "Key": "source"})
    s3.copy_object(
        Bucket=other, Key="replaced", CopySource={"Bucket": bucket, "Key": "source"}, MetadataDirective="REPLACE", Metadata={"run": "2"}
    )
    kept, replaced = (s3.head_object(Bucket=other, Key=key) for key in ("kept", "replaced"))
    assert (kept["Metadata"], kept["ContentType"]) == ({"run": "1"}, "text/x-model")
    assert replaced["Metadata"] == {"run": "2"}
    assert read(s3, other, "kept") == read(s3, other, "replaced") == b"copied"


# ---- access --------------------------------------------------------------------------------------------------------------------------


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
        make_client(s3_connection, signature_version=UNSIGNED),
        make_client({**s3_connection, "secret_key": "wrong" * 8}),
        make_client({**s3_connection, "access_key": "AKIANOBODYATALL00000"}),
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


# ---- attributes ----------------------------------------------------------------------------------------------------------------------


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
    server = s3.head_bucket(Bucket=versioned)["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    if server.lower().startswith("seaweedfs"):
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
