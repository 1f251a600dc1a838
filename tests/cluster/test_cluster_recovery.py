"""What is killed comes back by itself, and what is deleted comes back with the next run; the data is what it was."""

from __future__ import annotations

import os

import pytest
from lib.cluster_platform import SECRETS
from lib.platform_proc import wait_until


@pytest.fixture
def data(platform):
    """A run with a metric and an artifact; the test ends with their being there, byte for byte."""
    platform.wait_until_up()
    run_id, content = platform.new_run("recovery"), os.urandom(300_000)
    body = {"run_id": run_id, "key": "m", "value": 7, "timestamp": 1, "step": 1}
    platform.http().json("POST", "/api/2.0/mlflow/runs/log-metric", body)
    platform.put_artifact(run_id, "data.bin", content)
    yield run_id
    platform.wait_until_up()
    found = platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
    assert found["data"]["metrics"][0]["value"] == 7
    # S3 answers, and its pod is ready, before SeaweedFS's parts have found each other again
    assert wait_until("the artifact", lambda: platform.artifact(run_id, "data.bin"), 60) == content


def kill(platform, component):
    """Delete the component's pods without any grace; return their uids."""
    pods = platform.pods(component)
    assert pods, component
    for name in pods:
        platform.cluster.core.delete_namespaced_pod(name, platform.namespace, grace_period_seconds=0)
    return {pod.metadata.uid for pod in pods.values()}


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("component", ["postgresql", "object-store", "mlflow"])
def test_what_was_killed_comes_back_by_itself(platform, component):
    """No run of a playbook, and no restart of MLflow where others were killed."""
    lives = {name: life for name, life in platform.lives().items() if name in platform.pods("mlflow")}
    killed = kill(platform, component)

    def replaced():
        pods = platform.pods(component)
        return len(pods) == len(killed) and not killed & {pod.metadata.uid for pod in pods.values()}

    wait_until(f"new pods of {component}", replaced, 60)
    platform.wait_until_up()
    if component != "mlflow":
        assert {name: platform.lives().get(name) for name in lives} == lives


def test_what_was_deleted_is_made_again_by_one_run(platform, data):
    """The Deployment, a Service, a StatefulSet and every Secret at once; the given passwords and the data are the same.

    By a user who has no more than the documented rights. One Secret stays, for the object store's key to its encrypted objects is nowhere
    else then: either of the two places that have it brings back the other, and there is no third.
    """
    core, apps, space = platform.cluster.core, platform.cluster.apps, platform.namespace
    before = platform.secrets()
    volumes = {claim.metadata.uid for claim in core.list_namespaced_persistent_volume_claim(space).items}
    tenant = platform.as_tenant()
    apps.delete_namespaced_deployment("mlops-mlflow", space)
    apps.delete_namespaced_stateful_set("mlops-postgresql", space)
    # old servers answer with a Status, which the client does not expect
    core.delete_namespaced_service("mlops-object-store", space, _preload_content=False)
    doomed = [one.metadata.name for one in core.list_namespaced_secret(space, label_selector="app.kubernetes.io/part-of=mlops").items]
    doomed.remove("mlops-object-store")
    assert set(SECRETS) <= set(doomed) and len(doomed) > len(SECRETS), doomed
    for name in doomed:
        core.delete_namespaced_secret(name, space)
    platform.run(extra=tenant).ok()
    platform.wait_until_up()
    left = {one.metadata.name for one in core.list_namespaced_secret(space).items}
    assert set(SECRETS) <= left
    assert {claim.metadata.uid for claim in core.list_namespaced_persistent_volume_claim(space).items} == volumes
    now = platform.secrets()
    given = (set(platform.variables) | {"object_store_sse_key"}) & set(before)
    assert {name: now[name] for name in given} == {name: before[name] for name in given}
