"""The object store role's tasks for MinIO, run as a playbook against stand-ins for MinIO's admin API and Kubernetes' API; no MinIO runs."""

from __future__ import annotations

import json
import re

import pytest
from lib.api_server import ApiServer
from lib.long_tests import LONG
from lib.minio_admin import ROOT_PASSWORD, ROOT_USER, MinioServer
from lib.plays import run_play

KEY, SECRET = "mlflow-access-key", "not-{{ 7 * 6 }}-$HOME 'on\" any screen"
SECRETS = "/api/v1/namespaces/mlops/secrets/mlops-object-store-secrets"


@pytest.fixture
def minio():
    server = MinioServer()
    yield server
    server.close()


@pytest.fixture
def api():
    server = ApiServer()
    yield server
    server.close()


@pytest.fixture
def play(tmp_path, api):
    """Return a function that runs a file of the role's tasks with some facts and returns (exit code, output, number of changes)."""

    def run(file, facts, *options):
        role = {"name": "mlops.platform.object_store", "tasks_from": file}
        way = {"K8S_AUTH_HOST": api.url, "K8S_AUTH_API_KEY": api.params["api_key"]}
        code, output = run_play(tmp_path, {"tasks": [{"ansible.builtin.import_role": role}]}, facts, *options, **way)
        found = re.search(r"changed=(\d+)", output)
        return code, output, int(found[1]) if found else None

    return run


@pytest.fixture
def configure(play, minio):
    """Return a function that runs tasks/configure.yml from `start` on, see play(); its output must show no secret."""

    def run(*options, start="Keep what MLflow may do", previous=()):
        secrets = {"object_store_mlflow_access_key": KEY, "object_store_mlflow_secret_key": SECRET}
        secrets |= {"object_store_admin_access_key": ROOT_USER, "object_store_admin_secret_key": ROOT_PASSWORD}
        facts = {
            "mlops_substrate": "kubernetes",
            "object_store_engine": "minio",
            "object_store_control_url": minio.url,
            "object_store_secrets": {
                "secrets": secrets,
                "previous": {"object_store_mlflow_access_key": list(previous)} if previous else {},
            },
            "object_store_endpoint": {"region": "us-east-1", "access_key": KEY, "secret_key": SECRET},
            "object_store_admin": {"access_key": ROOT_USER, "secret_key": ROOT_PASSWORD},
        }
        code, output, changed = play("configure", facts, "--start-at-task", start, *options)
        assert SECRET not in output and ROOT_PASSWORD not in output and json.dumps(SECRET) not in output
        return code, output, changed

    return run


def test_mlflow_gets_an_identity_of_its_own(configure, minio):
    code, output, changed = configure("--check", "--diff")
    assert (code, changed, minio.users) == (0, 2, {}), output
    code, output, changed = configure("--diff")
    assert (code, changed) == (0, 2), output
    assert minio.users == {KEY: {"secret": SECRET, "enabled": True, "policies": {"mlops-mlflow"}, "groups": []}}
    denied = [one for one in minio.policies["mlops-mlflow"]["Statement"] if one["Effect"] == "Deny"]
    assert denied[0]["Resource"] == ["arn:aws:s3:::mlflow-artifacts/*"]
    code, output, changed = configure()
    assert (code, changed) == (0, 0), output


def test_what_somebody_changed_is_put_right(configure, minio):
    assert configure()[0] == 0
    minio.users[KEY].update(secret="another-one", policies={"mlops-mlflow", "consoleAdmin"})
    minio.policies["mlops-mlflow"]["Statement"].pop()
    code, output, changed = configure()
    assert (code, changed) == (0, 2), output
    assert (minio.users[KEY]["secret"], minio.users[KEY]["policies"]) == (SECRET, {"mlops-mlflow"})
    assert len(minio.policies["mlops-mlflow"]["Statement"]) == 3


def test_an_earlier_access_key_goes_when_the_new_one_is_there(configure, minio, api):
    for name in ("earlier-key", "users-own"):
        minio.users[name] = {"secret": "a-secret-key", "enabled": True, "policies": set(), "groups": []}
    kept = {"metadata": {"resourceVersion": "1", "labels": {}}, "type": "Opaque", "data": {}}
    patches = []

    def patch(asked):
        patches.append(asked.body["data"])
        return kept

    # base64 of KEY and of earlier-key
    kept["data"] = {
        "object_store_mlflow_access_key": "bWxmbG93LWFjY2Vzcy1rZXk=",
        "object_store_mlflow_access_key.previous": "ZWFybGllci1rZXk=",
        **{f"object_store_{name}": "YS1zZWNyZXQta2V5" for name in ("admin_access_key", "admin_secret_key", "mlflow_secret_key")},
    }
    api.answers |= {SECRETS: kept, f"PATCH {SECRETS}": patch}
    code, output, changed = configure(previous=["earlier-key"])
    assert (code, changed) == (0, 4), output
    assert set(minio.users) == {KEY, "users-own"}
    assert patches == [{"object_store_mlflow_access_key.previous": None}]


