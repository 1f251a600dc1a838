"""What users deleted long ago is deleted for good, artifacts first, but nothing that a registered model needs."""

from __future__ import annotations

import fcntl
import json
import os
import signal

import pytest
from lib import platform_proc as proc
from lib.long_tests import LONG
from lib.platform_garbage import API, age, artifacts, deleted_runs, make, rows, there


@pytest.fixture
def deleted(platform):
    with deleted_runs(platform) as found:
        yield found


@LONG
def test_only_what_is_old_and_that_nobody_needs_goes(platform, deleted):
    everything = {"old", "recent", "needed", "within"}
    predicted = platform.run("playbooks/garbage.yml", check=True).ok()
    assert predicted.stats["changed"] == 1
    assert there(platform, deleted) == (everything, everything)
    run = platform.run("playbooks/garbage.yml", "-vvv").ok()
    assert run.stats["changed"] == 1
    assert "runs: 2" in run.output and "experiments: 1" in run.output
    assert there(platform, deleted) == ({"recent", "needed"}, {"recent", "needed"})
    with platform.database("mlflow") as cursor:
        cursor.execute("SELECT count(*) FROM experiments WHERE experiment_id = %s", (int(deleted["other"]),))
        assert cursor.fetchone() == (0,)
    assert platform.secret("mlflow_admin_password") not in run.output
    platform.run("playbooks/garbage.yml").unchanged()


@LONG
def test_what_is_killed_half_way_is_ended_by_the_next(platform):
    """Artifacts go first, so nothing is left that no row names; the lock is free at once."""
    http = platform.http()
    experiment = http.json("POST", f"{API}/experiments/create", {"name": f"garbage that is killed {os.urandom(3).hex()}"})["experiment_id"]
    runs = [make(http, experiment, f"killed-{number}") for number in range(30)]
    for run in runs:
        http.json("POST", f"{API}/runs/delete", {"run_id": run})
    age(platform, runs)
    playbook = platform.start("playbooks/garbage.yml")
    proc.wait_until("the first runs to go", lambda: len(rows(platform, runs)) < len(runs), 600, interval=0.02)
    os.kill(json.loads((platform.data_dir / "run/backup.lock").read_text())["pid"], signal.SIGKILL)
    assert playbook.wait().code != 0
    left = rows(platform, runs)
    assert left
    assert {run for run in runs if artifacts(platform, run)} <= left
    platform.run("playbooks/garbage.yml").ok()
    assert rows(platform, runs) == set()
    assert not [run for run in runs if artifacts(platform, run)]


@LONG
def test_a_backup_that_is_under_way_is_waited_for(platform, deleted):
    with (platform.data_dir / "run/backup.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = platform.run("playbooks/garbage.yml")
    assert run.code != 0
    assert "a backup, restore or deletion is under way" in run.output
    assert there(platform, deleted)[0] == {"old", "recent", "needed", "within"}
    refused = platform.run("playbooks/garbage.yml", extra={"mlops_backup": True, "garbage_days": 7})
    assert "garbage_days: 7 is less than backup_retention_days (30)" in str(refused.failed)


@LONG
def test_the_schedule_does_it_and_ends(platform, deleted):
    platform.variables["garbage_schedule"] = True
    try:
        predicted = platform.run(check=True, diff=True, tags="garbage").ok()
        assert platform.run(tags="garbage").ok().stats["changed"] == predicted.stats["changed"]
        # what was due today is made up for at once
        proc.wait_until("the schedule", lambda: there(platform, deleted) == ({"recent", "needed"}, {"recent", "needed"}), 600)
        metrics = platform.data_dir / "garbage/mlops_garbage.prom"
        proc.wait_until("its metrics", metrics.exists, 60)
        assert "mlops_garbage_deleted_runs 2\n" in metrics.read_text()
        platform.run().unchanged()
        platform.run(check=True, diff=True).unchanged()
        platform.run("playbooks/doctor.yml", extra={"doctor_fail_on": "warning"}).unchanged()
        platform.supervisor("stop", "garbage")
        assert "service-stopped" in str(platform.run("playbooks/doctor.yml").failed)
    finally:
        platform.variables["garbage_schedule"] = False
    predicted = platform.run(check=True, diff=True, tags="garbage").ok()
    assert platform.run(tags="garbage").ok().stats["changed"] == predicted.stats["changed"]
    assert "garbage" not in platform.supervisor("status")
    platform.run(tags="garbage").unchanged()
