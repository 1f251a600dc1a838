"""The playbooks of backups in a cluster as plays, against a stand-in for its API server whose Jobs say what a test wants."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lib.api_objects import KINDS, ObjectServer
from lib.long_tests import LONG

ROOT = Path(__file__).resolve().parents[2]
OURS = {"app.kubernetes.io/part-of": "mlops", "app.kubernetes.io/managed-by": "mlops.platform"}
BACKUP = {"name": "20261129T000000Z", "engine": "dump", "size_bytes": 5 << 20, "where": "/backups/4711", "ended": 1}
PLAN = {
    "backup": "20261129T000000Z",
    "installation": "4711",
    "host": "mlops",
    "engine": "dump",
    "objects": {"versions": 3},
    "reaches": "2026-11-29T00:00:00Z",
}


class Platform(ObjectServer):
    """An installation in a namespace. `answers_of`: by the program's command, what it says at its end; a problem makes its Job fail."""

    def __init__(self):
        super().__init__("ns", {**KINDS, "networking.k8s.io/v1": ("NetworkPolicy",)})
        self.put("v1", "ConfigMap", "mlops-inventory-mlflow", {**OURS, "app.kubernetes.io/component": "inventory"}, data={"objects": ""})
        self.answers_of, self.ran, self.numbers = {}, [], itertools.count(1)
        # the path of this kind is not its name with an s
        listed = "/apis/networking.k8s.io/v1/namespaces/ns/"
        self.answers[f"{listed}networkpolicies"] = self.answers.pop(f"{listed}networkpolicys")
        (resource,) = self.answers["/apis/networking.k8s.io/v1"]["resources"]
        resource["name"] = "networkpolicies"

    def _many(self, asked, version, kind):
        if asked.method != "POST":
            return super()._many(asked, version, kind)
        given = asked.body
        metadata = {**given["metadata"], "uid": f"uid-{next(self.numbers)}", "resourceVersion": "1", "generation": 1}
        made = {"apiVersion": version, "kind": kind, **given, "metadata": metadata}
        metadata.setdefault("labels", {})
        if asked.query.get("dryRun"):
            return made
        self.objects.append(made)
        if kind == "Job":
            self.run(made)
        return made

    def run(self, job):
        """Let a Job come to its end at once."""
        spec = job["spec"]["template"]["spec"]
        program = next(one for one in spec["containers"] if one["name"] == "program")
        command, request = program["command"][-1], next(one["value"] for one in program["env"] if one["name"] == "MLOPS_BACKUP_REQUEST")
        self.ran.append((command, json.loads(request)))
        answer = self.answers_of[command]
        failed = "problem" in answer
        condition = {"type": "Failed" if failed else "Complete", "status": "True", "reason": "BackoffLimitExceeded"}
        job["spec"]["selector"] = {"matchLabels": {"controller-uid": job["metadata"]["uid"]}}
        job["status"] = {"failed" if failed else "succeeded": 1, "conditions": [condition]}
        message = json.dumps({"ended": 1, **answer})
        statuses = [
            {"name": name, "state": {"terminated": {"exitCode": code, "message": words}}, "restartCount": 0}
            for name, code, words in (("database-tools", 0, ""), ("program", int(failed), message))
        ]
        owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": True}
        labels = {**job["spec"]["template"]["metadata"]["labels"], "controller-uid": job["metadata"]["uid"]}
        more = {"ownerReferences": [owner], "creationTimestamp": "2026-11-29T00:00:00Z"}
        status = {"phase": "Failed" if failed else "Succeeded", "containerStatuses": statuses}
        self.put("v1", "Pod", f"{job['metadata']['name']}-x", labels, metadata=more, spec={"containers": []}, status=status)

    def controllers(self):
        """Remove the pods of Jobs that are gone."""
        jobs = {one["metadata"]["uid"] for one in self.objects if one["kind"] == "Job"}
        self.objects = [one for one in self.objects if one["kind"] != "Pod" or one["metadata"]["ownerReferences"][0]["uid"] in jobs]


@pytest.fixture(scope="module")
def server():
    found = Platform()
    found.react = found.controllers
    yield found
    found.close()


