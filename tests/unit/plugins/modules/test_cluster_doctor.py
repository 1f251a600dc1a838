"""cluster_doctor against a stand-in for an API server: what it asks and returns, and what it says where no cluster answers."""

from __future__ import annotations

import base64
import json

import pytest
from lib.api_server import Refused
from lib.certificates import make_certificate
from lib.doctor_cluster import PLAN
from lib.modules import run_module

HOME = "/api/v1/namespaces/ns"
LISTS = [
    "/api/v1/nodes",
    f"{HOME}/persistentvolumeclaims",
    *(f"{HOME}/{name}" for name in ("pods", "secrets", "configmaps", "services")),
    *(f"/apis/apps/v1/namespaces/ns/{name}" for name in ("deployments", "statefulsets")),
    "/apis/batch/v1/namespaces/ns/jobs",
]
STUCK = {
    "metadata": {"name": "mlflow-1"},
    "spec": {},
    "status": {"containerStatuses": [{"name": "mlflow", "restartCount": 4, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
}


@pytest.fixture
def cluster(api):
    """A cluster in which the platform has no objects."""
    api.answers |= {path: {"items": []} for path in LISTS}
    return api


def examine(given, check=False, options=None, **plan):
    """Run the module where no server is behind a Service; `plan` is what is changed of the plan."""
    wanted = {**PLAN, "clients": {}, "secrets": [], **plan}
    return run_module("cluster_doctor", {"namespace": "ns", "plan": wanted, **given, **(options or {})}, check=check)


def of_the_api(report):
    """Return the findings of what the API says; the servers are not there."""
    return [one for one in report["findings"] if one["layer"] not in ("database", "mlflow") and not one["id"].startswith("s3-")]


def states(report):
    return {one["check"]: one["state"] for one in report["checks"]}


@pytest.mark.parametrize("check", [False, True])
def test_it_reads_in_check_mode_too_and_changes_nothing(cluster, check):
    cluster.answers[f"{HOME}/pods"] = {"items": [STUCK]}
    result = examine(cluster.params, check=check)
    assert not result.get("failed") and result["changed"] is False
    asked = [one.path for one in cluster.asked]
    # each once; what comes then are the ways to the servers
    assert sorted(asked[: len(LISTS)]) == sorted(LISTS) and cluster.paths("GET") == asked
    assert asked[len(LISTS) :] == [f"{HOME}/services/mlops-postgresql", f"{HOME}/services/mlops-object-store"]
    (found,) = of_the_api(result["report"])
    assert (found["id"], found["severity"], found["layer"], found["subject"]) == ("pod-image", "error", "workloads", "mlflow-1")
    assert found["what"] and found["remedy"] and found["because"] == []
    summary = result["report"]["summary"]
    assert (summary["errors"], summary["warnings"]) == (len(result["report"]["findings"]), 0)
    assert summary["ok"] == list(states(result["report"]).values()).count("ok") > 0
    assert result["report"]["seconds"] >= 0


def test_it_asks_for_the_platforms_own_objects(cluster):
    examine(cluster.params)
    lists = [one for one in cluster.asked if one.path in LISTS]
    all_of_them = {one.path for one in lists if "labelSelector" not in one.query}
    assert all_of_them == {"/api/v1/nodes", f"{HOME}/persistentvolumeclaims"}
    assert {one.query["labelSelector"] for one in lists if one.path not in all_of_them} == {"app.kubernetes.io/part-of=mlops"}


def test_a_service_that_is_not_there_is_a_finding_with_the_modules_words(cluster):
    report = examine(cluster.params)["report"]
    said = {one["id"]: one["said"] for one in report["findings"]}
    assert said["postgresql-unreachable"] == "there is no Service mlops-postgresql in the namespace ns"
    assert said["s3-unreachable"] == "there is no Service mlops-object-store in the namespace ns"
    assert said["mlflow-unreachable"] == "no pod of MLflow is ready"


def test_a_bundle_hides_what_secrets_hold_and_what_was_given(cluster):
    data = {"postgresql_mlflow_password": base64.b64encode(b"a-password-of-a-secret").decode()}
    cluster.answers[f"{HOME}/secrets"] = {"items": [{"metadata": {"name": "mlops-postgresql-secrets"}, "data": data}]}
    cluster.answers[f"{HOME}/configmaps"] = {
        "items": [{"metadata": {"name": "c"}, "data": {"url": "x://a-password-of-a-secret:given-one@h"}}]
    }
    cluster.answers[f"{HOME}/events"] = {"items": []}
    options = {"bundle": {"files": {"mine.txt": "mine"}, "log_bytes": 1000}, "given": {"postgresql_external_password": "given-one"}}
    result = examine(cluster.params, options=options)
    assert not result.get("failed"), result
    text = json.dumps(result)
    assert "a-password-of-a-secret" not in text and "given-one" not in text
    assert "[redacted:mlops-postgresql-secrets/postgresql_mlflow_password]" in result["files"]["objects/configmaps.json"]
    assert result["files"]["mine.txt"] == "mine" and json.loads(result["files"]["doctor.json"])["findings"]


@pytest.mark.parametrize("days, idents", [(21, ["certificate-expires"]), (2, [])])
def test_the_days_of_a_certificate_are_an_option(cluster, tmp_path, days, idents):
    text = base64.b64encode(make_certificate(tmp_path, "server", days=(-9, 5))[0].read_bytes()).decode()
    cluster.answers[f"{HOME}/secrets"] = {"items": [{"metadata": {"name": "tls"}, "data": {"tls.crt": text, "tls.key": "a-key"}}]}
    result = examine(cluster.params, certificate_days=days)
    assert [one["id"] for one in of_the_api(result["report"])] == idents
    assert "a-key" not in json.dumps(result["report"])


def test_what_may_not_be_read_is_told_and_stops_nothing_else(cluster):
    def refuse(_asked):
        raise Refused(403, "nodes is forbidden")

    cluster.answers["/api/v1/nodes"] = refuse
    cluster.answers[f"{HOME}/pods"] = {"items": [STUCK]}
    report = examine(cluster.params)["report"]
    assert {one["check"]: one["reason"] for one in report["checks"]}["nodes"] == "cannot read nodes: nodes is forbidden"
    assert [one["id"] for one in of_the_api(report)] == ["pod-image"]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"kubeconfig": "/does/not/exist"}, "the kubeconfig /does/not/exist cannot be used"),
        ({"host": "http://127.0.0.1:1", "api_key": "a-token"}, "the server http://127.0.0.1:1 of the option host does not answer"),
    ],
)
def test_without_a_cluster_there_is_one_finding_with_its_words(given, words):
    result = examine(given)
    assert not result.get("failed") and result["changed"] is False
    (found,) = result["report"]["findings"]
    assert found["id"] == "cluster-unreachable" and words in found["said"] and found["remedy"]
    found = states(result["report"])
    assert found["cluster"] == "found"
    assert {found[name] for name in ("nodes", "workloads", "pods", "volumes")} == {"not checked"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"namespace": None}, "missing required arguments: namespace"),
        ({"plan": None}, "missing required arguments: plan"),
        ({"bundle": "all"}, "bundle"),
    ],
)
def test_options_that_are_refused(change, words):
    result = run_module(
        "cluster_doctor", {key: value for key, value in {"namespace": "ns", "plan": PLAN, **change}.items() if value is not None}
    )
    assert result["failed"] and words in result["msg"]
