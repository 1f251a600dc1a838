"""s3_bucket against a real server. Its state is looked at with boto3, not with the module.

The pattern for each option: check mode says changed, nothing changed, apply, the server has it, a second run changes nothing.
"""

from __future__ import annotations

import concurrent.futures
import json
import uuid

import boto3
import botocore.config
import botocore.exceptions
import pytest
from lib.modules import run_module

VERSIONS = {"versions": 0, "delete_markers": 0, "multipart_uploads": 0}


@pytest.fixture(scope="module")
def client(s3_connection):
    """A client of its own, with the checksum setting that S3-compatible servers need."""
    return boto3.client(
        "s3",
        endpoint_url=s3_connection["endpoint_url"],
        aws_access_key_id=s3_connection["access_key"],
        aws_secret_access_key=s3_connection["secret_key"],
        region_name=s3_connection["region"],
        verify=s3_connection.get("ca_bundle"),
        config=botocore.config.Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required", response_checksum_validation="when_required"
        ),
    )


def exists(client, name):
    return name in [entry["Name"] for entry in client.list_buckets()["Buckets"]]


@pytest.fixture
def name(client):
    """The name of a bucket that is not there, and is gone after the test."""
    unique = f"it-{uuid.uuid4().hex[:16]}"
    yield unique
    if not exists(client, unique):
        return
    try:
        client.delete_bucket_policy(Bucket=unique)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"
    for upload in client.list_multipart_uploads(Bucket=unique).get("Uploads", []):
        client.abort_multipart_upload(Bucket=unique, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=unique):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            client.delete_object(Bucket=unique, Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket=unique)


@pytest.fixture
def run(s3_connection, name):
    """Run s3_bucket for the bucket of this test; the result must be no failure unless `fails` is set."""

    def go(fails=False, check=False, diff=False, env=None, **options):
        result = run_module("s3_bucket", {**s3_connection, "name": name, **options}, check=check, diff=diff, env=env)
        assert bool(result.get("failed")) is fails, result
        assert s3_connection["secret_key"] not in json.dumps(result)
        return result

    return go


def converge(run, state, changes, look, before, after, **options):
    """The whole pattern; `look` returns what the server has, `state` is what `bucket` in the result holds of it."""
    predicted = run(check=True, diff=True, **options)
    assert predicted["changed"] and predicted["changes"] == changes
    assert look() == before, "check mode changed the server"
    done = run(diff=True, **options)
    assert done["changed"] and done["changes"] == changes
    assert look() == after
    assert done["diff"]["before"] == predicted["diff"]["before"]
    for key, value in state.items():
        assert done["bucket"][key] == predicted["bucket"][key] == value
        assert done["diff"]["after"][key] == value
    again = run(diff=True, **options)
    assert not again["changed"] and again["changes"] == []
    assert again["bucket"] == done["bucket"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert not run(check=True, **options)["changed"]
    return done


def test_create_and_delete(run, client, name):
    assert run(check=True)["changes"] == ["create bucket"]
    assert not exists(client, name)
    assert run()["bucket"] == {"name": name, "state": "present"}
    assert exists(client, name)
    assert not run()["changed"]
    assert run(state="absent", check=True)["changes"] == ["delete bucket"]
    assert exists(client, name)
    deleted = run(state="absent")
    assert deleted["changes"] == ["delete bucket"] and deleted["removed"] == VERSIONS and deleted["bucket"]["state"] == "absent"
    assert not exists(client, name)
    for check in (False, True):
        again = run(state="absent", check=check)
        assert not again["changed"] and "removed" not in again


def test_unset_is_untouched(run, client, name):
    run(versioning="enabled", tags={"a": "b"}, lifecycle_rules=[{"id": "r", "expiration_days": 1}], policy=policy_of(name))
    assert not run()["changed"]
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert client.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]) == 1
    assert json.loads(client.get_bucket_policy(Bucket=name)["Policy"])["Statement"]


