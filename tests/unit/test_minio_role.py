"""The object store role's tasks for MinIO, run as a playbook against stand-ins for MinIO's admin API and Kubernetes' API; no MinIO runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lib.api_server import ApiServer
from lib.minio_admin import ROOT_PASSWORD, ROOT_USER, MinioServer
from lib.platform_secrets import as_variables

ROOT = Path(__file__).resolve().parents[2]
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
def configure(tmp_path, minio, api):
    """Return a function that runs tasks/configure.yml from `start` on and returns (exit code, output, number of changes)."""

    def run(*options, start="Keep what MLflow may do", previous=(), **given):
        secrets = {"object_store_mlflow_access_key": KEY, "object_store_mlflow_secret_key": SECRET}
        secrets |= {"object_store_admin_access_key": ROOT_USER, "object_store_admin_secret_key": ROOT_PASSWORD, **given}
        facts = {
            "mlops_substrate": "kubernetes",
            "object_store_engine": "minio",
            "object_store_control_url": minio.url,
            "object_store_secrets": {
                "secrets": secrets,
                "previous": {"object_store_mlflow_access_key": list(previous)} if previous else {},
            },
            "object_store_endpoint": {
                "region": "us-east-1",
                "access_key": secrets["object_store_mlflow_access_key"],
                "secret_key": secrets["object_store_mlflow_secret_key"],
            },
            "object_store_admin": {"access_key": ROOT_USER, "secret_key": ROOT_PASSWORD},
        }
        role = {"name": "mlops.platform.object_store", "tasks_from": "configure"}
        # common: the variables that every role finds
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.import_role": role}]}
        (tmp_path / "play.yml").write_text(yaml.dump([play]), encoding="utf-8")
        (tmp_path / "given.yml").write_text(as_variables(facts), encoding="utf-8")
        (tmp_path / "ansible.cfg").touch()
        command = [Path(sys.executable).with_name("ansible-playbook"), "play.yml", "-e", "@given.yml", "--start-at-task", start, *options]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_"))},
                "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "K8S_AUTH_HOST": api.url,
                "K8S_AUTH_API_KEY": api.params["api_key"],
            },
        )
        output = done.stdout + done.stderr
        assert SECRET not in output and ROOT_PASSWORD not in output and json.dumps(SECRET) not in output
        found = re.search(r"changed=(\d+)", output)
        return done.returncode, output, int(found[1]) if found else None

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
