"""s3_bucket against a real server. Its state is looked at with boto3, not with the module.

The pattern for each option: check mode says changed, nothing changed, apply, the server has it, a second run changes nothing.
"""

from __future__ import annotations

import concurrent.futures
import json

import botocore.config
import botocore.exceptions
from lib.s3_buckets import converge, exists, policy_of

VERSIONS = {"versions": 0, "delete_markers": 0, "multipart_uploads": 0}


def test_create_and_delete(run_bucket, s3, bucket_name):
    assert run_bucket(check=True)["changes"] == ["create bucket"]
    assert not exists(s3, bucket_name)
    assert run_bucket()["bucket"] == {"name": bucket_name, "state": "present"}
    assert exists(s3, bucket_name)
    assert not run_bucket()["changed"]
    assert run_bucket(state="absent", check=True)["changes"] == ["delete bucket"]
    assert exists(s3, bucket_name)
    deleted = run_bucket(state="absent")
    assert deleted["changes"] == ["delete bucket"] and deleted["removed"] == VERSIONS and deleted["bucket"]["state"] == "absent"
    assert not exists(s3, bucket_name)
    for check in (False, True):
        again = run_bucket(state="absent", check=check)
        assert not again["changed"] and "removed" not in again


def test_unset_is_untouched(run_bucket, s3, bucket_name):
    run_bucket(versioning="enabled", tags={"a": "b"}, lifecycle_rules=[{"id": "r", "expiration_days": 1}], policy=policy_of(bucket_name))
    assert not run_bucket()["changed"]
    assert s3.get_bucket_versioning(Bucket=bucket_name)["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=bucket_name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(s3.get_bucket_lifecycle_configuration(Bucket=bucket_name)["Rules"]) == 1
    assert json.loads(s3.get_bucket_policy(Bucket=bucket_name)["Policy"])["Statement"]


def test_versioning(run_bucket, s3, bucket_name):
    run_bucket()

    def look():
        return s3.get_bucket_versioning(Bucket=bucket_name).get("Status")

    converge(run_bucket, {"versioning": "enabled"}, ["versioning: disabled -> enabled"], look, None, "Enabled", versioning="enabled")
    converge(
        run_bucket, {"versioning": "suspended"}, ["versioning: enabled -> suspended"], look, "Enabled", "Suspended", versioning="suspended"
    )
    converge(
        run_bucket, {"versioning": "enabled"}, ["versioning: suspended -> enabled"], look, "Suspended", "Enabled", versioning="enabled"
    )


def test_versioning_holds_at_once(run_bucket, s3, bucket_name):
    """The first object after the module's return is a version, and the next one does not replace it."""
    run_bucket(versioning="enabled")
    first = s3.put_object(Bucket=bucket_name, Key="k", Body=b"1")
    second = s3.put_object(Bucket=bucket_name, Key="k", Body=b"2")
    assert {first["VersionId"], second["VersionId"]} == {v["VersionId"] for v in s3.list_object_versions(Bucket=bucket_name)["Versions"]}
    assert s3.get_object(Bucket=bucket_name, Key="k", VersionId=first["VersionId"])["Body"].read() == b"1"


def test_tags(run_bucket, s3, bucket_name):
    run_bucket()

    def look():
        try:
            return {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket_name)["TagSet"]}
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchTagSet"
            return {}

    first = {"stage": "test", "n": "1", "b": "true", "empty": "", "ü é": "a=b/c+d"}
    given = {"stage": "test", "n": 1, "b": True, "empty": None, "ü é": "a=b/c+d"}
    converge(run_bucket, {"tags": first}, ["tags: add b, empty, n, stage, ü é"], look, {}, first, tags=given)
    second = {"stage": "prod", "more": "x"}
    converge(run_bucket, {"tags": second}, ["tags: add more; change stage; remove b, empty, n, ü é"], look, first, second, tags=second)
    third = {"stage": "prod", "more": "y", "new": "z"}
    options = {"tags": {"more": "y", "new": "z"}, "purge_tags": False}
    converge(run_bucket, {"tags": third}, ["tags: add new; change more"], look, second, third, **options)
    assert not run_bucket(tags={}, purge_tags=False)["changed"]
    converge(run_bucket, {"tags": {}}, ["tags: remove more, new, stage"], look, third, {}, tags={})


def look_at_lock(s3, bucket_name):
    try:
        return s3.get_object_lock_configuration(Bucket=bucket_name)["ObjectLockConfiguration"]
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("ObjectLockConfigurationNotFoundError", "NoSuchBucket")
        return None


def test_object_lock(run_bucket, s3, bucket_name):
    def look():
        return look_at_lock(s3, bucket_name)

    on = {"ObjectLockEnabled": "Enabled"}
    state = {"object_lock": {"enabled": True, "mode": "none"}}
    converge(run_bucket, state, ["create bucket with Object Lock"], look, None, on, object_lock=True)
    assert s3.get_bucket_versioning(Bucket=bucket_name)["Status"] == "Enabled"
    days = {**on, "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}}
    years = {**on, "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}}
    for before, after, retention, words in (
        (on, days, {"mode": "governance", "days": 2}, "none -> governance 2 days"),
        (days, years, {"mode": "compliance", "years": 1}, "governance 2 days -> compliance 1 years"),
        (years, on, {"mode": "none"}, "compliance 1 years -> none"),
        (on, days, {"mode": "governance", "days": 2}, "none -> governance 2 days"),
    ):
        state = {"object_lock": {"enabled": True, **retention}}
        changes = [f"object lock: default retention {words}"]
        converge(run_bucket, state, changes, look, before, after, object_lock=True, object_lock_retention=retention)
    assert not run_bucket(object_lock=True)["changed"]
    assert "cannot be switched off" in run_bucket(object_lock=False, fails=True)["msg"]
    assert "cannot be suspended" in run_bucket(versioning="suspended", fails=True)["msg"]
    assert look() == days


def test_object_lock_on_a_bucket_without(run_bucket, s3, bucket_name):
    run_bucket()
    assert not run_bucket(object_lock=False)["changed"]
    for check in (True, False):
        assert "only with versioning: enabled" in run_bucket(object_lock=True, check=check, fails=True)["msg"]
    assert look_at_lock(s3, bucket_name) is None


def test_all_at_once(run_bucket, bucket_name):
    options = {
        "versioning": "enabled",
        "object_lock": True,
        "object_lock_retention": {"mode": "governance", "days": 1},
        "tags": {"a": "b"},
        "lifecycle_rules": [{"id": "r", "noncurrent_version_expiration_days": 1}],
        "policy": policy_of(bucket_name),
    }
    predicted, done, again = run_bucket(check=True, **options), run_bucket(**options), run_bucket(**options)
    assert predicted["changes"] == done["changes"] and len(done["changes"]) == 5
    assert predicted["bucket"] == done["bucket"] == again["bucket"]
    assert not again["changed"]


def test_two_runs_at_once(run_bucket, s3, bucket_name):
    options = {"versioning": "enabled", "tags": {"a": "b"}}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda unused: run_bucket(**options), range(4)))
    assert sum("create bucket" in result["changes"] for result in results) == 1
    assert not run_bucket(**options)["changed"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda unused: run_bucket(state="absent"), range(4)))
    assert not exists(s3, bucket_name)