def test_versioning(run, client, name):
    run()

    def look():
        return client.get_bucket_versioning(Bucket=name).get("Status")

    converge(run, {"versioning": "enabled"}, ["versioning: disabled -> enabled"], look, None, "Enabled", versioning="enabled")
    converge(run, {"versioning": "suspended"}, ["versioning: enabled -> suspended"], look, "Enabled", "Suspended", versioning="suspended")
    converge(run, {"versioning": "enabled"}, ["versioning: suspended -> enabled"], look, "Suspended", "Enabled", versioning="enabled")


def test_versioning_holds_at_once(run, client, name):
    """The first object after the module's return is a version, and the next one does not replace it."""
    run(versioning="enabled")
    first = client.put_object(Bucket=name, Key="k", Body=b"1")
    second = client.put_object(Bucket=name, Key="k", Body=b"2")
    assert {first["VersionId"], second["VersionId"]} == {v["VersionId"] for v in client.list_object_versions(Bucket=name)["Versions"]}
    assert client.get_object(Bucket=name, Key="k", VersionId=first["VersionId"])["Body"].read() == b"1"


def test_tags(run, client, name):
    run()

    def look():
        try:
            return {tag["Key"]: tag["Value"] for tag in client.get_bucket_tagging(Bucket=name)["TagSet"]}
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchTagSet"
            return {}

    first = {"stage": "test", "n": "1", "b": "true", "empty": "", "ü é": "a=b/c+d"}
    given = {"stage": "test", "n": 1, "b": True, "empty": None, "ü é": "a=b/c+d"}
    converge(run, {"tags": first}, ["tags: add b, empty, n, stage, ü é"], look, {}, first, tags=given)
    second = {"stage": "prod", "more": "x"}
    converge(run, {"tags": second}, ["tags: add more; change stage; remove b, empty, n, ü é"], look, first, second, tags=second)
    third = {"stage": "prod", "more": "y", "new": "z"}
    options = {"tags": {"more": "y", "new": "z"}, "purge_tags": False}
    converge(run, {"tags": third}, ["tags: add new; change more"], look, second, third, **options)
    assert not run(tags={}, purge_tags=False)["changed"]
    converge(run, {"tags": {}}, ["tags: remove more, new, stage"], look, third, {}, tags={})


def test_lifecycle_rules(run, client, name):
    run()

    def look():
        try:
            rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"
            return []
        return sorted(rules, key=lambda rule: rule["ID"])

    rules = [
        {"id": "versions", "noncurrent_version_expiration_days": 30, "newer_noncurrent_versions": 3, "abort_incomplete_multipart_days": 7},
        {"id": "markers", "prefix": "a/", "expired_object_delete_marker": True, "enabled": False},
        {"id": "one-tag", "tags": {"k": 1}, "expiration_days": 2},
        {"id": "tags", "prefix": "p", "tags": {"k": "v", "l": True}, "expiration_days": 3},
    ]
    state = sorted(({"enabled": True, **rule} for rule in rules), key=lambda rule: rule["id"])
    state[1]["tags"], state[2]["tags"] = {"k": "1"}, {"k": "v", "l": "true"}
    on_server = [
        {"ID": "markers", "Status": "Disabled", "Filter": {"Prefix": "a/"}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"ID": "one-tag", "Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": "1"}}, "Expiration": {"Days": 2}},
        {
            "ID": "tags",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "true"}]}},
            "Expiration": {"Days": 3},
        },
        {
            "ID": "versions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    words = ["lifecycle rules: add markers, one-tag, tags, versions"]
    converge(run, {"lifecycle_rules": state}, words, look, [], on_server, lifecycle_rules=rules)
    assert not run(lifecycle_rules=rules[::-1])["changed"]
    fewer = [{**rules[0], "newer_noncurrent_versions": None}, {"id": "new", "expiration_days": 9}]
    state = [{"id": "new", "enabled": True, "expiration_days": 9}, {k: v for k, v in state[3].items() if k != "newer_noncurrent_versions"}]
    after = [
        {"ID": "new", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 9}},
        {**on_server[3], "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
    ]
    words = ["lifecycle rules: add new; change versions; remove markers, one-tag, tags"]
    converge(run, {"lifecycle_rules": state}, words, look, on_server, after, lifecycle_rules=fewer)
    converge(run, {"lifecycle_rules": []}, ["lifecycle rules: remove new, versions"], look, after, [], lifecycle_rules=[])


@pytest.mark.parametrize("form", [{"Filter": {}}, {"Filter": {"Prefix": ""}}, {"Prefix": ""}])
def test_lifecycle_rules_that_others_wrote(run, client, name, form):
    run()
    rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 3}, **form}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    assert not run(lifecycle_rules=[{"id": "r", "expiration_days": 3}])["changed"]


