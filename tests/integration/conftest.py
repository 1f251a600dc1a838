"""The servers that the integration tests use: a platform of their own, made by site.yml, unless MLOPS_TEST_CONNECTIONS names others.

`MLOPS_TEST_CONNECTIONS` names a JSON file with the keys `s3`, `postgresql` and `mlflow`; each holds the connection options of that
family's modules (`endpoint_url`, `login_host`, `tracking_uri`, ...). Then no platform is made, and its own tests are skipped.
lib.platform_session says how to keep the platform.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from lib import modules
from lib.platform_interrupt import install_through_kills
from lib.platform_session import session_platform
from lib.postgresql_server import database_state, pg_admin, pg_names
from lib.s3_buckets import bucket, bucket_name, make_bucket, run_bucket, s3, versioned

# the fixtures of lib/
__all__ = ["bucket", "bucket_name", "database_state", "make_bucket", "pg_admin", "pg_names", "run_bucket", "s3", "versioned"]

GIVEN = os.environ.get("MLOPS_TEST_CONNECTIONS")
# order of the files: what only looks comes first, what interrupts comes last
LATE = (
    "test_platform_contract.py",
    "test_platform_refusals.py",
    "test_platform_security.py",
    "test_platform_interrupt.py",
    # takes the platform's own object store away and makes it anew
    "test_object_store_migration.py",
)


def pytest_configure(config):
    if not GIVEN and "MLOPS_TEST_MLFLOW_PYTHON" not in os.environ:
        # read when the test files are imported; the file itself is written when there is a platform
        config.mlflow_python = Path(tempfile.mkdtemp(prefix="mlops-test-")) / "python"
        os.environ["MLOPS_TEST_MLFLOW_PYTHON"] = str(config.mlflow_python)


def pytest_unconfigure(config):
    if hasattr(config, "mlflow_python"):
        config.mlflow_python.unlink(missing_ok=True)
        config.mlflow_python.parent.rmdir()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LATE.index(item.path.name) if item.path.name in LATE else -1)


# what is measured there belongs to a process from its start
UNFORKED = ("test_s3_copy.py",)


@pytest.fixture(autouse=True)
def _modules_forked(request, monkeypatch):
    """A module's imports are two thirds of its time: modules are forked from a process that has done them."""
    monkeypatch.setattr(modules, "FORKED", request.path.name not in UNFORKED)


@pytest.fixture(scope="session")
def platform(request):
    """A running platform of these tests' own (lib.platform.Platform)."""
    if GIVEN:
        pytest.skip("MLOPS_TEST_CONNECTIONS names other servers")
    with session_platform(install_through_kills) as platform:
        if hasattr(request.config, "mlflow_python"):
            request.config.mlflow_python.write_text(f'#!/bin/sh\nexec {platform.python("mlflow")} "$@"\n', encoding="ascii")
            request.config.mlflow_python.chmod(0o700)
        yield platform


@pytest.fixture(scope="session", autouse=True)
def _mlflow_python(request):
    """The tests with broken servers run MLflow from the platform's environment: it must be there before they ask."""
    needed = any(item.path.name == "test_mlflow_modules_broken.py" for item in request.session.items)
    if needed and hasattr(request.config, "mlflow_python"):
        request.getfixturevalue("platform")


@pytest.fixture(scope="session")
def connections(request):
    if GIVEN:
        return json.loads(Path(GIVEN).read_text(encoding="utf-8"))
    return request.getfixturevalue("platform").connections


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
