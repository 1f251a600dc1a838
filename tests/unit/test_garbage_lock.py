"""Garbage is deleted while no backup, restore or upgrade is under way, which on a host are told in words."""

from __future__ import annotations

import fcntl
import importlib.util
import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal
from lib.backup_program import FILES
from lib.render import ROOT
from mlops_backup import lock

spec = importlib.util.spec_from_file_location("mlflow_garbage", ROOT / "roles/garbage/files/mlflow_garbage.py")
garbage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(garbage)


@pytest.fixture
def data(tmp_path):
    """A data directory, with the directories that are in every one."""
    for name in ("run", "upgrade"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_others_see_who_has_the_lock_and_get_it_afterwards(data):
    lock = data / "run/backup.lock"
    with garbage.alone(str(data)):
        assert json.loads(lock.read_text())["what"] == "deletion of garbage"
        with lock.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert other.read() == ""


def test_a_backup_that_is_under_way_is_named(data):
    with (data / "run/backup.lock").open("w") as other:
        other.write('{"what": "backup", "pid": 7}')
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match='"backup", "pid": 7.*nothing was deleted'), garbage.alone(str(data)):
            pass


@pytest.mark.parametrize("state", upgrade_journal.STATES)
def test_an_upgrade_is_waited_for_while_mlflow_stands_still(data, state):
    (data / "upgrade/journal.json").write_text(json.dumps({"state": state}))
    if state in upgrade_journal.PENDING:
        with pytest.raises(RuntimeError, match=f"an upgrade is at {state}"), garbage.alone(str(data)):
            pass
    else:
        with garbage.alone(str(data)):
            pass


def test_the_lock_of_a_cluster_is_that_of_backups():
    """Two programs in different images, neither of which has the other's files."""
    assert (lock.SPACE, lock.NUMBER) == garbage.LOCK
    # the program's own, which lib.backup_program has found
    assert lock.__file__.startswith(str(FILES))
