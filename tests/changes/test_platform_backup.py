"""Backups of a platform under load, and what a restore brings back when everything is lost, or one table at a known second."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from lib import platform_proc as proc
from lib.long_tests import LONG
from lib.platform import PORTS
from lib.platform_journal import Journal, missing, write

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2
SETTINGS = {"mlops_backup": True, "mlops_backup_wal_seconds": 5, "backup_key": KEY, "backup_drill_port": PORTS + 71}


@pytest.fixture(scope="module")
def backed_up(platform):
    """The platform with backups switched on, and one taken while clients wrote; what they wrote is in its `journal`."""
    platform.variables.update(SETTINGS)
    try:
        platform.run().ok()
        # the schedule takes the first one by itself
        proc.wait_until("the first backup", lambda: manifests(platform), 180)
        with Journal(platform) as journal:
            time.sleep(5)
            platform.run("playbooks/backup.yml").ok()
        platform.journal = journal
        yield platform
    finally:
        for name in SETTINGS:
            del platform.variables[name]
        platform.run().ok()
        # the tests after these have a platform of which no backup was ever taken
        for path in (place(platform), platform.data_dir / "backup"):
            shutil.rmtree(path, ignore_errors=True)
        (platform.data_dir / "etc/backup.json").unlink(missing_ok=True)


def place(platform):
    return Path(f"{platform.data_dir}-backup")


def manifests(platform):
    """Return the manifests of the complete backups, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(place(platform).glob("*/backups/*/manifest.json"))]


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def restore(platform, **variables):
    """Restore in place; return the run, and print what it took."""
    run = platform.run("playbooks/restore.yml", extra={"backup_restore_confirm": str(platform.data_dir), **variables}).ok()
    print(f"\nrestored in {run.seconds / 60:.1f} minutes")
    return run


def kill_everything(platform):
    """End every process at once, as a loss of the machine would."""
    while found := proc.below(platform.data_dir):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


@LONG
def test_everything_that_was_acknowledged_comes_back_when_all_data_are_lost(backed_up):
    platform, journal = backed_up, backed_up.journal
    # the archive has everything up to here, and the last backup has it byte for byte
    point = seconds(manifests(platform)[-1]["point"]["time"])
    assert len(journal.before(point)) > 3
    later = write(platform.http(), "after-the-backup", b"after" * 1000)
    time.sleep(2 * SETTINGS["mlops_backup_wal_seconds"] + 5)
    lost_at = time.time()
    kill_everything(platform)
    shutil.rmtree(platform.data_dir / "postgresql")
    shutil.rmtree(platform.data_dir / "seaweedfs")

    restore(platform)

    assert missing(platform, journal.before(point)) == []
    # the rows of later runs come from the write-ahead log; their artifacts were lost, and the audit would not know: a run needs none
    status, _headers, words = platform.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={later['id']}")
    assert status == 200, words
    rows = [run for run in journal.runs if platform.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={run['id']}")[0] == 200]
    assert len(rows) == len(journal.runs)
    report = json.loads((platform.data_dir / "backup" / "audit.json").read_text())
    assert report["counts"] == {"rows_without_objects": 0, "objects_without_rows": 0, "objects_of_the_backup_missing": 0}
    print(f"lost: no row; artifacts of the last {lost_at - point:.0f} s")


def test_a_dropped_table_is_back_as_it_was_the_second_before(backed_up):
    platform = backed_up
    with Journal(platform) as journal:
        time.sleep(5)
    time.sleep(1.5)
    target = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    time.sleep(1.5)
    with platform.database("mlflow") as cursor:
        cursor.execute("DROP TABLE params")
    # what MLflow makes of a query that PostgreSQL refuses
    assert platform.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={journal.runs[-1]['id']}")[0] == 400

    restore(platform, backup_restore_time=target.isoformat())

    # what was set aside of the objects is not needed: their store was not lost
    assert missing(platform, journal.runs) == []


def test_a_drill_measures_and_leaves_nothing(backed_up):
    platform = backed_up
    metrics = platform.data_dir / "backup/mlops_backup.prom"
    before = {**platform.fingerprint(), str(metrics): None}
    with Journal(platform, clients=1):
        run = platform.run("playbooks/drill.yml").ok()
    assert {**platform.fingerprint(), str(metrics): None} == before
    assert not (platform.data_dir / "backup" / "drill").exists()
    measured = dict(line.split() for line in metrics.read_text().splitlines() if not line.startswith("#"))
    assert measured["mlops_drill_last_attempt_success"] == "1.0"
    print({name: value for name, value in measured.items() if "recovery" in name}, f"{run.seconds:.0f} s")


@LONG
def test_a_killed_backup_is_no_backup_and_keeps_nobody_out(backed_up):
    platform, before = backed_up, [manifest["name"] for manifest in manifests(backed_up)]
    running = platform.start("playbooks/backup.yml")
    proc.wait_until("a base backup", lambda: any((platform.data_dir / "backup").glob("staging/base/*")), 240)
    running.kill()
    # the program of an asynchronous task goes on without Ansible
    for pid in backup_processes(platform):
        os.kill(pid, signal.SIGKILL)
    assert [manifest["name"] for manifest in manifests(platform)] == before
    platform.run("playbooks/backup.yml").ok()
    assert [manifest["name"] for manifest in manifests(platform)][:-1] == before


def backup_processes(platform):
    """Return the process ids of what takes a backup of the platform."""
    found, program = [], f"{platform.data_dir}/bin/backup.py\0backup\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if program in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found
