"""What the platform needs of an S3 server, tried with boto3 alone against the running object store: versions of objects.

Releases of S3-compatible servers break versioning now and then, so the test_s3_conformance files run against each version before it is
pinned: a failure here means that the version must not be. They use no module of the collection: what fails here is the server.
"""

from __future__ import annotations

from lib.s3_buckets import put, read, refused, versions


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
