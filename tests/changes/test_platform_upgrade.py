"""An upgrade of MLflow on a real platform with data, failures in each of its steps, runs that are killed, and two at a time."""

from __future__ import annotations

import pytest
from lib.long_tests import LONG
from lib.platform_journal import API, Journal, write
from lib.platform_upgrade import NEW, OLD, old_on_host

# with two MLflows and all runs of playbooks it takes an hour
pytestmark = LONG


@pytest.fixture(scope="module")
def old():
    """A platform of its own with the older MLflow and data."""
    with old_on_host() as found:
        yield found


@pytest.mark.parametrize("step", ["install", "backup", "stop", "save", "migrate", "start", "verify"])
def test_what_fails_ends_on_the_old_version_with_all_data(old, step):
    run = old.upgrade(upgrade_fail_at=step)
    assert run.code != 0
    assert f"upgrade_fail_at is {step}" in run.failed[-1]
    assert f"MLflow {OLD} runs again" in run.failed[-1]
    restored = "with databases and objects of the backup" in run.failed[-1]
    assert restored == (step in ("migrate", "start", "verify"))
    assert old.journal()["state"] == "returned"
    old.complete(OLD)


def test_a_migration_that_breaks_in_the_middle_ends_on_the_old_version_with_all_data(old):
    """Not a failure that is injected: of the newer schema there is a table already, which its last migration wants to make."""
    with old.platform.database("mlflow", user="mlflow") as cursor:
        cursor.execute("CREATE TABLE job_locks (of_another text)")
        cursor.execute("INSERT INTO job_locks VALUES ('and not empty')")
    try:
        before = schema(old.platform)
        run = old.upgrade()
        assert run.code != 0
        assert 'relation "job_locks" already exists' in run.failed[-1]
        assert f"MLflow {OLD} runs again with databases and objects of the backup" in run.failed[-1]
        assert old.journal()["state"] == "returned"
        # the migrations before it had made tables and columns of their own
        assert schema(old.platform) == before
        with old.platform.database("mlflow", user="mlflow") as cursor:
            cursor.execute("SELECT of_another FROM job_locks")
            assert cursor.fetchall() == [("and not empty",)]
        old.complete(OLD)
    finally:
        with old.platform.database("mlflow", user="mlflow") as cursor:
            cursor.execute("DROP TABLE job_locks")


def schema(platform):
    """Return the revisions, and the columns of all tables, of MLflow's databases."""
    found = []
    for name, versions in (("mlflow", "alembic_version"), ("mlflow_auth", "alembic_version_auth")):
        with platform.database(name) as cursor:
            cursor.execute(f"SELECT version_num FROM {versions}")  # noqa: S608 - one of the two above
            found += cursor.fetchall()
            cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2")
            found += cursor.fetchall()
    return found


def test_what_users_write_until_the_writers_stop_comes_back(old):
    running = old.platform.start("playbooks/upgrade.yml", extra={"mlflow_version": NEW, "upgrade_fail_at": "migrate"})
    assert running.wait_for_task("Take a verified backup")
    with Journal(old.platform) as journal:
        assert running.wait_for_task("Count the rows again") or running.wait_for_task("Go back")
    assert running.wait().code != 0
    assert journal.runs
    old.runs += journal.runs
    old.complete(OLD)


def test_a_second_one_at_the_same_time_is_refused_and_told_who_has_the_turn(old):
    first = old.platform.start("playbooks/upgrade.yml", extra={"mlflow_version": NEW, "upgrade_fail_at": "stop"})
    assert first.wait_for_task("Take a verified backup")
    second = old.upgrade()
    assert second.code != 0
    assert f"process {first.process.pid}, since 20" in second.failed[-1]
    site = old.platform.run(extra={"mlflow_version": NEW})
    assert site.code != 0
    assert f"process {first.process.pid}" in str(site.failed)
    assert "upgrade_fail_at is stop" in first.wait().failed[-1]
    old.complete(OLD)


def test_a_downgrade_and_an_unknown_version_are_refused_before_anything_is_touched(old):
    before = old.platform.fingerprint()
    for given, words in (({"mlflow_version": "3.1.0"}, "cannot install"), ({"mlops_reserve_mb": 10**9}, "free")):
        run = old.upgrade(**given)
        assert run.code != 0
        assert words in str(run.failed)
    assert old.platform.fingerprint() == before


def test_one_that_is_killed_while_it_goes_back_is_gone_back_with(old):
    running = old.platform.start("playbooks/upgrade.yml", extra={"mlflow_version": NEW, "upgrade_fail_at": "start"})
    assert running.wait_for_task("backup : Restore it")
    running.kill()
    assert old.journal()["state"] == "returning"
    site = old.platform.run(extra={"mlflow_version": NEW})
    assert site.code != 0
    assert "playbooks/upgrade.yml" in str(site.failed)
    run = old.upgrade()
    assert run.code != 0
    assert f"MLflow {OLD} runs again" in run.failed[-1]
    old.complete(OLD)


def test_one_that_is_killed_in_the_migration_is_gone_on_with(old):
    running = old.platform.start("playbooks/upgrade.yml", extra={"mlflow_version": NEW})
    assert running.wait_for_task("Migrate both schemas")
    running.kill()
    backup = old.journal()["backup"]
    old.upgrade().ok()
    assert (old.journal()["state"], old.journal()["backup"]) == ("done", backup)
    old.complete(NEW)


def test_by_hand_it_goes_back_and_site_yml_upgrades(old):
    later = write(old.platform.http(), "after-the-upgrade", b"later")
    run = old.upgrade(upgrade_back=True)
    assert run.code != 0
    assert "not confirmed" in str(run.failed)
    old.upgrade(upgrade_back=True, backup_restore_confirm=str(old.platform.data_dir)).ok()
    old.complete(OLD)
    # the way back is to the moment before the upgrade, as it says
    assert old.platform.http()("GET", f"{API}/runs/get?run_id={later['id']}")[0] == 404

    old.platform.variables["mlflow_version"] = NEW
    old.platform.run().ok()
    old.complete(NEW)
    refused = old.platform.run(extra={"mlflow_version": OLD})
    assert "an older one cannot read" in str(refused.failed)
    old.platform.run().unchanged()
