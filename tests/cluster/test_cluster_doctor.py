"""The doctor on a platform in a cluster: it finds each fault that is planted, names it and its remedy, and nothing where there is none."""

from __future__ import annotations

import json
import stat
import tarfile

import pytest
from lib import platform_proc as proc
from lib import platform_sweep as sweep
from lib.long_tests import LONG
from lib.modules import run_module
from lib.platform_faults.cluster import FAULTS
from lib.platform_faults.planting import forms, found_when_planted


@pytest.fixture(scope="module")
def bundle(platform):
    """The files of a bundle, with secrets planted in events; {name: bytes}."""
    path = platform.scratch / "bundle.tar.gz"
    for value in (form for secret in hidden(platform).values() for form in forms(secret)):
        meta = {"generateName": "planted-", "namespace": platform.namespace}
        about = {"kind": "Pod", "namespace": platform.namespace, "name": "planted"}
        event = {"metadata": meta, "involvedObject": about, "type": "Warning", "reason": "Planted", "message": f"planted {value} planted"}
        platform.cluster.core.create_namespaced_event(platform.namespace, event)
    run = platform.run("playbooks/support_bundle.yml", "-vvv", extra={"doctor_bundle": str(path)}).unchanged()
    assert not sweep.search(run.output.encode(), sweep.needles(hidden(platform)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        return {one.name.partition("/")[2]: archive.extractfile(one).read() for one in archive.getmembers()}


@pytest.fixture(scope="module")
def plan(bundle):
    """What the role says that the platform should be."""
    return json.loads(bundle["plan.json"])


def hidden(platform):
    return {name: value for name, value in platform.secrets().items() if len(value) > 16 and not name.endswith("_access_key")}


def examine(platform, plan, **other):
    options = {"namespace": platform.namespace, "kubeconfig": platform.cluster.kubeconfig, "plan": {**plan, **other}}
    result = run_module("cluster_doctor", options)
    assert not result.get("failed"), result
    assert result["changed"] is False
    return result["report"]


def test_a_healthy_platform_has_none(platform):
    report, before, objects = platform.scratch / "doctor.json", platform.lives(), platform.objects()
    run = platform.run("playbooks/doctor.yml", extra={"doctor_report": str(report), "doctor_fail_on": "warning"}).unchanged()
    assert "0 error(s), 0 warning(s)" in run.output
    found = json.loads(report.read_text())
    states = {one["check"]: one["state"] for one in found["checks"]}
    assert found["findings"] == [] and len(states) >= 20
    assert [name for name, state in states.items() if state == "not checked"] == []
    assert {states[name] for name in ("postgresql-accounts", "postgresql-closed", "bucket", "logins", "schemas", "artifacts")} == {"ok"}
    assert platform.lives() == before and platform.objects() == objects
    s3 = platform.s3().list_object_versions(Bucket="mlflow-artifacts", Prefix="mlops-platform-doctor/")
    assert not s3.get("Versions") and not s3.get("DeleteMarkers")


def test_the_documented_rights_are_enough(platform):
    """But for the schemas: to run a program in a pod is more than an installation needs."""
    report = platform.scratch / "tenant.json"
    platform.run("playbooks/doctor.yml", extra={**platform.as_tenant(), "doctor_report": str(report)}).unchanged()
    found = {one["check"]: one["reason"] for one in json.loads(report.read_text())["checks"] if one["state"] == "not checked"}
    assert set(found) == {"nodes", "schemas"} and "pods/exec" in found["schemas"], found


def test_clients_that_connect_are_listed(platform, plan):
    # those that made, read and removed runs, as a user's do
    seen = examine(platform, plan)["clients_seen"]
    assert seen and all(one["verdict"] in ("works", "fails") for one in seen)


def test_the_bundle_has_what_support_needs_and_no_secret(platform, bundle):
    assert {"doctor.json", "plan.json", "variables.json", "events.txt", "postgresql.txt", "objects/pods.json"} <= set(bundle)
    logs = {name for name in bundle if name.startswith("log/")}
    for component in ("mlops-mlflow", "mlops-postgresql", "mlops-object-store"):
        assert any(component in name and bundle[name].strip() for name in logs), (component, logs)
    assert b"max_connections = " in bundle["postgresql.txt"]
    assert b"planted [redacted:mlops-mlflow-secrets/mlflow_admin_password] planted" in bundle["events.txt"]
    wanted = sweep.needles(hidden(platform))
    assert {name: found for name, text in bundle.items() if (found := sweep.search(text, wanted))} == {}


# one of each layer, and what stops a server; all of them take three minutes more
SHORT = {
    "password_in_the_secret_of_another_time",
    "user_schema_of_a_newer_mlflow",
    "versioning_suspended",
    "client_that_connects_and_cannot_work",
    "mlflow_scaled_to_nothing",
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SHORT else LONG) for name in FAULTS])
def test_a_planted_fault_is_found_with_its_remedy(platform, plan, name):
    # a client that was seen once stays in the log of its pod
    given = {} if "client" in name else {"client_seen_days": 0}
    found_when_planted(platform, plan, FAULTS[name], examine, **given)


@LONG
def test_a_database_that_is_stopped_is_the_cause_of_what_follows(platform, plan):
    scale = platform.cluster.apps.patch_namespaced_stateful_set_scale
    scale("mlops-postgresql", platform.namespace, {"spec": {"replicas": 0}})
    try:

        def found():
            seen = {one["id"]: one for one in examine(platform, plan, client_seen_days=0)["findings"]}
            return seen if "postgresql-unreachable" in seen and {"mlflow-unreachable", "mlflow-no-database"} & set(seen) else None

        seen = proc.wait_until("the doctor sees it", found, 120)
        assert seen["postgresql-unreachable"]["because"] == ["workload-stopped (mlops-postgresql)"]
        for effect in {"mlflow-unreachable", "mlflow-no-database"} & set(seen):
            assert "postgresql-unreachable" in seen[effect]["because"]
    finally:
        scale("mlops-postgresql", platform.namespace, {"spec": {"replicas": 1}})
        platform.wait_until_up()
