"""Lifecycle rules and policies of s3_bucket against a real server, looked at with boto3."""

from __future__ import annotations

import json

import botocore.config
import botocore.exceptions
import pytest
from lib.s3_buckets import converge, policy_of


def test_lifecycle_rules(run_bucket, s3, bucket_name):
    run_bucket()

    def look():
        try:
            rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket_name)["Rules"]
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
    converge(run_bucket, {"lifecycle_rules": state}, words, look, [], on_server, lifecycle_rules=rules)
    assert not run_bucket(lifecycle_rules=rules[::-1])["changed"]
    fewer = [{**rules[0], "newer_noncurrent_versions": None}, {"id": "new", "expiration_days": 9}]
    state = [{"id": "new", "enabled": True, "expiration_days": 9}, {k: v for k, v in state[3].items() if k != "newer_noncurrent_versions"}]
    after = [
        {"ID": "new", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 9}},
        {**on_server[3], "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
    ]
    words = ["lifecycle rules: add new; change versions; remove markers, one-tag, tags"]
    converge(run_bucket, {"lifecycle_rules": state}, words, look, on_server, after, lifecycle_rules=fewer)
    converge(run_bucket, {"lifecycle_rules": []}, ["lifecycle rules: remove new, versions"], look, after, [], lifecycle_rules=[])


@pytest.mark.parametrize("form", [{"Filter": {}}, {"Filter": {"Prefix": ""}}, {"Prefix": ""}])
def test_lifecycle_rules_that_others_wrote(run_bucket, s3, bucket_name, form):
    run_bucket()
    rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 3}, **form}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket_name, LifecycleConfiguration={"Rules": [rule]})
    assert not run_bucket(lifecycle_rules=[{"id": "r", "expiration_days": 3}])["changed"]


def test_policy(run_bucket, s3, bucket_name):
    run_bucket(versioning="enabled")

    def look():
        try:
            return json.loads(s3.get_bucket_policy(Bucket=bucket_name)["Policy"])
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"
            return {}

    first = policy_of(bucket_name)
    converge(run_bucket, {"policy": first}, ["policy: set"], look, {}, first, policy=first)
    refused = run_bucket(versioning="suspended", fails=True)
    assert "AccessDenied" in refused["msg"] and refused["changes"] == []
    for same in (
        json.dumps(first),
        {**first, "Statement": first["Statement"][0]},
        policy_of(bucket_name, Principal={"AWS": "*"}),
        policy_of(bucket_name, Action=["s3:putbucketversioning"], Resource=[f"arn:aws:s3:::{bucket_name}"]),
    ):
        assert not run_bucket(policy=same)["changed"]
    second = policy_of(bucket_name, Action=["s3:PutBucketVersioning", "s3:PutLifecycleConfiguration"])
    converge(run_bucket, {"policy": second}, ["policy: change"], look, first, second, policy=second)
    converge(run_bucket, {"policy": {}}, ["policy: remove"], look, second, {}, policy="")
    assert not run_bucket(policy={})["changed"]
    together = run_bucket(policy=first, versioning="suspended", tags={"a": "b"})
    assert together["changes"] == ["versioning: enabled -> suspended", "tags: add a", "policy: set"]
    together = run_bucket(policy={}, versioning="enabled")
    assert together["changes"] == ["policy: remove", "versioning: suspended -> enabled"]


def test_a_policy_that_the_server_refuses(run_bucket, bucket_name):
    result = run_bucket(policy=policy_of("another-bucket"), tags={"a": "b"}, fails=True)
    assert "(policy: set)" in result["msg"] and "HTTP 400" in result["msg"]
    assert result["changed"] and result["changes"] == ["create bucket", "tags: add a"]
