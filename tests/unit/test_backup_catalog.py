"""The list of complete backups: what counts as one, what is refused, what goes when it is old, and what one says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from lib.backup_program import FILES, KEY, OTHER, Bucket, complete, destination
from mlops_backup.catalog import Catalog
from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.vault import Vault


@pytest.fixture(params=["clear", "encrypted"])
def vault(request, tmp_path):
    return Vault(destination(tmp_path), Key(KEY) if request.param == "encrypted" else None)


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
    store = destination(tmp_path)
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
