"""Changing one password rotates exactly what uses it."""

from __future__ import annotations

import secrets

import pytest
from lib.cluster_platform import settled

# which component's pods have the secret: only those may be replaced
USERS = {
    "mlflow_admin_password": {"mlflow"},
    "object_store_mlflow_secret_key": {"mlflow", "object-store"},
}


def components(platform):
    label = "app.kubernetes.io/component"
    return {name: (pod.metadata.labels[label], pod.metadata.uid) for name, pod in platform.pods().items()}


@pytest.mark.parametrize("name", sorted(USERS))
def test_a_changed_password_rotates_what_uses_it(platform, name):
    settled(platform)
    before, old = components(platform), platform.secrets()
    run_id = platform.new_run("rotate")
    platform.put_artifact(run_id, "kept.bin", b"kept")
    platform.variables[name] = f"{secrets.token_hex(8)} 'new' {{{{ 7 * 7 }}}}"
    run = platform.run().ok()
    now = platform.secrets()
    assert now[name] == platform.variables[name]
    assert {key for key in now if now[key] != old.get(key)} == {name}
    uids = {uid for _component, uid in components(platform).values()}
    replaced = {component for component, uid in before.values() if uid not in uids}
    assert replaced <= USERS[name], run.changed
    platform.wait_until_up()
    assert platform.artifact(run_id, "kept.bin") == b"kept"
    if name == "mlflow_admin_password":
        assert platform.http(("admin", old[name]))("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401
    platform.run().unchanged()
