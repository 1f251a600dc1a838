"""What is in a bucket that is to go, and its removal, against a server in memory."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import s3_contents
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_contents import Contents
from lib.s3_memory import Server, bucket_on, filled, stop_clock


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    stop_clock(monkeypatch)


def test_absent_of_nothing():
    server = Server(exists=False)
    bucket = bucket_on(server)
    bucket.absent(force=True)
    assert bucket.changes == [] and bucket.removed is None and server.requests == ["head_bucket"]


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
