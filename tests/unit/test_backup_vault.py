"""What is kept of a backup: encryption, checksums, whole files or none, and the list of complete backups. No server is needed."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from lib.backup_program import FILES, KEY, LOST, Bucket, complete, key_file, settings
from mlops_backup import lock, objects
from mlops_backup.catalog import Catalog
from mlops_backup.cipher import CHUNK, MAGIC, SALT, TAG, Encrypting, Key, decrypted
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory, explain
from mlops_backup.vault import Vault

OTHER = "ff" * 32


@pytest.fixture(params=["clear", "encrypted"])
def vault(request, tmp_path):
    return Vault(Directory(tmp_path / "backups" / "42"), Key(KEY) if request.param == "encrypted" else None)


@pytest.fixture(autouse=True)
def made(tmp_path):
    Directory(tmp_path / "backups" / "42").prepare()


def encrypt(content, key=KEY, context="c"):
    parts = []
    machine = Encrypting(parts.append, Key(key), context)
    for start in range(0, len(content), 100_000):
        machine.write(content[start : start + 100_000])
    machine.close()
    return b"".join(parts)


def decrypt(stored, key=KEY, context="c", step=70_001):
    blocks = iter([stored[start : start + step] for start in range(0, len(stored), step)])
    return b"".join(decrypted(blocks, Key(key), context, "file"))


@pytest.fixture
def anothers():
    """A store with one backup, and a function that closes one of its folders to whoever runs the tests, as another host's disk may be."""
    root = os.geteuid() == 0
    # not below tmp_path, through which nobody but its owner comes
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        store = Directory(Path(name, "destination")).below("42")
        place = store.root / "backups" / "one" / "manifest.json"
        place.parent.mkdir(parents=True)
        place.write_text("{}")

        def close(below):
            (store.root / below).chmod(0o700 if root else 0)
            if root:
                os.seteuid(65534)

        yield store, close
        if root:
            os.seteuid(0)
        for folder in (store.top, *store.top.glob("**/")):
            folder.chmod(0o700)


@pytest.mark.parametrize("below", ["..", ".", "backups", "backups/one"])
def test_what_belongs_to_somebody_else_is_told_and_is_not_taken_for_empty(anothers, below):
    store, close = anothers
    close(below)
    for ask in (
        lambda: Catalog(Vault(store, None)).names(),
        lambda: list(store.blocks("backups/one/manifest.json")),
        lambda: store.size("backups/one/manifest.json"),
    ):
        with pytest.raises(BackupError, match="Permission denied") as problem:
            ask()
        assert f"chown -R {os.geteuid()} {store.top}" in str(problem.value)
        assert "belongs to user id" in str(problem.value)


def test_a_destination_that_belongs_to_somebody_else_is_told_as_a_whole(anothers):
    store, close = anothers
    close("..")
    for ask in (Directory(store.top).folders, store.prepare, Directory(store.top).prepare):
        with pytest.raises(BackupError, match=f"Permission denied.*chown -R {os.geteuid()} {store.top}$"):
            ask()


def test_what_is_closed_above_the_destination_is_not_given_away(anothers):
    store, close = anothers
    close("..")
    with pytest.raises(BackupError, match=f"Permission denied.*let user id {os.geteuid()} through {store.top}$"):
        Directory(store.top / "disk" / "destination").folders()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17])
def test_what_is_encrypted_comes_back(size):
    content = os.urandom(size)
    stored = encrypt(content)
    assert decrypt(stored) == content
    assert decrypt(stored, step=10**9) == content
    # a few bytes are in any text by chance
    assert len(content) < CHUNK - 1 or content[:100] not in stored


def test_two_files_with_the_same_content_have_nothing_in_common():
    one, other = encrypt(b"same" * 100), encrypt(b"same" * 100)
    assert one[len(MAGIC) : len(MAGIC) + SALT] != other[len(MAGIC) : len(MAGIC) + SALT]
    assert one[len(MAGIC) + SALT :] != other[len(MAGIC) + SALT :]


HEAD = len(MAGIC) + SALT
WHOLE = CHUNK + TAG


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored[:-1],
        lambda stored: stored[: HEAD + WHOLE],
        lambda stored: stored[:HEAD],
        lambda stored: stored[: HEAD - 1],
        lambda stored: b"",
        lambda stored: stored + b"x",
        lambda stored: stored[:HEAD] + stored[HEAD + WHOLE : HEAD + 2 * WHOLE] + stored[HEAD : HEAD + WHOLE] + stored[HEAD + 2 * WHOLE :],
        lambda stored: stored[:100] + bytes([stored[100] ^ 1]) + stored[101:],
    ],
    ids=["short", "last-chunks-gone", "head-alone", "half-a-head", "empty", "longer", "swapped", "one-bit"],
)
def test_a_spoiled_file_is_never_taken_for_a_whole_one(spoil):
    stored = encrypt(os.urandom(2 * CHUNK + 5))
    with pytest.raises(BackupError, match="truncated"):
        decrypt(spoil(stored))


