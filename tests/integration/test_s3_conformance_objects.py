"""What the platform needs of an S3 server (see test_s3_conformance.py): uploads, reads, lists and copies."""

from __future__ import annotations

import base64
import hashlib
import zlib

from lib import platform_clients as clients
from lib.s3_buckets import put, read, refused

PART = 5 * 1024 * 1024  # the smallest part that S3 allows, except for the last one


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
    eager = clients.s3(s3_connection, request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
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