def test_minio_that_takes_no_writes_yet_is_waited_for(configure, minio):
    """From the start of the file on: it goes past the wait, and stops at the bucket, which the stand-in does not have."""
    code, output, _changed = configure(start="Wait until enough of the drives are there for a write")
    assert code != 0
    assert "Make the bucket of MLflow's artifacts" in output
    assert re.search(r"Wait until enough of the drives are there for a write\] \*+\s+ok:", output), output


# --- a pool's nodes restart together -----------------------------------------------------------------------------------------------------

NAME = "mlops-minio"
LABELS = {
    f"app.kubernetes.io/{key}": value for key, value in {"name": "object-store", "instance": "mlops", "component": "object-store"}.items()
}
PODS = "/api/v1/namespaces/mlops/pods"


class Pool:
    """A StatefulSet of four nodes whose pods are replaced when they are deleted, in an API server; `deleted` are their names, in order."""

    def __init__(self, api, revisions):
        self.revisions, self.deleted, self.made = revisions, [], 0
        verbs = {"namespaced": True, "verbs": ["get", "list", "delete", "patch"]}
        self.uids = {number: f"old-{number}" for number in range(4)}
        api.answers |= {
            "/version": {"major": "1", "minor": "20", "gitVersion": "v1.20.15"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": [self.group("apps")]},
            "/apis/apps": self.group("apps"),
            "/api/v1": {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [{"name": "pods", "singularName": "", "kind": "Pod", **verbs}],
            },
            "/apis/apps/v1": {
                "kind": "APIResourceList",
                "groupVersion": "apps/v1",
                "resources": [{"name": "statefulsets", "singularName": "", "kind": "StatefulSet", **verbs}],
            },
            f"/apis/apps/v1/namespaces/mlops/statefulsets/{NAME}": self.stateful_set,
            PODS: lambda _asked: {
                "kind": "PodList",
                "apiVersion": "v1",
                "metadata": {},
                "items": [self.pod(number) for number in range(4)],
            },
            "/api/v1/namespaces/mlops/events": {"kind": "EventList", "items": []},
        }
        for number in range(4):
            api.answers[f"GET {PODS}/{NAME}-{number}"] = lambda _asked, number=number: self.pod(number)
            api.answers[f"DELETE {PODS}/{NAME}-{number}"] = lambda asked, number=number: self.delete(number, asked)

    @staticmethod
    def group(name):
        version = {"groupVersion": f"{name}/v1", "version": "v1"}
        return {"kind": "APIGroup", "name": name, "versions": [version], "preferredVersion": version}

    def stateful_set(self, _asked):
        status = {"observedGeneration": 2, "updateRevision": "new", "currentRevision": "old", "replicas": 4, "readyReplicas": 4}
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": NAME, "namespace": "mlops", "uid": "the-set", "generation": 2},
            "spec": {"replicas": 4, "selector": {"matchLabels": LABELS}, "updateStrategy": {"type": "OnDelete"}},
            "status": {**status, "updatedReplicas": self.revisions.count("new")},
        }

    def pod(self, number):
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{NAME}-{number}",
                "namespace": "mlops",
                "uid": self.uids[number],
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {**LABELS, "controller-revision-hash": self.revisions[number]},
                "ownerReferences": [{"kind": "StatefulSet", "name": NAME, "uid": "the-set"}],
            },
            "spec": {"containers": []},
            "status": {"phase": "Running"},
        }

    def delete(self, number, asked):
        found = self.pod(number)
        if asked.query.get("dryRun"):
            return found
        self.deleted.append(f"{NAME}-{number}")
        self.revisions[number], self.uids[number] = "new", f"new-{number}"
        return found


@pytest.fixture
def restart(play):
    """Return a function that runs tasks/minio_restart.yml and returns (exit code, output, number of changes)."""

    def run(*options):
        facts = {
            "mlops_substrate": "kubernetes",
            "object_store_engine": "minio",
            "object_store_minio": {"replicas": 4},
            "object_store_wait_timeout": 5,
        }
        return play("minio_restart", facts, *options)

    return run


@LONG
def test_the_nodes_that_are_left_behind_are_restarted_at_once(restart, api):
    pool = Pool(api, ["old", "old", "new", "old"])
    code, output, changed = restart("--check")
    assert (code, changed, pool.deleted) == (0, 1, []), output
    code, output, changed = restart()
    assert (code, changed) == (0, 1), output
    assert pool.deleted == [f"{NAME}-{number}" for number in (0, 1, 3)]
    # between the first and the last deletion nothing was waited for
    calls = [f"{one.method} {one.path}" for one in api.asked]
    first, last = calls.index(f"DELETE {PODS}/{NAME}-0"), calls.index(f"DELETE {PODS}/{NAME}-3")
    assert not [call for call in calls[first:last] if "statefulsets" in call]
    code, output, changed = restart()
    assert (code, changed, len(pool.deleted)) == (0, 0, 3), output
