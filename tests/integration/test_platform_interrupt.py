"""A run that is killed half-way: the next one goes on from there, and the one after that changes nothing."""

from __future__ import annotations

import os
import time

import pytest
from lib import platform_proc as proc
from lib.platform import Platform

pytestmark = pytest.mark.skipif(
    "MLOPS_TEST_LONG" not in os.environ, reason="kills and repeats whole installations, 15 minutes and more: set MLOPS_TEST_LONG=1"
)


def test_a_killed_change_is_finished_by_the_next_run(platform):
    """Killed between the new file and the restart: the file is right already, and what runs is still the old one."""
    before = platform.service("postgresql")
    old = dict(platform.variables)
    try:
        platform.variables["postgresql_settings"] = {"work_mem": "6MB"}
        run = platform.start()
        assert run.wait_for_task("postgresql : Configure the server")
        proc.wait_until(
            "the new file", lambda: "6MB" in (platform.data_dir / "etc/postgresql/postgresql.conf").read_text(encoding="utf-8"), 30
        )
        run.kill()
        assert platform.service("postgresql").start == before.start
        platform.run().ok()
        assert platform.service("postgresql").start != before.start
        with platform.database("postgres") as cursor:
            cursor.execute("SHOW work_mem")
            assert cursor.fetchone() == ("6MB",)
        platform.run().unchanged()
    finally:
        platform.variables.clear()
        platform.variables.update(old)
        platform.run().ok()


def test_a_killed_rolling_restart_is_finished_by_the_next_run(platform):
    """Killed while a process is out of the balance: the next run puts it back, and restarts what still has the old files."""
    old = dict(platform.variables)
    before = {port: platform.service(f"mlflow-{port}").start for port in platform.mlflow_ports}
    try:
        platform.variables["mlflow_auth_cache_seconds"] = 59
        run = platform.start()
        assert run.wait_for_task("Restart the stale processes of MLflow")
        time.sleep(2)
        run.kill()
        platform.run().ok()
        assert all(platform.service(f"mlflow-{port}").start != before[port] for port in platform.mlflow_ports)
        servers = (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()
        assert all(f":{port}" in servers for port in platform.mlflow_ports)
        platform.run().unchanged()
    finally:
        platform.variables.clear()
        platform.variables.update(old)
        platform.run().ok()


def test_killed_changes_of_passwords_are_finished_by_the_next_run(platform):
    """Killed after new passwords were kept and before, or after, the servers had them; and changed once more each time."""
    old = dict(platform.variables)
    try:
        for stop in ("Log in as the superuser with its password", "Make the databases", "Hold the administrator to the password"):
            platform.variables.update(
                postgresql_superuser_password=f"one {time.time()}",
                postgresql_account_passwords={"mlflow": f"two {time.time()}", "seaweedfs": f"three {time.time()}"},
                mlflow_admin_password=f"four four four {time.time()}",
            )
            run = platform.start()
            reached = run.wait_for_task(stop)
            run.kill()
            assert reached, f"no task {stop!r} any more: name another one here\n{run.output_file.read_text()[-2000:]}"
        # the old passwords again: none of those that were interrupted
        platform.variables.clear()
        platform.variables.update(old)
        platform.run().ok()
        platform.wait_until_up()
        platform.run().unchanged()
        assert not list((platform.data_dir / "secrets").glob("*.previous*"))
    finally:
        platform.variables.clear()
        platform.variables.update(old)


@pytest.fixture
def second():
    """Another platform beside the first one, not installed yet."""
    platform = Platform.new(ports=26600, name="mlops-test-b")
    yield platform
    platform.reset()


# names of tasks, in the order in which a first installation comes to them; each run is killed in the next one
POINTS = (
    "with the hashes of the lock file, of tools",
    "Initialise the database cluster",
    "with the hashes of the lock file, of mlflow",
    "Migrate both schemas",
)


def test_a_first_installation_that_is_killed_again_and_again(second):
    """Each run is killed a little later than the one before; then one is left to finish, and finds nothing that it trips over."""
    for name in POINTS:
        run = second.start()
        reached = run.wait_for_task(name)
        time.sleep(0.7)
        run.kill()
        assert reached, f"no task {name!r} any more: name another one here\n{run.output_file.read_text()[-2000:]}"
    second.install()
    second.wait_until_up()
    second.run().unchanged()
