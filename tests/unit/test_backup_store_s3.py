"""Backups in a bucket: what is sent, and what is understood of the answers. The server is a stand-in that keeps files in memory."""

from __future__ import annotations

import datetime
import io
import os

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from lib.backup_program import KEY, Bucket, complete
from mlops_backup.catalog import Catalog
from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.store_s3 import PART
from mlops_backup.store_s3 import Bucket as Store
from mlops_backup.vault import Vault

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class Server:
    """`files` is what it holds. `down`: it answers nothing. `cut`: how many bytes of an answer are lost."""

    where = "https://s3.test"

    def __init__(self):
        self.files, self.uploads, self.down, self.cut, self.page = {}, {}, False, 0, 2

    def call(self, what, operation, **arguments):
        if self.down:
            raise S3Error(f"cannot {what}: connection refused")
        assert arguments.pop("Bucket") == "b"
        return getattr(self, operation)(what, **arguments)

    def put_object(self, _what, Key, Body, ContentMD5=None):
        self.files[Key] = Body
        return {"ETag": "e"}

    def get_object(self, what, Key):
        if Key not in self.files:
            raise S3Error(f"cannot {what}: NoSuchKey", "NoSuchKey")
        content = self.files[Key]
        return {"Body": io.BytesIO(content[: len(content) - self.cut]), "ContentLength": len(content)}

    def head_object(self, what, Key):
        if Key not in self.files:
            raise S3Error(f"cannot {what}: 404", "404")
        return {"ContentLength": len(self.files[Key])}

    def list_objects_v2(self, _what, Prefix, Delimiter=None, ContinuationToken="0"):
        names = sorted(name for name in self.files if name.startswith(Prefix))
        if Delimiter:
            return {"CommonPrefixes": [{"Prefix": name} for name in sorted({Prefix + n[len(Prefix) :].split("/")[0] + "/" for n in names})]}
        first = int(ContinuationToken)
        shown = [{"Key": name, "Size": len(self.files[name]), "LastModified": NOW} for name in names[first : first + self.page]]
        more = first + self.page < len(names)
        return {"Contents": shown, "IsTruncated": more, **({"NextContinuationToken": str(first + self.page)} if more else {})}

    def delete_object(self, _what, Key):
        self.files.pop(Key, None)

    def delete_objects(self, _what, Delete):
        for entry in Delete["Objects"]:
            self.files.pop(entry["Key"], None)
        return {}

    def create_multipart_upload(self, _what, Key):
        self.uploads[Key] = {}
        return {"UploadId": Key}

    def upload_part(self, _what, Key, UploadId, PartNumber, Body, ContentMD5):
        self.uploads[UploadId][PartNumber] = Body
        return {"ETag": str(PartNumber)}

    def complete_multipart_upload(self, _what, Key, UploadId, MultipartUpload):
        self.files[Key] = b"".join(self.uploads[UploadId][part["PartNumber"]] for part in MultipartUpload["Parts"])

    def abort_multipart_upload(self, _what, Key, UploadId):
        del self.uploads[UploadId]


@pytest.fixture
def server():
    return Server()


@pytest.fixture(params=["", "backups/"])
def store(request, server, tmp_path):
    return Store(server, "b", request.param, tmp_path).below("42")


@pytest.mark.parametrize("size", [0, 5, PART, PART + 1])
def test_a_file_comes_back(store, size):
    content = os.urandom(size)
    vault = Vault(store, Key(KEY))
    record = vault.put("a/b", [content], compress=False)
    assert vault.read("a/b", compress=False, record=record) == content
    vault.check("a/b", record)
    assert store.size("a/b") == record["stored_size"]
    assert store.size("a/c") is None


def test_a_backup_is_listed_read_and_expired(store, server):
    vault = Vault(store, None)
    store.prepare()
    bucket = Bucket()
    for number in range(4):
        bucket.put(f"k{number}", f"content {number}".encode())
    for name in ("20200101T000000Z", "20200102T000000Z"):
        complete(vault, name, bucket)
    vault.put("backups/20200103T000000Z/base.tar", [b"half"])
    catalog = Catalog(vault)
    assert catalog.names() == ["20200101T000000Z", "20200102T000000Z"]
    assert len(list(catalog.objects(catalog.latest()))) == 4
    assert catalog.clean() == 1
    assert catalog.expire(30) == ["20200101T000000Z"]
    assert catalog.names() == ["20200102T000000Z"]
    assert len(store.names("objects")) == 4
    root = Store(server, "b", store.prefix.removesuffix("42/"), store.staging)
    assert root.folders() == ["42"]


def test_an_answer_that_was_cut_is_not_taken_for_the_whole(store, server):
    Vault(store, None).put("f", [os.urandom(1000)], compress=False)
    server.cut = 1
    with pytest.raises(BackupError, match="bytes came instead of"):
        list(store.blocks("f"))


def test_a_server_that_is_away_is_named(store, server):
    server.down = True
    for deed in (
        store.prepare,
        lambda: store.size("f"),
        lambda: store.names(""),
        lambda: store.delete(["f"]),
        lambda: list(store.blocks("f")),
    ):
        with pytest.raises(BackupError, match="destination, bucket b: .*connection refused"):
            deed()


@pytest.mark.parametrize(
    "words, told",
    [
        ("cannot list: Name or service not known; check endpoint_url", "(endpoint_url is backup_bucket_url)"),
        ("SignatureDoesNotMatch; check secret_key", "(secret_key is backup_bucket_secret_key)"),
        ("TLS; see access_key, ca_bundle", "(access_key is backup_bucket_access_key, ca_bundle is backup_bucket_ca)"),
        ("NoSuchBucket", "NoSuchBucket"),
    ],
)
def test_options_of_the_connection_are_told_by_the_names_of_the_variables(store, server, monkeypatch, words, told):
    def refuse(*_words, **_arguments):
        raise S3Error(words, "AccessDenied")

    monkeypatch.setattr(server, "put_object", refuse)
    with pytest.raises(BackupError) as problem:
        store.call("put_object", "f", Body=b"")
    assert str(problem.value).endswith(told)


def test_an_upload_that_fails_is_ended_and_leaves_no_file(store, server, monkeypatch):
    def refuse(*_words, **_arguments):
        raise S3Error("cannot upload_part: QuotaExceeded", "QuotaExceeded")

    monkeypatch.setattr(server, "upload_part", refuse)
    with pytest.raises(BackupError, match="QuotaExceeded"):
        Vault(store, None).put("large", [os.urandom(PART), b"more"], compress=False)
    assert (server.files, server.uploads) == ({}, {})
