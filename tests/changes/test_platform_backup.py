"""Backups of a platform under load, and what a restore brings back when data are lost, or one table at a known second."""

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
import yaml
from lib import platform_proc as proc
from lib.backup_program import KEY
from lib.long_tests import LONG
from lib.platform import PORTS
from lib.platform_journal import Journal, missing

BUCKET, MANY = "mlflow-artifacts", 200
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
@pytest.mark.parametrize("lost", [("postgresql",), ("seaweedfs",), ("postgresql", "seaweedfs")], ids=" and ".join)
def test_everything_that_was_acknowledged_comes_back_when_data_are_lost_under_load(backed_up, lost):
    platform = backed_up
    with Journal(platform) as journal:
        time.sleep(5)
        platform.run("playbooks/backup.yml").ok()
        time.sleep(2 * SETTINGS["mlops_backup_wal_seconds"] + 10)
        lost_at = time.time()
        kill_everything(platform)
    # the archive has everything up to here, and the last backup has it byte for byte
    point = seconds(manifests(platform)[-1]["point"]["time"])
    archived = lost_at - 2 * SETTINGS["mlops_backup_wal_seconds"] - 5
    assert len(journal.before(point)) > 3 and len(journal.before(archived)) > len(journal.before(point))
    for name in lost:
        shutil.rmtree(platform.data_dir / name)

    restored = restore(platform)

    # objects that were not lost are all there; of those that were, the ones of the backup
    assert missing(platform, journal.before(archived if lost == ("postgresql",) else point)) == []
    # the rows of later runs come from the write-ahead log; where artifacts were lost, the audit would not know: a run needs none
    there = [run for run in journal.runs if platform.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={run['id']}")[0] == 200]
    assert {run["id"] for run in journal.before(archived)} <= {run["id"] for run in there}
    report = json.loads((platform.data_dir / "backup" / "audit.json").read_text())
    assert report["counts"]["rows_without_objects"] == report["counts"]["objects_of_the_backup_missing"] == 0
    last = max(run["acknowledged"] for run in journal.runs)
    rows = last - max(run["acknowledged"] for run in there)
    artifacts = rows if lost == ("postgresql",) else last - point
    print(f"lost: rows of the last {rows:.0f} s, artifacts of the last {artifacts:.0f} s; back in {restored.seconds / 60:.1f} minutes")


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
    # a restore takes its time, and the newest state is not from tomorrow
    assert float(measured["mlops_drill_recovery_time_seconds"]) > 0 <= float(measured["mlops_drill_recovery_point_seconds"])
    answer = yaml.safe_load(run.output[run.output.index("msg:", run.output.rindex("Say what was measured")) :].split("\n\n")[0])["msg"]
    assert answer["rows"]["mlflow.runs"] >= len(backed_up.journal.runs)
    assert answer["objects"]["restored"] > 0 < answer["objects"]["checked"]
    print({name: value for name, value in measured.items() if "recovery" in name}, f"{run.seconds:.0f} s")


@LONG
def test_a_drill_of_a_damaged_backup_fails_and_says_so(backed_up):
    platform = backed_up
    # as long as before, and not what was written
    (damaged,) = sorted(place(platform).glob("*/objects/*/*"), key=lambda path: path.stat().st_size)[-1:]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        run = platform.run("playbooks/drill.yml")
    finally:
        damaged.write_bytes(whole)
    assert run.code != 0
    assert damaged.name[:40] in "".join(run.output.split()) and "damaged" in run.output
    assert "mlops_drill_last_attempt_success 0" in (platform.data_dir / "backup/mlops_backup.prom").read_text()
    assert not (platform.data_dir / "backup" / "drill").exists()


@LONG
def test_a_killed_drill_is_not_in_the_way_of_the_next_one(backed_up):
    platform = backed_up
    running = platform.start("playbooks/drill.yml")
    proc.wait_until("the drill's object store", (platform.data_dir / "backup/drill/seaweedfs/log").exists, 240)
    running.kill()
    for pid in processes(platform, "drill"):
        os.kill(pid, signal.SIGKILL)
    platform.run("playbooks/drill.yml").ok()
    assert not (platform.data_dir / "backup" / "drill").exists()


@LONG
def test_a_killed_backup_is_no_backup_and_keeps_nobody_out(backed_up):
    platform, before = backed_up, [manifest["name"] for manifest in manifests(backed_up)]
    running = platform.start("playbooks/backup.yml")
    proc.wait_until("a base backup", lambda: any((platform.data_dir / "backup").glob("staging/base/*")), 240)
    running.kill()
    # the program of an asynchronous task goes on without Ansible
    for pid in processes(platform, "backup"):
        os.kill(pid, signal.SIGKILL)
    assert [manifest["name"] for manifest in manifests(platform)] == before
    platform.run("playbooks/backup.yml").ok()
    assert [manifest["name"] for manifest in manifests(platform)][:-1] == before


@LONG
def test_an_object_store_that_goes_away_in_the_middle_of_a_backup_leaves_nothing_that_is_listed(backed_up, many_objects):
    platform, before = backed_up, [manifest["name"] for manifest in manifests(backed_up)]
    many_objects()
    earlier = copies(platform)
    running = platform.start("playbooks/backup.yml")
    proc.wait_until("some of the objects are copied", lambda: len(copies(platform)) > len(earlier) + 5, 240, interval=0.02)
    with no_object_store(platform):
        run = running.wait()
        copied = copies(platform)
        # the others would have been copied by then
        assert len(earlier) < len(copied) < len(earlier) + MANY
    assert run.code != 0
    assert "Back up databases and objects: the object store: " in run.failed[-1] and "Earlier backups stay" in run.failed[-1]
    assert platform.connections["s3"]["endpoint_url"] in run.failed[-1]
    assert "mlops_backup_last_attempt_success 0" in (platform.data_dir / "backup/mlops_backup.prom").read_text()
    assert [manifest["name"] for manifest in manifests(platform)] == before
    platform.run("playbooks/backup.yml").ok()
    *others, last = manifests(platform)
    assert [manifest["name"] for manifest in others] == before
    # what was copied is not written again, and of the backup that failed nothing else is left
    assert last["objects"]["new_versions"] >= MANY and last["interrupted_before"] > 0
    assert copied.items() <= copies(platform).items()
    assert {path.name for path in place(platform).glob("*/backups/*")} == {*before, last["name"]}


@LONG
def test_an_object_store_that_goes_away_in_the_middle_of_a_restore_is_restored_by_the_next_one(backed_up, many_objects):
    platform = backed_up
    many_objects()
    with Journal(platform) as journal:
        time.sleep(5)
    platform.run("playbooks/backup.yml").ok()
    before = [manifest["name"] for manifest in manifests(platform)]
    kill_everything(platform)
    shutil.rmtree(platform.data_dir / "seaweedfs")
    running = platform.start("playbooks/restore.yml", extra={"backup_restore_confirm": str(platform.data_dir)})
    proc.wait_until(
        "some of the objects are written", lambda: processes(platform, "restore-objects") and blobs(platform) > 2**23, 600, 0.02
    )
    with no_object_store(platform):
        run = running.wait()
    assert run.code != 0
    assert "Restore the objects: the object store: " in run.failed[-1] and "restore again with the same variables" in run.failed[-1]
    assert platform.connections["s3"]["endpoint_url"] in run.failed[-1] and "MLflow stands still" in run.failed[-1]
    # nobody writes into what is half there, and no backup is taken of it
    assert not platform.answers()
    assert [manifest["name"] for manifest in manifests(platform)] == before
    restore(platform)
    assert missing(platform, journal.runs) == []
    report = json.loads((platform.data_dir / "backup" / "audit.json").read_text())
    assert report["counts"]["rows_without_objects"] == report["counts"]["objects_of_the_backup_missing"] == 0
    platform.run("playbooks/backup.yml").ok()


@pytest.fixture
def many_objects(backed_up):
    """Return a function that puts so many objects into the bucket that their copy has a middle; they are removed afterwards."""

    def put():
        s3, prefix = backed_up.s3(), f"many/{time.monotonic_ns()}"
        for number in range(MANY):
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{number}", Body=os.urandom(2**20))

    yield put
    s3 = backed_up.s3()
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix="many/"):
        for one in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])


@contextlib.contextmanager
def no_object_store(platform):
    """The object store answers no request that is under way, and is gone during the block; it runs again afterwards."""
    process = platform.service("seaweedfs")
    # first as it is when its machine hangs; the supervisor ends it half a minute later
    os.kill(process.pid, signal.SIGSTOP)
    assert "stopped" in platform.supervisor("stop", "seaweedfs")
    try:
        yield
    finally:
        platform.supervisor("start", "seaweedfs")
        proc.wait_until("S3", lambda: platform.s3().list_buckets()["Buckets"], 120)


def copies(platform):
    """Return the contents at the destination, {name: when it was written}."""
    return {path.name: path.stat().st_mtime_ns for path in place(platform).glob("*/objects/*/*")}


def blobs(platform):
    """Return how many bytes of objects the object store has on its disk."""
    return sum(path.stat().st_size for path in (platform.data_dir / "seaweedfs").rglob("*.dat"))


def processes(platform, command):
    """Return the process ids of what does `command` of the platform's backup program."""
    found, program = [], f"{platform.data_dir}/bin/backup.py\0{command}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if program in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found
