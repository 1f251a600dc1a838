"""playbooks/migrate_object_store.yml in a cluster: to the server of another namespace, the old one removed, and back to a new one."""

from __future__ import annotations

import datetime
import os
import time

import pytest
from lib import platform_clients as clients
from lib.cluster_platform import ClusterPlatform, explained
from lib.platform_proc import wait_until
from lib.s3_buckets import bodies
from test_cluster_log import VARIABLES

BUCKET = "mlflow-artifacts"
PLAYBOOK = "playbooks/migrate_object_store.yml"
KEY = "artifacts/0/migration/history"
NAME = "mlops-object-store"


@pytest.fixture(scope="module")
def outside(kubeconfig):
    """A client of another namespace's object store, and the variables that name it as a server of others."""
    other = ClusterPlatform(kubeconfig)
    try:
        other.run(tags="postgresql,object_store").ok()
        found, (host, port) = other.object_store_keys(), other.address(NAME)
        url = f"http://{host}:{port}"
        variables = {
            "object_store_engine": "external",
            "object_store_external_url": url,
            **{f"object_store_{who}_{key}": found[f"{who}_{key}"] for who in ("admin", "mlflow") for key in ("access_key", "secret_key")},
        }
        login = {"access_key": found["admin_access_key"], "secret_key": found["admin_secret_key"]}
        yield clients.s3({"endpoint_url": url, "region": "us-east-1", **login}), variables
    finally:
        other.remove()


def used(platform):
    """MLflow's address of its object store."""
    settings = platform.cluster.core.read_namespaced_config_map("mlops-mlflow-environment", platform.namespace).data
    return settings["MLFLOW_S3_ENDPOINT_URL"]


def left(platform):
    """The workloads and claims of the object store in the namespace."""
    sets = platform.cluster.apps.list_namespaced_stateful_set(platform.namespace).items
    claims = platform.cluster.core.list_namespaced_persistent_volume_claim(platform.namespace).items
    return {one.metadata.name for one in [*sets, *claims] if NAME in one.metadata.name}


def test_there_and_back(platform, outside):
    there, variables = outside
    inside, old_url = platform.s3(), used(platform)
    for body in (b"one", None, b"two", b"three"):
        inside.delete_object(Bucket=BUCKET, Key=KEY) if body is None else inside.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    run_id, model = platform.new_run("migration"), os.urandom(300_000)
    platform.put_artifact(run_id, "model.bin", model)
    history = bodies(inside, BUCKET, KEY)
    assert history == ([b"three", b"two", b"one"], 1)

    # another server would leave the artifacts behind
    explained(platform.run(extra=variables), PLAYBOOK, "nothing was changed")
    platform.run(PLAYBOOK, extra=variables, check=True).ok()
    assert used(platform) == old_url

    platform.run(PLAYBOOK, extra=variables).ok()
    assert used(platform) == variables["object_store_external_url"]
    assert bodies(there, BUCKET, KEY) == history
    # the old one is as it was, and serves; MLflow has left it
    assert bodies(inside, BUCKET, KEY) == history
    assert platform.artifact(run_id, "model.bin") == model
    platform.put_artifact(run_id, "later.bin", b"later")
    assert f"artifacts/0/{run_id}/artifacts/later.bin" in [entry["Key"] for entry in there.list_objects_v2(Bucket=BUCKET)["Contents"]]
    # the variables of before would take MLflow back to it, without what comes from now on
    explained(platform.run(), "object_store_accept_another")
    # what the inventory does not name any more is kept for the one who asks for it
    platform.run(extra=variables).unchanged()
    assert left(platform)

    removed_when_told(platform, variables, old_url)
    assert platform.artifact(run_id, "model.bin") == model
    as_it_was_at(platform, there, variables, run_id)

    # back, to a SeaweedFS that is made anew
    platform.run(PLAYBOOK).ok()
    platform.wait_until_up()
    assert used(platform) == old_url
    assert bodies(platform.s3(), BUCKET, KEY) == history
    assert platform.artifact(run_id, "model.bin") == model and platform.artifact(run_id, "later.bin") == b"later"
    platform.run().unchanged()


def as_it_was_at(platform, there, variables, run_id):
    """A base backup goes back to a time between two changes, and objects with it whose names are at the server outside."""
    backups = {**variables, **VARIABLES, "backup_restore_confirm": platform.namespace}
    before = platform.artifact(run_id, "model.bin")
    platform.run(extra=backups).ok()
    platform.run("playbooks/backup.yml", extra=backups).ok()
    platform.put_artifact(run_id, "model.bin", b"as it was")
    # whole seconds are what a server says of its versions
    time.sleep(1.5)
    then = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(1.5)
    platform.put_artifact(run_id, "model.bin", b"too late")
    there.delete_object(Bucket=BUCKET, Key=f"artifacts/0/{run_id}/artifacts/later.bin")
    for when, expected in ((then.isoformat(), b"as it was"), ("backup", before)):
        platform.run("playbooks/restore.yml", extra={**backups, "backup_restore_time": when}).ok()
        # it has no object store of its own to wait for
        wait_until("MLflow answers", platform.answers, 120)
        assert platform.artifact(run_id, "model.bin") == expected
        assert platform.artifact(run_id, "later.bin") == b"later"
    platform.run(extra=variables).ok()
    platform.cluster.core.delete_namespaced_persistent_volume_claim("mlops-backup", platform.namespace)


def removed_when_told(platform, variables, old_url):
    told = {**variables, "object_store_migration_remove_old": True}
    run = platform.run(PLAYBOOK, extra={**told, "object_store_migration_confirm": "yes"})
    assert run.code != 0 and "not confirmed: nothing was removed" in run.failed[-1]
    assert left(platform)
    platform.run(PLAYBOOK, extra={**told, "object_store_migration_confirm": old_url}).ok()
    # a claim goes with the last pod that has it, which takes some seconds to end
    wait_until("the old server and its volume to be gone", lambda: not left(platform), 60)
