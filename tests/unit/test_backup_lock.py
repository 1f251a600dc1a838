"""On a host one backup, restore or drill at a time: the lock is a file, which a killed holder gives back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from lib.backup_program import FILES
from mlops_backup import lock
from mlops_backup.problems import BackupError


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