def policy_of(name, **statement):
    one = {"Sid": "Keep", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketVersioning", "Resource": f"arn:aws:s3:::{name}"}
    return {"Version": "2012-10-17", "Statement": [{**one, **statement}]}


def test_policy(run, client, name):
    run(versioning="enabled")

    def look():
        try:
            return json.loads(client.get_bucket_policy(Bucket=name)["Policy"])
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"
            return {}

    first = policy_of(name)
    converge(run, {"policy": first}, ["policy: set"], look, {}, first, policy=first)
    refused = run(versioning="suspended", fails=True)
    assert "AccessDenied" in refused["msg"] and refused["changes"] == []
    for same in (
        json.dumps(first),
        {**first, "Statement": first["Statement"][0]},
        policy_of(name, Principal={"AWS": "*"}),
        policy_of(name, Action=["s3:putbucketversioning"], Resource=[f"arn:aws:s3:::{name}"]),
    ):
        assert not run(policy=same)["changed"]
    second = policy_of(name, Action=["s3:PutBucketVersioning", "s3:PutLifecycleConfiguration"])
    converge(run, {"policy": second}, ["policy: change"], look, first, second, policy=second)
    converge(run, {"policy": {}}, ["policy: remove"], look, second, {}, policy="")
    assert not run(policy={})["changed"]
    together = run(policy=first, versioning="suspended", tags={"a": "b"})
    assert together["changes"] == ["versioning: enabled -> suspended", "tags: add a", "policy: set"]
    together = run(policy={}, versioning="enabled")
    assert together["changes"] == ["policy: remove", "versioning: suspended -> enabled"]


def test_a_policy_that_the_server_refuses(run, name):
    result = run(policy=policy_of("another-bucket"), tags={"a": "b"}, fails=True)
    assert "(policy: set)" in result["msg"] and "HTTP 400" in result["msg"]
    assert result["changed"] and result["changes"] == ["create bucket", "tags: add a"]


def look_at_lock(client, name):
    try:
        return client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("ObjectLockConfigurationNotFoundError", "NoSuchBucket")
        return None


def test_object_lock(run, client, name):
    def look():
        return look_at_lock(client, name)

    on = {"ObjectLockEnabled": "Enabled"}
    state = {"object_lock": {"enabled": True, "mode": "none"}}
    converge(run, state, ["create bucket with Object Lock"], look, None, on, object_lock=True)
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
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
        converge(run, state, changes, look, before, after, object_lock=True, object_lock_retention=retention)
    assert not run(object_lock=True)["changed"]
    assert "cannot be switched off" in run(object_lock=False, fails=True)["msg"]
    assert "cannot be suspended" in run(versioning="suspended", fails=True)["msg"]
    assert look() == days


def test_object_lock_on_a_bucket_without(run, client, name):
    run()
    assert not run(object_lock=False)["changed"]
    for check in (True, False):
        assert "only with versioning: enabled" in run(object_lock=True, check=check, fails=True)["msg"]
    assert look_at_lock(client, name) is None


def test_all_at_once(run, name):
    options = {
        "versioning": "enabled",
        "object_lock": True,
        "object_lock_retention": {"mode": "governance", "days": 1},
        "tags": {"a": "b"},
        "lifecycle_rules": [{"id": "r", "noncurrent_version_expiration_days": 1}],
        "policy": policy_of(name),
    }
    predicted, done, again = run(check=True, **options), run(**options), run(**options)
    assert predicted["changes"] == done["changes"] and len(done["changes"]) == 5
    assert predicted["bucket"] == done["bucket"] == again["bucket"]
    assert not again["changed"]


def fill(client, name):
    """1002 versions and 2 delete markers under awkward keys, and two unfinished uploads; more than one page."""
    client.put_object(Bucket=name, Key="before/versioning", Body=b"0")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    keys = ["a", "dir/", "dir/sub/b", "ü é", "line\nbreak", "q&<>\"'", "a b+c%20", "before/versioning"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.put_object(Bucket=name, Key=f"many/{number:04}", Body=b"1"), range(993)))
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=b"1")
    client.delete_object(Bucket=name, Key="a")
    client.delete_object(Bucket=name, Key="q&<>\"'")
    for key in ("up/load", "up"):
        upload = client.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
        client.upload_part(Bucket=name, Key=key, UploadId=upload, PartNumber=1, Body=b"1")
    return {"versions": 1002, "delete_markers": 2, "multipart_uploads": 2}