def test_another_key_and_another_file_are_refused():
    stored = encrypt(b"content")
    with pytest.raises(BackupError, match="another backup_key"):
        decrypt(stored, key=OTHER)
    with pytest.raises(BackupError):
        decrypt(stored, context="d")


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_a_key_that_is_none_is_refused(text):
    with pytest.raises(BackupError, match="64 hexadecimal digits"):
        Key(text)


# --- the vault and its store --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_comes_back_and_its_record_is_true(vault, compress):
    content = os.urandom(3 * CHUNK) + bytes(CHUNK)
    record = vault.put("a/b", [content[:5], content[5:]], compress=compress)
    assert vault.read("a/b", compress=compress, record=record) == content
    assert record["size"] == len(content) and record["stored_size"] == vault.store.size("a/b")
    vault.check("a/b", record)


def test_a_file_that_is_damaged_or_truncated_is_said_to_be(vault):
    record = vault.put("f", [os.urandom(100_000)], compress=False)
    path = vault.store.root / "f"
    stored = path.read_bytes()
    path.write_bytes(stored[:-10])
    with pytest.raises(BackupError, match="truncated"):
        vault.check("f", record)
    path.write_bytes(stored[:-10] + bytes(10))
    with pytest.raises(BackupError, match="damaged"):
        vault.check("f", record)
    with pytest.raises(BackupError):
        vault.read("f", compress=False, record=record)


def test_a_truncated_compressed_file_does_not_end_quietly(tmp_path):
    vault = Vault(Directory(tmp_path / "backups" / "42"), None)
    vault.put("f", [os.urandom(100_000)])
    path = vault.store.root / "f"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BackupError, match="truncated"):
        vault.read("f")


def test_what_is_encrypted_is_not_read_without_the_key(tmp_path):
    store = Directory(tmp_path / "backups" / "42")
    Vault(store, Key(KEY)).put("f", [b"secret"])
    assert b"secret" not in (store.root / "f").read_bytes()
    with pytest.raises(BackupError, match="give backup_key"):
        Vault(store, None).read("f")


