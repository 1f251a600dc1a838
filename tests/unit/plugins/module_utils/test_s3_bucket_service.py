"""The service class of a bucket and its settings, against a server in memory."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from lib.s3_memory import Server, bucket_on, stop_clock

RULE = {"id": "r", "enabled": True, "expiration_days": 3}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}]}
ALL = {
    "versioning": "enabled",
    "object_lock": {"enabled": True, "mode": "governance", "days": 3},
    "tags": {"a": "1"},
    "lifecycle_rules": [RULE],
    "policy": POLICY,
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    stop_clock(monkeypatch)


def test_everything_on_a_new_bucket_and_then_nothing():
    server = Server(exists=False)
    predicted = bucket_on(server, check=True)
    predicted.present(ALL, object_lock=True)
    assert server.requests == ["head_bucket"] and not server.exists
    done = bucket_on(server)
    done.present(ALL, object_lock=True)
    assert (
        done.changes
        == predicted.changes
        == [
            "create bucket with Object Lock",
            "object lock: default retention none -> governance 3 days",
            "tags: add a",
            "lifecycle rules: add r",
            "policy: set",
        ]
    )
    assert done.after == predicted.after == {"name": "bkt", "state": "present", **ALL}
    assert done.before == predicted.before == {"name": "bkt", "state": "absent"}
    server.requests = []
    again = bucket_on(server)
    again.present(ALL, object_lock=True)
    assert again.changes == [] and again.before == again.after
    assert server.requests == [
        "head_bucket",
        "get_bucket_versioning",
        "get_object_lock_configuration",
        "get_bucket_tagging",
        "get_bucket_lifecycle_configuration",
        "get_bucket_policy",
    ]


def test_nothing_asked_for_is_one_request():
    server = Server()
    bucket_on(server).present({})
    assert server.requests == ["head_bucket"]


def test_a_policy_is_removed_first_and_set_last():
    server = Server()
    server.settings["policy"] = json.dumps(POLICY)
    bucket = bucket_on(server)
    bucket.present({"versioning": "enabled", "policy": {}})
    assert bucket.changes == ["policy: remove", "versioning: disabled -> enabled"]
    bucket = bucket_on(server)
    bucket.present({"versioning": "suspended", "policy": POLICY})
    assert bucket.changes == ["versioning: enabled -> suspended", "policy: set"]


def test_changes_name_what_is_added_changed_and_removed():
    server = Server()
    server.settings["tags"] = [{"Key": "same", "Value": "1"}, {"Key": "new", "Value": "1"}, {"Key": "old", "Value": "1"}]
    bucket = bucket_on(server)
    bucket.present({"tags": {"same": "1", "new": "2", "more": "3"}})
    assert bucket.changes == ["tags: add more; change new; remove old"]


def test_empty_wishes_remove():
    server = Server()
    bucket_on(server).present({"tags": {"a": "1"}, "lifecycle_rules": [RULE], "policy": POLICY})
    bucket = bucket_on(server)
    bucket.present({"tags": {}, "lifecycle_rules": [], "policy": {}})
    assert bucket.changes == ["policy: remove", "tags: remove a", "lifecycle rules: remove r"]
    assert server.settings == {}


@pytest.mark.parametrize("code", ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"])
def test_another_run_creates_the_bucket_first(code):
    server = Server()
    server.fail = {"head_bucket": ["404"], "create_bucket": code}
    server.settings["tags"] = [{"Key": "a", "Value": "1"}]
    bucket = bucket_on(server)
    bucket.present({"tags": {"a": "1"}})
    assert bucket.changes == []
    assert bucket.before == bucket.after == {"name": "bkt", "state": "present", "tags": {"a": "1"}}


def test_the_bucket_of_someone_else():
    server = Server(exists=False)
    server.fail = {"create_bucket": "BucketAlreadyExists"}
    with pytest.raises(S3Error, match="BucketAlreadyExists"):
        bucket_on(server).present({})


def test_a_forbidden_bucket_fails_with_words():
    server = Server()
    server.fail = {"head_bucket": "403", "get_bucket_versioning": "InvalidAccessKeyId"}
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        bucket_on(server).present({})
    server.fail = {"head_bucket": "403"}
    bucket_on(server).present({})


@pytest.mark.parametrize(
    ("operation", "wishes"),
    [
        ("get_bucket_tagging", {"tags": {"a": "1"}}),
        ("get_bucket_policy", {"policy": POLICY}),
        ("get_object_lock_configuration", {"object_lock": {"enabled": True, "mode": "none"}}),
        ("get_bucket_versioning", {"versioning": "enabled"}),
    ],
)
def test_a_feature_that_is_asked_for_and_not_there_fails(operation, wishes):
    server = Server()
    server.fail = {operation: "NotImplemented"}
    with pytest.raises(S3Error, match="leave the option out"):
        bucket_on(server).present(wishes)
    assert server.warnings == []


@pytest.mark.parametrize(
    ("operation", "wishes"),
    [
        ("get_bucket_tagging", {"tags": lambda found: {**found}}),
        ("get_bucket_policy", {"policy": {}}),
        ("get_bucket_lifecycle_configuration", {"lifecycle_rules": []}),
        ("get_object_lock_configuration", {"object_lock": {"enabled": False, "mode": "none"}}),
    ],
)
def test_nothing_of_a_feature_that_is_not_there_warns(operation, wishes):
    server = Server()
    server.fail = {operation: "NotImplemented"}
    bucket = bucket_on(server)
    bucket.present(wishes)
    assert bucket.changes == []
    assert len(server.warnings) == 1
    assert bucket.after[next(iter(wishes))] is None


def test_object_lock_cannot_be_switched_off():
    server = Server()
    server.settings["lock"] = {"ObjectLockEnabled": "Enabled"}
    with pytest.raises(S3Error, match="cannot be switched off"):
        bucket_on(server).present({"object_lock": {"enabled": False, "mode": "none"}})


def test_object_lock_later_needs_versioning():
    server = Server()
    wish = {"object_lock": {"enabled": True, "mode": "none"}}
    for check in (True, False):
        with pytest.raises(S3Error, match="only with versioning: enabled"):
            bucket_on(server, check).present(wish)
    assert "put_object_lock_configuration" not in server.requests
    bucket = bucket_on(server)
    bucket.present({"versioning": "enabled", **wish})
    assert bucket.changes == ["versioning: disabled -> enabled", "object lock: on"]


def test_versioning_of_a_locked_bucket_cannot_be_suspended():
    server = Server()
    server.settings.update(versioning="Enabled", lock={"ObjectLockEnabled": "Enabled"})
    for check in (True, False):
        with pytest.raises(S3Error, match="cannot be suspended"):
            bucket_on(server, check).present({"versioning": "suspended"})


def test_transient_errors_are_waited_out():
    server = Server(exists=False)
    server.fail = {"create_bucket": ["OperationAborted", None], "get_bucket_tagging": ["NoSuchBucket", None, None, None]}
    bucket = bucket_on(server)
    bucket.present({"tags": {"a": "1"}})
    assert bucket.changes == ["create bucket", "tags: add a"]


def test_a_setting_that_the_server_ignores_fails():
    server = Server()
    server.put_bucket_tagging = lambda Tagging: None
    bucket = bucket_on(server)
    with pytest.raises(S3Error, match='accepted {"a": "1"} and shows {}'):
        bucket.present({"tags": {"a": "1"}})
    assert bucket.changes == ["tags: add a"]


def test_what_was_done_before_a_failure_is_known():
    server = Server(exists=False)
    server.fail = {"put_bucket_policy": "MalformedPolicy"}
    bucket = bucket_on(server)
    with pytest.raises(S3Error, match="MalformedPolicy"):
        bucket.present({"versioning": "enabled", "policy": POLICY})
    assert bucket.changes == ["create bucket", "versioning: disabled -> enabled"]
