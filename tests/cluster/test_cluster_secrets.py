"""Changing one password rotates exactly what uses it."""

from __future__ import annotations

import secrets

import psycopg2
import pytest
from lib import platform_clients as clients
from lib.cluster_platform import settled
from lib.long_tests import LONG

# which components' pods are replaced when the secret changes: those that read it when they start, and no other. A changed password of
# PostgreSQL's superuser, or of MLflow's administrator, is told to the server alone.
USERS = {
    "postgresql_mlflow_password": {"mlflow"},
    "postgresql_seaweedfs_password": {"object-store"},
    "postgresql_superuser_password": set(),
    "object_store_mlflow_secret_key": {"mlflow", "object-store"},
    "object_store_admin_secret_key": {"object-store"},
    "mlflow_admin_password": set(),
}


def components(platform):
    label = "app.kubernetes.io/component"
    return {name: (pod.metadata.labels[label], pod.metadata.uid) for name, pod in platform.pods().items()}


def change(platform, name):
    """Give the secret another value among the platform's variables, and return it."""
    value = f"{secrets.token_hex(8)} 'new' {{{{ 7 * 7 }}}}"
    account = name.removeprefix("postgresql_").removesuffix("_password")
    if account in platform.variables["postgresql_account_passwords"]:
        platform.variables["postgresql_account_passwords"] = {**platform.variables["postgresql_account_passwords"], account: value}
    else:
        platform.variables[name] = value
    return value


@LONG
@pytest.mark.parametrize("name", sorted(USERS))
def test_a_changed_password_rotates_what_uses_it(platform, name):
    settled(platform)
    before, old = components(platform), platform.secrets()
    run_id = platform.new_run("rotate")
    platform.put_artifact(run_id, "kept.bin", b"kept")
    value = change(platform, name)
    run = platform.run().ok()
    now = platform.secrets()
    assert now[name] == value
    assert {key for key in now if now[key] != old.get(key)} == {name}
    uids = {uid for _component, uid in components(platform).values()}
    assert {component for component, uid in before.values() if uid not in uids} == USERS[name], run.changed
    platform.wait_until_up()
    assert platform.artifact(run_id, "kept.bin") == b"kept"
    refused(platform, name, old[name])
    platform.run().unchanged()


def refused(platform, name, password):
    """Assert that the old password opens nothing any more."""
    if name == "mlflow_admin_password":
        assert platform.http(("admin", password))("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401
    elif name.startswith("postgresql_"):
        user = name.removeprefix("postgresql_").removesuffix("_password")
        host, port = platform.address("mlops-postgresql")
        database, user = ("postgres", "postgres") if user == "superuser" else (user, user)
        with (
            pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
            clients.postgresql(port, user, password, database, host),
        ):
            pass
