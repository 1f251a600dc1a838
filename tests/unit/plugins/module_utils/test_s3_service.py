"""The service classes against a small S3 server in memory that stands in for the connection."""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import s3_bucket, s3_contents
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_bucket import Bucket
from ansible_collections.mlops.platform.plugins.module_utils.s3_contents import Contents

RULE = {"id": "r", "enabled": True, "expiration_days": 3}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}]}


class Server:
    """Stands in for Connection: one bucket at most, `fail` maps operations to error codes, `requests` lists what was asked."""

    where = "http://s3.test"

    def __init__(self, exists=True, page=1000):
        self.module = self
        self.warnings, self.requests, self.fail = [], [], {}
        self.exists, self.page = exists, page
        self.settings = {}
        self.objects, self.uploads = [], []
        self.refused, self.stuck = {}, set()

    def warn(self, text):
        self.warnings.append(text)

    def client_region(self):
        return "us-east-1"

    def call(self, what, operation, **kwargs):
        self.requests.append(operation)
        code = self.fail.get(operation)
        code = code.pop(0) if isinstance(code, list) else code
        if code:
            raise S3Error(f"cannot {what}: {code}", code)
        if not self.exists and operation not in ("create_bucket", "list_buckets"):
            raise S3Error("no bucket", "404" if operation == "head_bucket" else "NoSuchBucket")
        kwargs.pop("Bucket", None)
        return getattr(self, operation)(**kwargs)

    def head_bucket(self):
        return {}

    def list_buckets(self):
        return {"Buckets": [{"Name": "bkt"}] if self.exists else []}

    def create_bucket(self, ObjectLockEnabledForBucket=False):
        self.exists = True
        if ObjectLockEnabledForBucket:
            self.settings.update(versioning="Enabled", lock={"ObjectLockEnabled": "Enabled"})

    def delete_bucket(self):
        if self.objects:
            raise S3Error("not empty", "BucketNotEmpty")
        self.exists = False

    def _setting(self, key, code):
        if key not in self.settings:
            raise S3Error(code, code)
        return self.settings[key]

    def get_bucket_versioning(self):
        return {"Status": self.settings["versioning"]} if "versioning" in self.settings else {}

    def put_bucket_versioning(self, VersioningConfiguration):
        self.settings["versioning"] = VersioningConfiguration["Status"]

    def get_bucket_tagging(self):
        return {"TagSet": self._setting("tags", "NoSuchTagSet")}

    def put_bucket_tagging(self, Tagging):
        self.settings["tags"] = Tagging["TagSet"]

    def delete_bucket_tagging(self):
        del self.settings["tags"]

    def get_bucket_policy(self):
        return {"Policy": self._setting("policy", "NoSuchBucketPolicy")}

    def put_bucket_policy(self, Policy):
        self.settings["policy"] = Policy

    def delete_bucket_policy(self):
        del self.settings["policy"]

    def get_bucket_lifecycle_configuration(self):
        return self._setting("lifecycle", "NoSuchLifecycleConfiguration")

    def put_bucket_lifecycle_configuration(self, LifecycleConfiguration):
        self.settings["lifecycle"] = LifecycleConfiguration

    def delete_bucket_lifecycle(self):
        del self.settings["lifecycle"]

    def get_object_lock_configuration(self):
        return {"ObjectLockConfiguration": self._setting("lock", "ObjectLockConfigurationNotFoundError")}

    def put_object_lock_configuration(self, ObjectLockConfiguration):
        self.settings["lock"] = ObjectLockConfiguration

    def list_object_versions(self, KeyMarker="", VersionIdMarker=""):
        after = sorted(entry for entry in self.objects if entry[:2] > (KeyMarker, VersionIdMarker))
        page, more = after[: self.page], len(after) > self.page
        answer = {"IsTruncated": more}
        for name, marker in (("Versions", False), ("DeleteMarkers", True)):
            answer[name] = [{"Key": key, "VersionId": version} for key, version, is_marker in page if is_marker == marker]
        if more:
            answer.update(NextKeyMarker=page[-1][0], NextVersionIdMarker=page[-1][1])
        return answer

    def list_objects_v2(self, ContinuationToken="0"):
        start = int(ContinuationToken)
        keys = sorted({key for key, _version, _marker in self.objects})
        page = [{"Key": key} for key in keys[start : start + self.page]]
        more = start + self.page < len(keys)
        return {"Contents": page, "IsTruncated": more, **({"NextContinuationToken": str(start + self.page)} if more else {})}

    def list_multipart_uploads(self, KeyMarker="", UploadIdMarker=""):
        after = sorted(entry for entry in self.uploads if entry > (KeyMarker, UploadIdMarker))
        page, more = after[: self.page], len(after) > self.page
        answer = {"IsTruncated": more, "Uploads": [{"Key": key, "UploadId": upload} for key, upload in page]}
        if more:
            answer.update(NextKeyMarker=page[-1][0], NextUploadIdMarker=page[-1][1])
        return answer

    def abort_multipart_upload(self, Key, UploadId):
        self.uploads.remove((Key, UploadId))

    def delete_object(self, Key, VersionId=None):
        self.objects = [entry for entry in self.objects if entry[0] != Key or (VersionId and entry[1] != VersionId) or Key in self.stuck]

    def delete_objects(self, Delete):
        assert len(Delete["Objects"]) <= 1000
        errors = []
        for entry in Delete["Objects"]:
            if entry["Key"] in self.refused:
                errors.append({**entry, "Code": self.refused[entry["Key"]], "Message": "no"})
            else:
                self.delete_object(**entry)
        return {"Errors": errors}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """A clock that only sleeping moves."""
    clock = [0.0]
    monkeypatch.setattr(s3_bucket.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(s3_bucket.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))


