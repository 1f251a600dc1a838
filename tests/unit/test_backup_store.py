"""A directory as the destination of backups: one of somebody else, a full one, and what a killed program left there."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lib.backup_program import FILES, KEY, destination
from mlops_backup.catalog import Catalog
from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory, explain
from mlops_backup.vault import Vault


@pytest.fixture(params=["clear", "encrypted"])
def vault(request, tmp_path):
    return Vault(destination(tmp_path), Key(KEY) if request.param == "encrypted" else None)


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
store = Directory({str(destination(tmp_path).root)!r})
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