def test_a_file_has_no_name_until_it_is_whole(vault):
    with pytest.raises(ZeroDivisionError):
        vault.put("f", (1 // 0 for _number in range(1)))
    assert vault.store.names("") == {}


def test_what_a_killed_program_left_is_removed_when_it_is_old(vault):
    incoming = vault.store.incoming()
    vault.store.clean()
    assert os.path.exists(incoming.path)
    os.utime(incoming.path, (1, 1))
    vault.store.clean()
    assert not os.path.exists(incoming.path)


def test_a_full_destination_is_said_in_words_and_leaves_nothing(tmp_path):
    """A real limit of the kernel, in a process of its own."""
    program = f"""
import resource, sys
sys.path[:0] = [{str(FILES)!r}]
from mlops_backup.store import Directory, explain
from mlops_backup.vault import Vault
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = Directory({str(tmp_path / "backups" / "42")!r})
try:
    Vault(store, None).put("f", [os.urandom(100_000)] * 10, compress=False)
except OSError as error:
    print(explain(error, store))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "is full" in done.stdout and "make room" in done.stdout
    assert Directory(tmp_path / "backups" / "42").names("") == {}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_other_errors_of_the_system_are_told_as_they_are(vault):
    assert "Permission" in explain(OSError(errno.EACCES, "Permission denied"), vault.store)


def test_a_destination_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="backup_directory"):
        Directory(tmp_path / "file" / "below").prepare()


# --- the list of backups ------------------------------------------------------------------------------------------------------------------


def test_only_complete_backups_are_listed_and_the_rest_is_removed(vault):
    complete(vault, "20260101T000000Z")
    vault.put("backups/20260102T000000Z/base.tar", [b"half"])
    catalog = Catalog(vault)
    assert catalog.names() == ["20260101T000000Z"]
    with pytest.raises(BackupError, match="no complete backup '20260102T000000Z'.*there are: 20260101T000000Z"):
        catalog.read("20260102T000000Z")
    assert catalog.clean() == 1
    assert not (vault.store.root / "backups" / "20260102T000000Z").exists()
    assert catalog.names() == ["20260101T000000Z"]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda text: text[: len(text) // 2], "truncated or damaged"),
        (lambda text: "[]", "truncated or damaged"),
        (lambda text: "", "truncated or damaged"),
        (lambda text: text.replace('"host": "one"', '"host": "two"'), "was changed"),
        (lambda text: json.dumps({**json.loads(text), "format": 2}), "newer than this collection"),
    ],
)
def test_a_manifest_that_is_not_as_it_was_written_is_refused(vault, spoil, words):
    complete(vault, "20260101T000000Z")
    path = vault.store.root / "backups/20260101T000000Z/manifest.json"
    path.write_text(spoil(path.read_text()))
    with pytest.raises(BackupError, match=words):
        Catalog(vault).read("20260101T000000Z")


def test_a_backup_of_another_key_names_both_keys(tmp_path):
    store = Directory(tmp_path / "backups" / "42")
    complete(Vault(store, Key(KEY)), "20260101T000000Z")
    with pytest.raises(BackupError, match=f"encrypted with the key {Key(KEY).id}.*is the key {Key(OTHER).id}"):
        Catalog(Vault(store, Key(OTHER))).read("20260101T000000Z")
    with pytest.raises(BackupError, match="there is no key"):
        Catalog(Vault(store, None)).read("20260101T000000Z")


def test_old_backups_go_with_what_they_alone_needed(vault):
    bucket = Bucket()
    bucket.put("old", b"only in the first")
    bucket.put("both", b"in both")
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    database = {"first_wal": "000000010000000000000003", "last_lsn": "0/3", "version": 180004, "size": 1, "archive": True}
    complete(vault, "20200101T000000Z", bucket, database=database)
    bucket.entries.pop(0)
    complete(vault, now, bucket, database={**database, "first_wal": "000000010000000000000005"})
    for number in (3, 4, 5, 6):
        vault.put(f"wal/0000000100000000000000{number:02X}.gz", [b"log"])
    vault.put("wal/00000002.history.gz", [b"history"])
    catalog = Catalog(vault)
    assert catalog.expire(30) == ["20200101T000000Z"]
    assert catalog.names() == [now]
    assert set(vault.store.names("objects")) == {record["place"] for record in catalog.objects(now)}
    assert len(vault.store.names("objects")) == 1
    assert sorted(vault.store.names("wal")) == [
        f"wal/{name}.gz" for name in ("000000010000000000000005", "000000010000000000000006", "00000002.history")
    ]


def test_the_newest_backup_stays_however_old_it_is(vault):
    complete(vault, "20200101T000000Z")
    assert Catalog(vault).expire(1) == []
    assert Catalog(vault).names() == ["20200101T000000Z"]


def test_names_sort_by_age_and_never_repeat(vault):
    catalog = Catalog(vault)
    first = catalog.new_name()
    complete(vault, first)
    assert catalog.new_name() > first


# --- the lock -----------------------------------------------------------------------------------------------------------------------------


def test_the_second_is_told_who_holds_the_lock_and_since_when(tmp_path):
    path = tmp_path / "lock"
    told = rf"another backup is under way: process {os.getpid()}, since 20\d\d-"
    with lock.held(path, "backup"), pytest.raises(BackupError, match=told), lock.held(path, "drill"):
        pass
    with lock.held(path, "drill"):
        pass


def test_the_lock_of_a_killed_holder_is_free(tmp_path):
    program = f"""
import sys, time
sys.path[:0] = [{str(FILES)!r}]
from mlops_backup import lock
with lock.held({str(tmp_path / "lock")!r}, "backup"):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BackupError, match=f"process {holder.pid}"), lock.held(tmp_path / "lock", "backup"):
        pass
    holder.kill()
    holder.wait()
    with lock.held(tmp_path / "lock", "backup"):
        pass


# --- objects ------------------------------------------------------------------------------------------------------------------------------


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
    store, bucket = Directory(tmp_path / "backups" / "42"), Bucket()
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


def test_settings_that_are_not_there_say_what_writes_them(tmp_path):
    from mlops_backup.settings import Settings

    with pytest.raises(BackupError, match="run playbooks/backup.yml"):
        Settings(tmp_path / "backup.json")
    assert settings(tmp_path, key_file=key_file(tmp_path)).key().id == Key(KEY).id


def test_the_variables_of_a_backup_can_be_read_without_an_installation(vault, tmp_path):
    variables = {"mlflow_processes": 4, "mlops_public_names": ["ml1"]}
    vault.put("backups/20260101T000000Z/state.json", [json.dumps({"variables": variables, "versions": {}}).encode()])

    def read(**environ):
        command = [sys.executable, FILES / "backup.py", "variables", tmp_path / "backups/42/backups/20260101T000000Z"]
        return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environ}, capture_output=True, text=True, check=False)

    found = read(MLOPS_BACKUP_KEY=KEY)
    assert (found.returncode, json.loads(found.stdout)) == (0, variables)
    without, other = read(), read(MLOPS_BACKUP_KEY=OTHER)
    if vault.key:
        assert (without.returncode, without.stdout) == (1, "") and "give backup_key" in without.stderr
        assert (other.returncode, other.stdout) == (1, "") and "another backup_key" in other.stderr
    else:
        assert json.loads(without.stdout) == variables
    assert KEY not in found.stderr + without.stderr + other.stderr
