"""Objects are copied into a backup once, with their history, and from a store that may go away."""

from __future__ import annotations

import os

import pytest
from lib.backup_program import KEY, LOST, OTHER, Bucket, destination
from mlops_backup import objects
from mlops_backup.cipher import CHUNK, Key
from mlops_backup.problems import BackupError
from mlops_backup.vault import Vault


@pytest.fixture(params=["clear", "encrypted"])
def vault(request, tmp_path):
    return Vault(destination(tmp_path), Key(KEY) if request.param == "encrypted" else None)


def test_objects_are_copied_once_and_with_their_history(vault):
    bucket = Bucket()
    bucket.put("a", b"one", ContentType="text/plain")
    bucket.put("a", b"two")
    bucket.put("b", b"one")
    bucket.put("b", None)
    copy = objects.Copy(vault, bucket.end, {}, 2)
    records = copy.run()
    assert [(record["key"], record["size"]) for record in records] == [("a", 3), ("a", 3), ("b", 3), ("b", None)]
    assert copy.counts == {"versions": 3, "bytes": 9, "new_versions": 3, "new_bytes": 9}
    assert len(vault.store.names("objects")) == 2
    known = {(record["key"], record["version"], record["etag"]): record for record in records if record["sha256"]}
    bucket.put("c", b"new")
    again = objects.Copy(vault, bucket.end, known, 2)
    assert len(again.run()) == 5
    assert again.counts["new_versions"] == 1


def test_a_content_that_was_lost_at_the_destination_is_copied_again(vault):
    bucket = Bucket()
    bucket.put("a", b"one")
    records = objects.Copy(vault, bucket.end, {}, 2).run()
    known = {(record["key"], record["version"], record["etag"]): record for record in records}
    vault.store.delete(list(vault.store.names("objects")))
    objects.Copy(vault, bucket.end, known, 2).run()
    assert list(vault.store.names("objects")) == [records[0]["place"]]


@pytest.mark.parametrize("known", [True, False])
def test_a_content_that_was_cut_at_the_destination_is_copied_again(vault, known):
    bucket = Bucket()
    bucket.put("a", b"one" * 1000)
    (record,) = objects.Copy(vault, bucket.end, {}, 2).run()
    file = vault.store.root / record["place"]
    os.truncate(file, 100)
    earlier = {(record["key"], record["version"], record["etag"]): record} if known else {}
    assert objects.Copy(vault, bucket.end, earlier, 2).run()[0]["place"] == record["place"]
    assert file.stat().st_size == record["stored_size"]
    assert vault.read(record["place"], context=objects.CONTEXT, compress=False, record=record) == b"one" * 1000
    # and what is whole is left alone
    moment = file.stat().st_mtime_ns
    objects.Copy(vault, bucket.end, earlier, 2).run()
    assert file.stat().st_mtime_ns == moment


def test_an_object_store_that_goes_away_half_way_is_told_and_what_was_copied_counts(vault):
    bucket = Bucket()
    for number in range(6):
        bucket.put(f"k{number}", f"content {number}".encode())
    bucket.fail_after = 3
    with pytest.raises(BackupError, match="the object store: .*connection refused.* Earlier backups stay"):
        objects.Copy(vault, bucket.end, {}, 1).run()
    assert len(vault.store.names("objects")) == 3
    bucket.fail_after = None
    assert len(objects.Copy(vault, bucket.end, {}, 1).run()) == 6


def test_a_single_object_that_cannot_be_read_is_named(vault):
    bucket = Bucket()
    bucket.put("fine", b"one")
    bucket.put("damaged", LOST)
    with pytest.raises(BackupError, match=r"1 object version\(s\) cannot be copied, the first: 'damaged': .*InternalError"):
        objects.Copy(vault, bucket.end, {}, 1).run()


def test_another_key_copies_everything_anew_and_no_content_is_left_to_its_old_form(tmp_path):
    store, bucket = destination(tmp_path), Bucket()
    bucket.put("a", b"one")
    records, known = [], {}
    for key in (None, Key(KEY), Key(OTHER), Key(OTHER)):
        vault = Vault(store, key)
        (record,) = objects.Copy(vault, bucket.end, known, 1).run()
        # also where the object is not known any more, as after a restore, which gives new version ids
        (again,) = objects.Copy(vault, bucket.end, {}, 1).run()
        assert again == record
        assert store.size(record["place"]) == record["stored_size"]
        assert vault.read(record["place"], context="object", compress=False, record=record) == b"one"
        known = {(record["key"], record["version"], record["etag"]): record}
        records.append(record["place"])
    assert len(set(records)) == 3 and records[2] == records[3]


def test_a_large_object_passes_in_pieces(vault):
    bucket = Bucket()
    content = os.urandom(33 * CHUNK + 3)
    bucket.put("large", content)
    (record,) = objects.Copy(vault, bucket.end, {}, 1).run()
    assert vault.read(record["place"], context="object", compress=False, record=record) == content
