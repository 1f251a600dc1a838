"""An upgrade of MLflow in a cluster with data: what fails goes back, what was killed is gone on with, and two never have the turn both.

A platform of its own with the older image, which is built and loaded here. The tests go from top to bottom.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
from lib.cluster_platform import SMALL_BACKUPS, ClusterPlatform, explained
from lib.long_tests import LONG
from lib.platform_journal import API, Journal, write
from lib.platform_proc import wait_until
from lib.platform_run import ROOT
from lib.platform_upgrade import NEW, OLD, Upgraded

# with the installation and all runs of playbooks it takes half an hour
pytestmark = LONG

sys.path.append(str(ROOT / "tests" / "tiers"))
SMALL = {
    # one pod, so that a rolling update has room
    "mlflow_replicas": 1,
    "mlflow_drain_seconds": 1,
    **SMALL_BACKUPS,
}


class InCluster(Upgraded):
    """One in a namespace."""

    def __init__(self, platform, old, new):
        super().__init__(platform)
        self.old, self.new = old, new

    def journal(self):
        found = self.platform.cluster.core.read_namespaced_config_map("mlops-upgrade", self.platform.namespace)
        return json.loads(found.data["journal"])

    def start(self, **variables):
        """Start an upgrade, and return it while it runs."""
        return self.platform.start("playbooks/upgrade.yml", extra={"mlflow_image": self.new, **variables})

    def upgrade(self, **variables):
        """Upgrade, and return the run."""
        return self.start(**variables).wait(1500)

    def complete(self, version):
        self.platform.variables["mlflow_image"] = self.new if version == NEW else self.old
        super().complete(version)
        left = [one.metadata.name for one in self.jobs() if "schema" not in one.metadata.name]
        assert left == []

    def jobs(self):
        from kubernetes import client

        return client.BatchV1Api(self.platform.cluster.client).list_namespaced_job(self.platform.namespace).items


@pytest.fixture(scope="module")
def old(kubeconfig):
    """A platform of its own with the older MLflow and data."""
    import cluster_images
    import cluster_program

    images = {"old": cluster_images.NAMES["mlflow-3.16.0"], "new": cluster_images.NAMES["mlflow"]}
    kept = os.environ.get("MLOPS_TEST_NAMESPACE")
    platform = ClusterPlatform.with_secrets(kubeconfig, kept, **SMALL, mlflow_image=images["old"])
    there = [name for node in platform.cluster.core.list_node().items for image in node.status.images for name in image.names]
    if images["old"] not in there:
        if cluster_program.obstacle():
            pytest.skip(cluster_program.obstacle())
        (archive,) = cluster_images.archives("mlflow-3.16.0")
        cluster_program.load(archive)
    try:
        upgraded = InCluster(platform.install(), **images)
        upgraded.fill()
        yield upgraded
    finally:
        if kept or os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_NAMESPACE={platform.namespace}")
        else:
            platform.remove()


def test_what_fails_in_the_last_step_ends_on_the_old_version_with_all_that_was_acknowledged(old):
    """Also with what users write until the writers stop, after the first backup."""
    running = old.start(upgrade_fail_at="verify")
    assert running.wait_for_task("Take a verified backup")
    with Journal(old.platform) as journal:
        assert running.wait_for_task("Count the rows")
    run = running.wait(1500)
    assert run.code != 0
    assert "upgrade_fail_at is verify" in run.failed[-1]
    assert f"MLflow {OLD} runs again with databases and objects of the backup" in run.failed[-1]
    assert old.journal()["state"] == "returned"
    assert journal.runs
    old.runs += journal.runs
    old.complete(OLD)


def test_one_that_is_killed_in_the_migration_is_gone_on_with(old):
    running = old.start()
    assert running.wait_for_task("Run the Job of the migration")
    wait_until("the Job of the migration", lambda: any("upgrade" in one.metadata.name for one in old.jobs()), 120)
    running.kill()
    assert old.journal()["state"] == "migrating"
    backup = old.journal()["backup"]
    explained(old.platform.run(extra={"mlflow_image": old.new}), "was left half-way", "playbooks/upgrade.yml")
    old.upgrade().ok()
    assert (old.journal()["state"], old.journal()["backup"]) == ("done", backup)
    old.complete(NEW)
    old.platform.run().unchanged()


def test_by_hand_it_goes_back_and_site_yml_takes_the_same_steps(old):
    explained(old.platform.run("playbooks/upgrade.yml", extra={"mlflow_image": old.old}), "no way down")
    later = write(old.platform.http(), "after-the-upgrade", b"later")
    explained(old.upgrade(upgrade_back=True, backup_restore_confirm="yes"), "not confirmed")
    old.upgrade(upgrade_back=True, backup_restore_confirm=old.platform.namespace).ok()
    old.complete(OLD)
    # the way back is to the moment before the upgrade, as it says
    assert old.platform.http()("GET", f"{API}/runs/get?run_id={later['id']}")[0] == 404
    old.platform.run(extra={"mlflow_image": old.new}).ok()
    assert old.journal()["state"] == "done" and old.journal()["backup"]
    old.complete(NEW)


# --- what takes longer -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["install", "backup", "stop", "save", "migrate", "start"])
def test_what_fails_in_any_other_step_ends_on_the_old_version_too(old, step):
    if old.journal()["state"] == "done":
        old.upgrade(upgrade_back=True, backup_restore_confirm=old.platform.namespace).ok()
    run = old.upgrade(upgrade_fail_at=step)
    assert run.code != 0
    assert f"upgrade_fail_at is {step}" in run.failed[-1]
    assert f"MLflow {OLD} runs again" in run.failed[-1]
    assert ("with databases and objects of the backup" in run.failed[-1]) == (step in ("migrate", "start"))
    old.complete(OLD)


def test_a_second_one_at_the_same_time_is_told_who_has_the_turn(old):
    first = old.start(upgrade_fail_at="stop")
    assert first.wait_for_task("Take a verified backup")
    explained(old.upgrade(), f"process {first.process.pid}, since 20")
    explained(old.platform.run(extra={"mlflow_image": old.new}), f"process {first.process.pid}")
    assert "upgrade_fail_at is stop" in first.wait(1500).failed[-1]
    old.complete(OLD)


def test_an_image_that_cannot_be_had_is_told_before_anything_is_touched(old):
    before, journal = old.platform.lives(), old.journal()
    run = old.upgrade(mlflow_image="registry.invalid/mlflow:v3.99.0")
    assert run.code != 0 and "registry.invalid/mlflow:v3.99.0 does not take the databases" in str(run.failed)
    assert old.platform.lives() == before and old.journal() == journal
