"""s3_bucket_info against a real server, with buckets that boto3 made."""

from __future__ import annotations

import datetime
import json
import uuid

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_facts import FACTS
from ansible_collections.mlops.platform.plugins.module_utils.s3_read import QUERIES, Reader
from lib.modules import run_module


@pytest.fixture(scope="module")
def buckets(s3):
    """Two buckets whose names begin alike: one with every setting, one with none."""
    stem = f"it-{uuid.uuid4().hex[:12]}"
    full, bare = f"{stem}-full", f"{stem}-bare"
    s3.create_bucket(Bucket=full, ObjectLockEnabledForBucket=True)
    s3.create_bucket(Bucket=bare)
    try:
        settle(s3, full)
        yield stem, full, bare
    finally:
        s3.delete_bucket(Bucket=full)
        s3.delete_bucket(Bucket=bare)


def settle(s3, full):
    """Give the bucket every setting; its policy forbids nothing that its deletion needs."""
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}}
    s3.put_object_lock_configuration(Bucket=full, ObjectLockConfiguration=lock)
    s3.put_bucket_tagging(Bucket=full, Tagging={"TagSet": [{"Key": "ü", "Value": "a + b"}, {"Key": "e", "Value": ""}]})
    rules = [
        {
            "ID": "r",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}]}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
        },
        {"ID": "m", "Status": "Disabled", "Filter": {"Prefix": "x"}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=full, LifecycleConfiguration={"Rules": rules})
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketVersioning", "Resource": f"arn:aws:s3:::{full}"}
    s3.put_bucket_policy(Bucket=full, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.fixture(scope="module")
def info(s3_connection):
    def go(**options):
        result = run_module("s3_bucket_info", {**s3_connection, **options})
        assert not result.get("failed") and result["changed"] is False, result
        return result["buckets"]

    return go


def test_default_of_one_bucket(info, buckets):
    assert info(name=buckets[1]) == [{"name": buckets[1], "creation_date": None, "versioning": "enabled", "unavailable": {}}]


def test_a_bucket_that_is_not_there(info):
    assert info(name="it-is-not-there") == []
    assert info(prefix="it-is-not-there") == []


def test_by_prefix(info, buckets):
    stem, full, bare = buckets
    found = info(prefix=stem, gather=[])
    assert [bucket["name"] for bucket in found] == [bare, full]
    assert all(set(bucket) == {"name", "creation_date", "unavailable"} for bucket in found)
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(found[0]["creation_date"])
    assert abs(age) < datetime.timedelta(days=1)


def test_all_buckets(info, buckets, s3):
    found = [bucket["name"] for bucket in info(gather=[])]
    assert set(buckets[1:]) <= set(found) and found == sorted(found)


def test_all_facts(info, buckets):
    _stem, full, bare = buckets
    (found,) = info(name=full, gather=["all"])
    assert set(found) == {"name", "creation_date", "unavailable", *FACTS}
    assert found["versioning"] == "enabled"
    assert found["object_lock"] == {"enabled": True, "mode": "governance", "days": 2}
    assert found["tags"] == {"ü": "a + b", "e": ""}
    assert found["lifecycle_rules"] == [
        {"id": "m", "enabled": False, "prefix": "x", "expired_object_delete_marker": True},
        {
            "id": "r",
            "enabled": True,
            "prefix": "p",
            "tags": {"k": "v"},
            "noncurrent_version_expiration_days": 3,
            "newer_noncurrent_versions": 2,
        },
    ]
    assert found["policy"]["Statement"][0]["Action"] == "s3:PutBucketVersioning"
    (found,) = info(name=bare, gather=["all"])
    assert found["versioning"] == "disabled" and found["object_lock"] == {"enabled": False, "mode": "none"}
    assert found["tags"] == found["policy"] == found["encryption"] == {} and found["lifecycle_rules"] == []
    assert found["location"]


def test_a_feature_that_the_server_lacks_is_no_failure(info, buckets, s3):
    try:
        s3.get_public_access_block(Bucket=buckets[2])
        lacking = False
    except s3.exceptions.ClientError as error:
        lacking = error.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    (found,) = info(name=buckets[2], gather=["public_access", "tags"])
    assert found["tags"] == {}
    assert found["unavailable"] == ({"public_access": "not_implemented"} if lacking else {})
    assert (found["public_access"] is None) is lacking


def test_the_quick_reader_answers_as_botocore_does(buckets, s3, s3_connection):
    keys = (s3_connection["access_key"], s3_connection["secret_key"], None)
    reader = Reader(s3_connection["endpoint_url"], s3_connection["region"], keys, s3_connection.get("ca_bundle"), True)
    compared = 0
    for bucket in (*buckets[1:], "it-is-not-there"):
        for operation in QUERIES:
            try:
                expected, code = getattr(s3, operation)(Bucket=bucket), ""
                expected = {
                    key: value
                    for key, value in expected.items()
                    if key in ("Status", "TagSet", "Policy", "Rules", "ObjectLockConfiguration")
                }
            except s3.exceptions.ClientError as error:
                expected, code = None, error.response["Error"]["Code"]
            if code != "NoSuchBucket":  # left to botocore
                assert reader.read(operation, bucket) == (expected, code)
                compared += 1
    assert compared == 2 * len(QUERIES) + 1