def test_force(run, client, name):
    run()
    counts = fill(client, name)
    for check in (True, False):
        refused = run(state="absent", check=check, fails=True)
        assert "is not empty" in refused["msg"] and "force: true" in refused["msg"] and "'up" in refused["msg"]
        assert not refused["changed"] and exists(client, name)
    words = ["remove 1002 versions, 2 delete markers, 2 multipart uploads", "delete bucket"]
    predicted = run(state="absent", force=True, check=True, diff=True)
    assert predicted["changes"] == words and predicted["removed"] == counts and predicted["diff"]["before"]["contents"] == counts
    assert client.get_object(Bucket=name, Key="many/0992")["Body"].read() == b"1"
    done = run(state="absent", force=True, diff=True)
    assert done["changes"] == words and done["removed"] == counts and done["diff"] == predicted["diff"]
    assert not exists(client, name)
    assert not run(state="absent", force=True)["changed"]
    run()  # nothing of the old content comes back
    assert "Versions" not in client.list_object_versions(Bucket=name)


def test_an_upload_alone_is_content(run, client, name):
    run()
    client.create_multipart_upload(Bucket=name, Key="up")
    assert "1 multipart uploads" in run(state="absent", fails=True)["msg"]
    assert run(state="absent", force=True)["removed"]["multipart_uploads"] == 1


def test_locked_objects_stay(run, client, name):
    run(object_lock=True)
    client.put_object(Bucket=name, Key="free", Body=b"1")
    kept = client.put_object(Bucket=name, Key="held", Body=b"1")["VersionId"]
    client.put_object_legal_hold(Bucket=name, Key="held", VersionId=kept, LegalHold={"Status": "ON"})
    try:
        result = run(state="absent", force=True, fails=True)
        assert "'held'" in result["msg"] and "left 1 versions" in result["msg"]
        assert result["changed"] and result["removed"] == {"versions": 1, "delete_markers": 0, "multipart_uploads": 0}
        assert [entry["Key"] for entry in client.list_object_versions(Bucket=name)["Versions"]] == ["held"]
    finally:
        client.put_object_legal_hold(Bucket=name, Key="held", VersionId=kept, LegalHold={"Status": "OFF"})


def test_two_runs_at_once(run, client, name):
    options = {"versioning": "enabled", "tags": {"a": "b"}}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda unused: run(**options), range(4)))
    assert sum("create bucket" in result["changes"] for result in results) == 1
    assert not run(**options)["changed"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda unused: run(state="absent"), range(4)))
    assert not exists(client, name)