def play(server, tmp_path, playbook, *words, code=0, **more):
    """Run a playbook against the server; return its output in one line."""
    given = {
        "mlops_substrate": "kubernetes",
        "mlops_namespace": "ns",
        "mlops_kube": server.params,
        "ansible_python_interpreter": sys.executable,
        **more,
    }
    # TMPDIR: what was found out about another server at the same port
    environment = {**os.environ, "TMPDIR": str(tmp_path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [program, "-i", "mlops,", "-c", "local", ROOT / "playbooks" / f"{playbook}.yml", "-e", json.dumps(given), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout)


@pytest.fixture(scope="module")
def taken(server, tmp_path_factory):
    """What the playbook said that took a backup."""
    server.answers_of["backup"] = BACKUP
    said = play(server, tmp_path_factory.mktemp("backup"), "backup")
    assert server.ran == [("backup", {})]
    return said


def test_a_backup_is_taken_and_nothing_of_its_run_stays(server, taken):
    assert BACKUP["name"] in taken and not server.names("Job")
    assert {"mlops-backup", "mlops-backup-program", "mlops-backup-shared", "mlops-backup-last-backup"} <= server.names("ConfigMap")
    assert server.names("PersistentVolumeClaim") == server.names("NetworkPolicy") == {"mlops-backup"}


@LONG
def test_the_second_one_places_nothing_anew_and_status_shows_it(server, taken, tmp_path):
    # the backup itself is the one change
    assert "changed=1 " in play(server, tmp_path, "backup")
    assert "backup 20261129T000000Z:" in play(server, tmp_path, "status")


@LONG
def test_what_the_program_says_is_what_the_playbook_fails_with(server, taken, tmp_path):
    server.answers_of.update(
        backup={"problem": "another drill is under way: pod a-pod, since 2026-11-29T00:00:00Z"}, drill={"problem": "it differs"}
    )
    assert "Back up databases and objects: another drill is under way: pod a-pod" in play(server, tmp_path, "backup", code=2)
    assert not server.names("Job")


@LONG
def test_a_drill_and_an_audit_change_nothing(server, taken, tmp_path):
    server.answers_of["drill"] = {"backup": BACKUP["name"], "rpo_seconds": 5, "rto_seconds": 7, "ended": 2}
    server.answers_of["audit"] = {"rows_without_objects": 0, "objects": 9}
    assert "changed=0 " in play(server, tmp_path, "drill")
    assert "changed=0 " in (said := play(server, tmp_path, "audit")) and "rows_without_objects: 0" in said
    assert "drill of 20261129T000000Z" in play(server, tmp_path, "status")


@LONG
def test_a_restore_is_predicted_and_needs_the_name_of_the_namespace(server, taken, tmp_path):
    server.answers_of["preview"] = PLAN
    before = json.dumps(server.objects)
    assert "would restore backup 20261129T000000Z of mlops" in play(server, tmp_path, "restore", "--check", "--diff")
    refused = play(server, tmp_path, "restore", code=2, backup_restore_confirm="yes", backup_restore_name="20261129T000000Z")
    assert "not confirmed: nothing was replaced. Type ns" in refused
    assert server.ran[-1] == ("preview", {"installation": "", "backup": "20261129T000000Z", "time": "", "secrets": False})
    assert json.dumps(server.objects) == before


RECOVERED = {
    "postgresql_engine": "cloudnative_pg",
    "postgresql_archive": True,
    "mlops_backup_bucket": "backups",
    "backup_bucket_url": "https://s3.example.org",
    "backup_bucket_access_key": "an-access-key",
    "backup_bucket_secret_key": "a secret key",
    "postgresql_cluster_name": "mlops-postgresql-2",
    "postgresql_recover_from": "mlops-postgresql",
    "postgresql_recover_time": "2026-11-28T12:00:00Z",
}


@LONG
def test_a_cluster_is_made_of_an_archive_only_where_none_is_and_after_a_question(server, taken, tmp_path):
    before = json.dumps(server.objects)
    wrong = {**RECOVERED, "postgresql_recover_time": "yesterday", "postgresql_archive_url": "s3.example.org"}
    refused = play(server, tmp_path, "restore", "--check", code=2, **wrong)
    assert "2 problem(s) with the archive; nothing was changed" in refused and "postgresql_recover_time is yesterday" in refused
    said = play(server, tmp_path, "restore", "--check", **RECOVERED)
    assert "would make the Cluster mlops-postgresql-2 of the archive of mlops-postgresql, up to 2026-11-28T12:00:00Z" in said
    assert json.dumps(server.objects) == before
    refused = play(server, tmp_path, "restore", code=2, backup_restore_confirm="yes", **RECOVERED)
    assert "not confirmed: nothing was replaced. Type ns" in refused
    server.put("postgresql.cnpg.io/v1", "Cluster", "mlops-postgresql-2", OURS, spec={"bootstrap": {"initdb": {}}})
    refused = play(server, tmp_path, "restore", code=2, backup_restore_confirm="ns", **RECOVERED)
    assert "was not made of an archive: nothing was changed" in refused and "postgresql_cluster_name" in refused
    # one that a killed run has begun to make is gone on with: the question comes next
    server.get("Cluster", "mlops-postgresql-2")["spec"] = {"bootstrap": {"recovery": {"source": "mlops-postgresql"}}}
    assert "not confirmed" in play(server, tmp_path, "restore", code=2, backup_restore_confirm="yes", **RECOVERED)
