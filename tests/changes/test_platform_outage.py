"""What mlflow_health says of the running platform while a part of it is stopped, and when that part is back."""

from __future__ import annotations

import pytest
from lib import platform_proc as proc
from lib.modules import run_module


@pytest.fixture
def stopped(platform):
    """Return a function that stops a service; it runs again afterwards."""
    names = []

    def stop(name):
        process = platform.service(name)
        names.append(name)
        assert "stopped" in platform.supervisor("stop", name)
        proc.wait_until(f"{name} is stopped", lambda: process.pid not in platform.processes(), 60)

    yield stop
    for name in names:
        platform.supervisor("start", name)
    platform.wait_until_up()


def health(platform, **options):
    return run_module("mlflow_health", {**platform.connections["mlflow"], "wait_timeout": 0, "grace": 0, "timeout": 240, **options})


def test_a_stopped_database_is_named(platform, stopped):
    """MLflow's own /health says OK all the while: the process lives, its database does not answer."""
    assert health(platform, depth="database")["status"] == "ok"
    stopped("postgresql")
    assert platform.http()("GET", "/health")[0] == 200
    result = health(platform, depth="database")
    assert result["failed"] is True
    assert (result["status"], result["step"], result["depth_reached"]) == ("db_unavailable", "read_database", "liveness"), result
    assert "PostgreSQL" in result["remedy"] and result["remedy"] in result["msg"]
    assert platform.secret("postgresql_mlflow_password") not in str(result)
    # with time to wait it sees the database come back
    assert "started" in platform.supervisor("start", "postgresql")
    again = health(platform, depth="database", wait_timeout=240, grace=240)
    assert (again["status"], again["depth_reached"]) == ("ok", "database"), again


def test_a_stopped_object_store_is_named(platform, stopped):
    """The database answers, and an artifact cannot be written."""
    name = {"depth": "roundtrip", "experiment_name": "outage"}
    assert health(platform, **name)["status"] == "ok"
    stopped("seaweedfs")
    assert health(platform, depth="database")["status"] == "ok"
    result = health(platform, **name)
    assert (result["failed"], result["status"], result["depth_reached"]) == (True, "artifact_store_unwritable", "database"), result
    assert "started" in platform.supervisor("start", "seaweedfs")
    again = health(platform, wait_timeout=240, grace=240, **name)
    assert (again["status"], again["depth_reached"], again["leftovers"]) == ("ok", "roundtrip", []), again