def bucket_on(server, check=False):
    return Bucket(server, "bkt", check)


ALL = {
    "versioning": "enabled",
    "object_lock": {"enabled": True, "mode": "governance", "days": 3},
    "tags": {"a": "1"},
    "lifecycle_rules": [RULE],
    "policy": POLICY,
}


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


def test_absent_of_nothing():
    server = Server(exists=False)
    bucket = bucket_on(server)
    bucket.absent(force=True)
    assert bucket.changes == [] and bucket.removed is None and server.requests == ["head_bucket"]


def filled(count=2500, **kwargs):
    server = Server(**kwargs)
    server.objects = [(f"k{number:05}", version, version == "v2") for number, version in itertools.product(range(count), ("v1", "v2"))]
    server.uploads = [(f"u{number}", "id") for number in range(3)]
    return server


@pytest.mark.parametrize("check", [True, False])
def test_a_full_bucket_is_left_alone_without_force(check):
    server = filled()
    with pytest.raises(S3Error) as error:
        bucket_on(server, check).absent(force=False)
    assert "is not empty" in str(error.value) and "more than" in str(error.value)
    assert "'u0'" in str(error.value) and "force: true" in str(error.value)
    assert len(server.objects) == 5000 and server.exists


def test_a_full_bucket_with_force():
    server = filled()
    counts = {"versions": 2500, "delete_markers": 2500, "multipart_uploads": 3}
    words = "remove 2500 versions, 2500 delete markers, 3 multipart uploads"
    for check in (True, False):
        bucket = bucket_on(server, check)
        bucket.absent(force=True)
        assert bucket.changes == [words, "delete bucket"]
        assert bucket.removed == counts
        assert server.exists is check
    assert server.objects == server.uploads == []


def test_an_upload_alone_counts_as_content():
    server = Server()
    server.uploads = [("u", "1")]
    with pytest.raises(S3Error, match="1 multipart uploads"):
        bucket_on(server).absent(force=False)


