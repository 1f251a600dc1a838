"""A platform with scheduled backups is removed, they stay, and a new one in its place is restored from them; then all of it goes."""

from __future__ import annotations

import os

import pytest
from kubernetes import client
from lib.backup_program import KEY
from lib.cluster_platform import SMALL_BACKUPS, ClusterPlatform, explained
from lib.long_tests import LONG
from lib.platform_journal import missing, write

# it is installed twice
pytestmark = LONG


@pytest.fixture(scope="module")
def scheduled(kubeconfig):
    """A platform with the schedule, runs and a backup of them."""
    platform = ClusterPlatform(kubeconfig, **SMALL_BACKUPS, backup_key=KEY, mlops_backup=True)
    try:
        platform.install()
        platform.marked = [write(platform.http(), f"marked-{number}", os.urandom(100_000 * number)) for number in range(1, 4)]
        platform.run("playbooks/backup.yml").ok()
        yield platform
    finally:
        platform.remove()


def left(platform):
    """What is in the namespace: kind and name, without what every namespace has."""
    core, apps, space = platform.cluster.core, platform.cluster.apps, platform.namespace
    lists = {
        "claim": core.list_namespaced_persistent_volume_claim,
        "Secret": core.list_namespaced_secret,
        "ConfigMap": core.list_namespaced_config_map,
        "Service": core.list_namespaced_service,
        "pod": core.list_namespaced_pod,
        "Deployment": apps.list_namespaced_deployment,
        "StatefulSet": apps.list_namespaced_stateful_set,
        "Job": client.BatchV1Api(platform.cluster.client).list_namespaced_job,
    }
    found = {(kind, one.metadata.name) for kind, read in lists.items() for one in read(space).items}
    found |= {("CronJob", one["metadata"]["name"]) for one in platform.schedules()}
    return {(kind, name) for kind, name in found if not name.startswith(("default-token-", "kube-root-ca.crt"))}


def test_all_but_the_backups_goes(scheduled):
    before = left(scheduled)
    assert ("CronJob", "mlops-backup") in before
    foreseen = scheduled.run("playbooks/reset.yml", check=True, diff=True, extra={"mlops_reset_confirm": scheduled.namespace}).ok()
    assert foreseen.changed and left(scheduled) == before
    scheduled.run("playbooks/reset.yml", extra={"mlops_reset_confirm": scheduled.namespace}).ok()
    assert left(scheduled) == {("claim", "mlops-backup"), ("Secret", "mlops-backup-secrets")}
    explained(scheduled.run("playbooks/reset.yml", extra={"mlops_reset_confirm": scheduled.namespace}), "holds no installation")


def test_a_new_one_finds_them_and_is_restored(scheduled):
    scheduled.run().ok()
    new = write(scheduled.http(), "before-the-restore", b"new")
    scheduled.run("playbooks/restore.yml", extra={"backup_restore_confirm": scheduled.namespace}).ok()
    scheduled.wait_until_up()
    assert missing(scheduled, scheduled.marked) == [] and missing(scheduled, [new])
    scheduled.run().unchanged()
    scheduled.run(check=True, diff=True).unchanged()


def test_they_go_where_they_are_named(scheduled):
    extra = {"mlops_reset_confirm": scheduled.namespace, "mlops_reset_backups": "mlops-backup"}
    scheduled.run("playbooks/reset.yml", extra=extra).ok()
    assert scheduled.namespace not in scheduled.cluster.namespaces(scheduled.namespace)
