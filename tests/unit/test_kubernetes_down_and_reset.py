"""`down` and `reset` as playbooks, with PostgreSQL of CloudNativePG, whose Cluster is in no inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lib.api_objects import KINDS, ObjectServer
from lib.api_server import Refused
from lib.long_tests import LONG

ROOT = Path(__file__).resolve().parents[2]
PART = {"app.kubernetes.io/part-of": "mlops"}
OURS = {**PART, "app.kubernetes.io/managed-by": "mlops.platform"}
OPERATED = {**PART, "app.kubernetes.io/managed-by": "cloudnative-pg", "cnpg.io/cluster": "mlops-postgresql"}
OTHERS = {"cnpg.io/cluster": "of-others"}
APPLIED = "apps/v1 Deployment mlops-mlflow\napps/v1 StatefulSet mlops-object-store\nv1 Secret mlops-postgresql-admin\n"


class Platform(ObjectServer):
    """An installation in a namespace of others: MLflow, an object store, and a Cluster, with what their controllers make of them."""

    def __init__(self, kinds=None):
        super().__init__("ns", kinds)
        self.put("v1", "ConfigMap", "mlops-inventory-all", {**OURS, "app.kubernetes.io/component": "inventory"}, data={"objects": APPLIED})
        self.put("v1", "Secret", "mlops-postgresql-admin", OURS)
        for kind, name in (("Deployment", "mlops-mlflow"), ("StatefulSet", "mlops-object-store")):
            spec = {"replicas": 1, "selector": {"matchLabels": {"name": name}}}
            self.put("apps/v1", kind, name, {**OURS, "name": name}, spec=spec, status={})
            self.put("v1", "Pod", f"{name}-0", {**OURS, "name": name}, metadata={"ownerReferences": [{"uid": f"{kind}-{name}"}]})
        self.put("v1", "PersistentVolumeClaim", "mlops-object-store", OURS)
        if "postgresql.cnpg.io/v1" in self.kinds:
            for name, labels, operated in (("mlops-postgresql", OURS, OPERATED), ("of-others", {}, OTHERS)):
                self.put("postgresql.cnpg.io/v1", "Cluster", name, labels, spec={"instances": 1})
                self.put("v1", "Pod", f"{name}-1", operated)
                self.put("v1", "PersistentVolumeClaim", f"{name}-1", operated)
        self.react = self.controllers
        self.controllers()

    def controllers(self):
        """Do what the controllers and the operator do after a change. Volumes stay, also those that the operator has made."""
        there = {one["metadata"]["uid"]: one for one in self.objects}
        gone = []
        for pod in (one for one in self.objects if one["kind"] == "Pod"):
            cluster = pod["metadata"]["labels"].get("cnpg.io/cluster")
            owner = there.get(f"Cluster-{cluster}" if cluster else pod["metadata"]["ownerReferences"][0]["uid"], {"spec": {"replicas": 0}})
            asleep = owner.get("metadata", {}).get("annotations", {}).get("cnpg.io/hibernation") == "on"
            if owner["spec"].get("replicas", 1) == 0 or asleep:
                gone.append(pod)
        self.objects = [one for one in self.objects if one not in gone]
        for one in self.objects:
            if one["kind"] in ("Deployment", "StatefulSet"):
                count = one["spec"]["replicas"]
                keys = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
                one["status"] = {"observedGeneration": 1, **dict.fromkeys(keys, count)}


@pytest.fixture
def server(request):
    found = Platform(getattr(request, "param", None))
    yield found
    found.close()


def play(server, tmp_path, playbook, **more):
    """Run a playbook against the server; return its tasks that changed something."""
    given = {
        "mlops_substrate": "kubernetes",
        "mlops_namespace": "ns",
        "mlops_kube": server.params,
        "mlops_reset_confirm": "ns",
        "ansible_python_interpreter": sys.executable,
        **more,
    }
    environment = {
        **os.environ,
        # what was found out about another server at the same port
        "TMPDIR": str(tmp_path),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "-i", "mlops,", "-c", "local"),
            *(ROOT / "playbooks" / f"{playbook}.yml", "-e", json.dumps(given)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


BACKUP = {**OURS, "app.kubernetes.io/name": "backup"}


def back_up(server):
    """Add the schedule of backups, one that is under way and one that has ended, and the claim that holds them."""
    server.put("batch/v1", "CronJob", "mlops-backup", BACKUP, spec={"suspend": False})
    server.put("batch/v1", "Job", "mlops-backup-1", BACKUP, status={"succeeded": 1})
    server.put("batch/v1", "Job", "mlops-backup-2", BACKUP, status={"active": 1})
    server.put("v1", "PersistentVolumeClaim", "mlops-backup", BACKUP)
    server.put("v1", "Secret", "mlops-backup-secrets", BACKUP)
    inventory = {**BACKUP, "app.kubernetes.io/component": "inventory"}
    server.put("v1", "ConfigMap", "mlops-inventory-backup-schedule", inventory, data={"objects": "batch/v1 CronJob mlops-backup\n"})


def test_down_stops_everything_and_keeps_the_data(server, tmp_path):
    """The Cluster sleeps, the schedule of backups is suspended, and the backup that is under way ends."""
    back_up(server)
    kept = ("PersistentVolumeClaim", "Secret", "Cluster")
    before = {kind: server.names(kind) for kind in kept}
    play(server, tmp_path, "down")
    assert server.names("Pod") == {"of-others-1"}
    assert server.get("Cluster", "mlops-postgresql")["metadata"]["annotations"] == {"cnpg.io/hibernation": "on"}
    assert "annotations" not in server.get("Cluster", "of-others")["metadata"]
    assert server.get("CronJob", "mlops-backup")["spec"]["suspend"] is True
    assert server.names("Job") == {"mlops-backup-1"}
    assert {kind: server.names(kind) for kind in kept} == before
    # the number alone: `scale` is a resource of its own, with permissions of its own
    assert not [asked.path for asked in server.asked if asked.path.endswith("/scale")]
    assert "changed=0" in play(server, tmp_path, "down")


def test_reset_removes_all_that_is_ours_but_the_backups_and_their_number(server, tmp_path):
    back_up(server)
    said = play(server, tmp_path, "reset")
    assert "mlops_reset_backups=mlops-backup" in said
    # a CronJob's Jobs go with it, which is what a cluster does
    assert {(one["kind"], one["metadata"]["name"]) for one in server.objects if one["kind"] != "Job"} == {
        ("Cluster", "of-others"),
        ("Pod", "of-others-1"),
        ("PersistentVolumeClaim", "of-others-1"),
        ("PersistentVolumeClaim", "mlops-backup"),
        ("Secret", "mlops-backup-secrets"),
    }


@LONG
def test_reset_removes_the_cluster_and_its_volumes_and_no_other(server, tmp_path):
    play(server, tmp_path, "reset")
    assert {(one["kind"], one["metadata"]["name"]) for one in server.objects} == {
        ("Cluster", "of-others"),
        ("Pod", "of-others-1"),
        ("PersistentVolumeClaim", "of-others-1"),
    }


@LONG
def test_reset_removes_backups_that_are_named(server, tmp_path):
    back_up(server)
    play(server, tmp_path, "reset", mlops_reset_backups="mlops-backup")
    assert server.names("PersistentVolumeClaim") == {"of-others-1"}
    assert not server.names("Secret")


@LONG
@pytest.mark.parametrize("server", [{key: KINDS[key] for key in ("v1", "apps/v1")}], indirect=True, ids=["no operator"])
def test_both_work_where_there_is_no_operator(server, tmp_path):
    play(server, tmp_path, "down")
    assert not server.names("Pod")
    play(server, tmp_path, "reset")
    assert not server.objects


@LONG
def test_both_work_for_who_may_not_look_at_clusters(server, tmp_path):
    path = "/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters"

    def refuse(_asked):
        raise Refused(403, "clusters.postgresql.cnpg.io is forbidden: User cannot list", "Forbidden")

    server.objects = [one for one in server.objects if "mlops-postgresql" not in one["metadata"]["name"] or one["kind"] == "Secret"]
    server.answers[f"GET {path}"] = refuse
    play(server, tmp_path, "down")
    assert server.names("Pod") == {"of-others-1"}
    play(server, tmp_path, "reset")
    assert not {one["metadata"]["name"] for one in server.objects if one["metadata"]["labels"].get("app.kubernetes.io/part-of")}
