"""The EXAMPLES of the mlflow_* modules, as they stand, on a real server: at -vvv, and with an eye on the secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from lib.examples import examples, play
from lib.platform_clients import Http
from lib.platform_sweep import needles, search

VARIABLES = yaml.safe_load((Path(__file__).parent / "examples_vars_mlflow.yml").read_text(encoding="utf-8"))
# how many of its tasks change something: the run of the health check; creating, rotating and twice deleting users
CHANGED = {"mlflow_health": (0, 1), "mlflow_info": (0, 0), "mlflow_user": (4, 4)}


@pytest.mark.parametrize("name", CHANGED)
def test_examples(mlflow_connection, tmp_path, name):
    planted = {key: f"{os.urandom(8).hex()} planted {key}" for key in VARIABLES}
    connection = {f"mlflow_{key}": mlflow_connection[key] for key in ("tracking_uri", "username", "password")}
    environment = {}
    if mlflow_connection.get("ca_bundle"):
        environment["MLFLOW_TRACKING_SERVER_CERT_PATH"] = mlflow_connection["ca_bundle"]
    code, output, counters = play(tmp_path, examples(name), {**connection, **planted}, environment)
    assert code == 0, output[-6000:]
    # every task ran
    assert counters["failed"] == counters["skipped"] == 0 < counters["ok"]
    least, most = CHANGED[name]
    assert least <= counters["changed"] <= most, counters
    # the passwords were among the arguments that -vvv shows
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in output
    assert not search(output.encode(), needles({**planted, "password": mlflow_connection["password"]}))
    if name == "mlflow_user":
        login = (mlflow_connection["username"], mlflow_connection["password"])
        users = Http(mlflow_connection["tracking_uri"], login, mlflow_connection.get("ca_bundle")).json("GET", "/api/2.0/mlflow/users/list")
        assert not {"pipeline", "second-admin"} & {user["username"] for user in users["users"]}, "the example removes what it made"
