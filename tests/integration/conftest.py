"""Connections to the servers that the integration tests use.

`MLOPS_TEST_CONNECTIONS` names a JSON file with the keys `s3`, `postgresql` and `mlflow`; each holds the connection options of that
family's modules (`endpoint_url`, `login_host`, `tracking_uri`, ...). `tests/run` writes it from the platform that site.yml made.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def connections():
    path = os.environ.get("MLOPS_TEST_CONNECTIONS")
    assert path, "MLOPS_TEST_CONNECTIONS is not set: run the integration tests with tests/run integration"
    return json.loads(Path(path).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def s3_connection(connections):
    """Options endpoint_url, access_key, secret_key, region, addressing_style of an administrator."""
    return connections["s3"]


@pytest.fixture(scope="session")
def pg_connection(connections):
    """Options login_host, login_port, login_user, login_password, login_db of a superuser."""
    return connections["postgresql"]


@pytest.fixture(scope="session")
def mlflow_connection(connections):
    """Options tracking_uri, username, password, ca_bundle of an administrator."""
    return connections["mlflow"]