def test_objects_that_the_server_refuses_to_delete():
    server = filled(1200)
    server.refused = {"k00001": "AccessDenied"}
    bucket = bucket_on(server)
    with pytest.raises(S3Error) as error:
        bucket.absent(force=True)
    assert "'k00001': AccessDenied: no" in str(error.value)
    assert "left 1 versions, 1 delete markers" in str(error.value)
    assert bucket.removed == {"versions": 1199, "delete_markers": 1199, "multipart_uploads": 3}
    assert bucket.changes == ["remove 1199 versions, 1199 delete markers, 3 multipart uploads"]
    assert server.exists


def test_objects_that_the_server_lists_and_does_not_delete():
    server = filled(3)
    server.stuck = {"k00002"}
    bucket = bucket_on(server)
    with pytest.raises(S3Error, match="does not remove them"):
        bucket.absent(force=True)
    assert bucket.removed == {"versions": 2, "delete_markers": 2, "multipart_uploads": 3}


def test_keys_that_xml_cannot_name_go_one_by_one():
    server = Server()
    server.objects = [("a\x01b", "v1", False), ("plain\t\r\n", "v1", False), ("\ufffe", "null", False)]
    contents = Contents(server, "bkt")
    contents.survey(whole=True)
    contents.remove()
    assert server.objects == []
    assert server.requests.count("delete_object") == 2 and server.requests.count("delete_objects") == 1


def test_versions_named_null_are_deleted_as_versions():
    server = Server()
    server.objects = [("k", "null", False)]
    seen = []
    server.delete_objects = lambda Delete: seen.append(Delete) or server.objects.clear() or {}
    contents = Contents(server, "bkt")
    contents.survey(whole=True)
    contents.remove()
    assert seen == [{"Objects": [{"Key": "k", "VersionId": "null"}], "Quiet": True}]


def test_objects_written_during_the_removal_are_removed_too():
    server = filled(3)
    late = [("late", "v1", False)]
    delete = server.delete_objects
    server.delete_objects = lambda Delete: (delete(Delete), late and server.objects.append(late.pop()))[0]
    bucket = bucket_on(server)
    bucket.absent(force=True)
    assert not server.exists and bucket.removed["versions"] == 4


def test_a_server_without_versions_or_uploads():
    server = filled(2500)
    server.objects = [entry for entry in server.objects if not entry[2]]
    server.fail = {"list_object_versions": "NotImplemented", "list_multipart_uploads": "NotImplemented"}
    bucket = bucket_on(server)
    bucket.absent(force=True)
    assert bucket.removed == {"versions": 2500, "delete_markers": 0, "multipart_uploads": 0}
    assert server.warnings and not server.exists


def test_an_upload_that_ends_by_itself():
    server = filled(1)
    server.abort_multipart_upload = lambda Key, UploadId: (
        server.uploads.clear() or (_unused for _unused in ()).throw(S3Error("gone", "NoSuchUpload"))
    )
    bucket_on(server).absent(force=True)
    assert not server.exists


def test_a_bucket_that_someone_else_deletes_meanwhile():
    server = Server()
    server.fail = {"delete_bucket": "NoSuchBucket", "head_bucket": [None, "404", "404"]}
    bucket = bucket_on(server)
    bucket.absent(force=False)
    assert bucket.changes == []


def test_batches_hold_what_one_request_can(monkeypatch):
    monkeypatch.setattr(s3_contents, "BATCH", 2)
    server = filled(3, page=5)
    server.uploads = []
    contents = Contents(server, "bkt")
    contents.survey(whole=True)
    contents.remove()
    assert contents.counts == {"versions": 3, "delete_markers": 3, "multipart_uploads": 0} and server.objects == []


def test_a_bucket_that_goes_while_it_is_emptied():
    server = filled(3)
    server.fail = {"delete_objects": "NoSuchBucket", "head_bucket": [None, "404"]}
    bucket = bucket_on(server)
    bucket.absent(force=True)
    assert "delete bucket" not in bucket.changes
