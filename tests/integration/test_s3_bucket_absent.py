"""s3_bucket removes a bucket with content only by force, and says what it removed: against a real server, looked at with boto3."""

from __future__ import annotations

import concurrent.futures

from lib.s3_buckets import exists


def fill(s3, bucket_name):
    """1002 versions and 2 delete markers under awkward keys, and two unfinished uploads; more than one page."""
    s3.put_object(Bucket=bucket_name, Key="before/versioning", Body=b"0")
    s3.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    keys = ["a", "dir/", "dir/sub/b", "ü é", "line\nbreak", "q&<>\"'", "a b+c%20", "before/versioning"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3.put_object(Bucket=bucket_name, Key=f"many/{number:04}", Body=b"1"), range(993)))
    for key in keys:
        s3.put_object(Bucket=bucket_name, Key=key, Body=b"1")
    s3.delete_object(Bucket=bucket_name, Key="a")
    s3.delete_object(Bucket=bucket_name, Key="q&<>\"'")
    for key in ("up/load", "up"):
        upload = s3.create_multipart_upload(Bucket=bucket_name, Key=key)["UploadId"]
        s3.upload_part(Bucket=bucket_name, Key=key, UploadId=upload, PartNumber=1, Body=b"1")
    return {"versions": 1002, "delete_markers": 2, "multipart_uploads": 2}


def test_force(run_bucket, s3, bucket_name):
    run_bucket()
    counts = fill(s3, bucket_name)
    for check in (True, False):
        refused = run_bucket(state="absent", check=check, fails=True)
        assert "is not empty" in refused["msg"] and "force: true" in refused["msg"] and "'up" in refused["msg"]
        assert not refused["changed"] and exists(s3, bucket_name)
    words = ["remove 1002 versions, 2 delete markers, 2 multipart uploads", "delete bucket"]
    predicted = run_bucket(state="absent", force=True, check=True, diff=True)
    assert predicted["changes"] == words and predicted["removed"] == counts and predicted["diff"]["before"]["contents"] == counts
    assert s3.get_object(Bucket=bucket_name, Key="many/0992")["Body"].read() == b"1"
    done = run_bucket(state="absent", force=True, diff=True)
    assert done["changes"] == words and done["removed"] == counts and done["diff"] == predicted["diff"]
    assert not exists(s3, bucket_name)
    assert not run_bucket(state="absent", force=True)["changed"]
    run_bucket()  # nothing of the old content comes back
    assert "Versions" not in s3.list_object_versions(Bucket=bucket_name)


def test_an_upload_alone_is_content(run_bucket, s3, bucket_name):
    run_bucket()
    s3.create_multipart_upload(Bucket=bucket_name, Key="up")
    assert "1 multipart uploads" in run_bucket(state="absent", fails=True)["msg"]
    assert run_bucket(state="absent", force=True)["removed"]["multipart_uploads"] == 1


def test_locked_objects_stay(run_bucket, s3, bucket_name):
    run_bucket(object_lock=True)
    s3.put_object(Bucket=bucket_name, Key="free", Body=b"1")
    kept = s3.put_object(Bucket=bucket_name, Key="held", Body=b"1")["VersionId"]
    s3.put_object_legal_hold(Bucket=bucket_name, Key="held", VersionId=kept, LegalHold={"Status": "ON"})
    try:
        result = run_bucket(state="absent", force=True, fails=True)
        assert "'held'" in result["msg"] and "left 1 versions" in result["msg"]
        assert result["changed"] and result["removed"] == {"versions": 1, "delete_markers": 0, "multipart_uploads": 0}
        assert [entry["Key"] for entry in s3.list_object_versions(Bucket=bucket_name)["Versions"]] == ["held"]
    finally:
        s3.put_object_legal_hold(Bucket=bucket_name, Key="held", VersionId=kept, LegalHold={"Status": "OFF"})
