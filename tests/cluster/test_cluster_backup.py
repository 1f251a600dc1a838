"""Dumps in a cluster: taken by a user of the namespace, restored after the loss of both volumes, rehearsed, refused, killed half-way."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

import pytest
import yaml
from kubernetes import client
from kubernetes.client.rest import ApiException
from lib.backup_program import KEY
from lib.cluster_platform import SMALL_BACKUPS, explained
from lib.long_tests import LONG
from lib.platform_journal import missing, write
from lib.platform_proc import wait_until
from lib.render_preflight import rules
from lib.s3_buckets import bodies

# with the platform's installation, the three that prove the most take eleven minutes
pytestmark = LONG

BUCKET, OBJECT = "mlflow-artifacts", "artifacts/0/backup/history"
VARIABLES = {**SMALL_BACKUPS, "backup_key": KEY, "backup_engine": "dump"}


@pytest.fixture(scope="module")
def backed(platform):
    """The platform, with a key and small pods for its backups, as a user who has the rights that preflight asks for and no others."""
    platform.variables.update(VARIABLES)
    wishes = {name: value for name, value in platform.variables.items() if name != "mlops_substrate"}
    asked = rules("kubernetes", **wishes, mlops_backup=True).value("preflight_permissions")
    rights = [{"apiGroups": [one.get("api_group", "")], "resources": [one["resource"]], "verbs": [*one["verbs"]]} for one in asked]
    kubeconfig = platform.scratch / "backups.kubeconfig"
    name = f"backups-{secrets.token_hex(2)}"
    kubeconfig.write_text(yaml.safe_dump(platform.cluster.kubeconfig_of(platform.namespace, name, rights)), encoding="utf-8")
    platform.tenant = {"mlops_kubeconfig": str(kubeconfig), "mlops_manage_namespace": False}
    yield platform
    for variable in VARIABLES:
        platform.variables.pop(variable)
    # a reset would leave it, and the namespace with it
    platform.cluster.core.delete_namespaced_persistent_volume_claim("mlops-backup", platform.namespace)


@pytest.fixture(scope="module")
def marked(backed):
    """What was there before the backup: runs with artifacts, and an object with a history."""
    runs = [write(backed.http(), f"marked-{number}", os.urandom(1000 + 200_000 * number)) for number in range(4)]
    s3 = backed.s3()
    for body in (b"one", b"two", None, b"three"):
        s3.delete_object(Bucket=BUCKET, Key=OBJECT) if body is None else s3.put_object(Bucket=BUCKET, Key=OBJECT, Body=body)
    backed.run("playbooks/backup.yml", extra=backed.tenant).ok()
    return runs


def batch(platform):
    return client.BatchV1Api(platform.cluster.client)


def leftovers(platform):
    """What a playbook must not leave: its Jobs, and the bucket of a drill."""
    jobs = [one.metadata.name for one in batch(platform).list_namespaced_job(platform.namespace).items if "backup" in one.metadata.name]
    return jobs + [one["Name"] for one in platform.s3().list_buckets()["Buckets"] if one["Name"] != BUCKET]


def restored(platform, **extra):
    return platform.run("playbooks/restore.yml", extra={"backup_restore_confirm": platform.namespace, **platform.tenant, **extra})


def lose(platform, name):
    """Remove a server with its volume."""
    platform.cluster.apps.delete_namespaced_stateful_set(name, platform.namespace)
    platform.cluster.core.delete_namespaced_persistent_volume_claim(name, platform.namespace)

    def gone():
        try:
            platform.cluster.core.read_namespaced_persistent_volume_claim(name, platform.namespace)
        except ApiException as error:
            return error.status == 404
        return False

    wait_until(f"the end of {name}", gone, 120)


def test_a_backup_of_a_user_of_the_namespace_is_verified_and_shown(backed, marked):
    assert leftovers(backed) == []
    shown = backed.run("playbooks/status.yml", extra=backed.tenant).unchanged().output
    assert re.search(r"backup \d{8}T\d{6}Z: 0\.\d h old, [\d.]+ [KM]?B", re.sub(r"\s+", " ", shown)), shown[-3000:]
    audit = backed.run("playbooks/audit.yml", extra=backed.tenant).unchanged().output
    assert re.search(r"rows_without_objects: 0\b", audit), audit[-3000:]


def test_both_volumes_are_lost_and_restored_byte_for_byte(backed, marked):
    history = bodies(backed.s3(), BUCKET, OBJECT)
    for name in ("mlops-postgresql", "mlops-object-store"):
        lose(backed, name)
    restored(backed).ok()
    backed.wait_until_up()
    assert missing(backed, marked) == []
    assert bodies(backed.s3(), BUCKET, OBJECT) == history
    assert leftovers(backed) == []


def test_a_drill_proves_and_measures_it_beside_the_running_platform(backed, marked):
    before, count = backed.lives(), len(backed.s3().list_object_versions(Bucket=BUCKET).get("Versions", []))
    write(backed.http(), "after-the-backup", b"later")
    output = backed.run("playbooks/drill.yml", extra=backed.tenant).unchanged().output
    for measured in ("rpo_seconds", "rto_seconds"):
        assert float(re.search(rf"\b{measured}: ([\d.]+)", output)[1]) > 0, output[-3000:]
    assert int(re.search(r"\bchecked: (\d+)", output)[1]) >= len(marked)
    assert backed.lives() == before and leftovers(backed) == []
    assert len(backed.s3().list_object_versions(Bucket=BUCKET)["Versions"]) > count


# --- what takes longer -------------------------------------------------------------------------------------------------------------------


def test_the_schedule_is_kept_run_suspended_and_removed(backed, marked):
    extra = {**backed.tenant, "mlops_backup": True}
    assert backed.run(check=True, diff=True, extra=extra).ok().changed
    backed.run(extra=extra).ok()
    backed.run(extra=extra).unchanged()
    backed.run(check=True, diff=True, extra=extra).unchanged()
    (schedule,) = backed.schedules()
    assert schedule["spec"]["schedule"] == "0 0 * * *" and schedule["spec"]["suspend"] is False
    backed.run_schedule(schedule)
    backed.run("playbooks/down.yml", extra=extra).ok()
    assert backed.schedules()[0]["spec"]["suspend"] is True
    backed.run(extra=extra).ok()
    assert backed.schedules()[0]["spec"]["suspend"] is False
    backed.run(extra=backed.tenant).ok()
    assert backed.schedules() == []
    backed.run(extra=backed.tenant).unchanged()
    assert backed.cluster.core.read_namespaced_persistent_volume_claim("mlops-backup", backed.namespace)


def test_the_second_says_who_has_the_lock(backed, marked):
    with backed.database("postgres") as cursor:
        cursor.execute("SET application_name = 'mlops_backup: restore in a-pod'")
        cursor.execute("SELECT pg_advisory_lock(1835823984, 1)")
        explained(backed.run("playbooks/backup.yml", extra=backed.tenant), "another restore is under way: pod a-pod, since 20")


def place(platform):
    """The directory of the backups on this machine, whose node the cluster has."""
    claim = platform.cluster.core.read_namespaced_persistent_volume_claim("mlops-backup", platform.namespace)
    volume = platform.cluster.core.read_persistent_volume(claim.spec.volume_name).spec
    path = Path((volume.local or volume.host_path).path)
    if not path.is_dir():
        pytest.skip("the volumes are not on this machine")
    return path


def test_what_cannot_be_restored_is_refused_before_anything_is_touched(backed, marked):
    before = backed.lives()
    explained(restored(backed, backup_key="ff" * 32), "give the one that it was taken with")
    explained(restored(backed, backup_restore_confirm="yes"), "not confirmed: nothing was replaced")
    explained(restored(backed, backup_restore_installation="4711"), "4711 has no backups in")
    manifest = max(place(backed).glob("*/backups/*/manifest.json"))
    dump = manifest.with_name("mlflow.dump")
    content = dump.read_bytes()
    for changed, words in ((content[:-100], "is truncated"), (content[:-1] + bytes([content[-1] ^ 1]), "is damaged")):
        dump.write_bytes(changed)
        explained(restored(backed), words)
    dump.write_bytes(content)
    text = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(text), "host": "another"}))
    explained(restored(backed), "was changed since it was written")
    manifest.write_text(text)
    assert backed.lives() == before and backed.answers()


@pytest.mark.parametrize(
    "task", ["Wait for the end of mlops-backup-restore", "MLflow, so that nothing is acknowledged", "Restore databases and objects"]
)
def test_a_restore_that_is_killed_and_run_again_converges(backed, marked, task):
    backed.run("playbooks/backup.yml", extra=backed.tenant).ok()
    lost = write(backed.http(), "after-the-last-backup", b"lost")
    run = backed.start("playbooks/restore.yml", extra={"backup_restore_confirm": backed.namespace, **backed.tenant})
    run.wait_for_task(task)
    run.kill()
    for pod in backed.cluster.core.list_namespaced_pod(backed.namespace, label_selector="app.kubernetes.io/name=backup").items:
        backed.cluster.core.delete_namespaced_pod(pod.metadata.name, backed.namespace, grace_period_seconds=0)
    restored(backed).ok()
    backed.wait_until_up()
    assert missing(backed, marked) == [] and len(missing(backed, [lost])) == 1
