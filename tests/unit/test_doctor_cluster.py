"""The doctor's checks of a cluster, over planted objects of its API."""

from __future__ import annotations

import base64
import copy
import time

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from lib.certificates import make_certificate


def named(name, status=None, spec=None, **more):
    return {"metadata": {"name": name}, "spec": spec or {}, "status": status or {}, **more}


def condition(kind, status, message=""):
    return {"conditions": [{"type": kind, "status": status, "message": message}]}


HEALTHY = {
    "nodes": [named("node1", condition("Ready", "True"))],
    "pods": [named("mlflow-1", {"containerStatuses": [{"name": "mlflow", "restartCount": 0, "state": {"running": {}}}]})],
    "persistentvolumeclaims": [named("data", {"phase": "Bound"})],
    "deployments": [named("mlflow", {"readyReplicas": 2}, {"replicas": 2})],
    "statefulsets": [named("postgresql", {"readyReplicas": 1}, {"replicas": 1})],
    "jobs": [named("schema", condition("Complete", "True"))],
    "secrets": [named("login", data={"password": "eA=="})],
}


class Api:
    """Stands in for a cluster's API: lists by the last part of their path; an error in a list's place is raised."""

    def __init__(self, lists):
        self.lists, self.asked = lists, []

    def get(self, what, path, **query):
        self.asked.append((path, query))
        found = self.lists[path.rpartition("/")[2]]
        if isinstance(found, Exception):
            raise found
        return {"items": found}


def examine(clients=None, **lists):
    api = Api({**copy.deepcopy(HEALTHY), **lists})
    looks = {"cluster": lambda plan: doctor_cluster.look(api, "mlops")}
    return doctor.examine({"certificate_days": 21, "clients": clients or {}}, looks, doctor_cluster.CHECKS, doctor_cluster.CAUSES)


def waiting(reason):
    return [named("mlflow-1", {"containerStatuses": [{"name": "mlflow", "restartCount": 4, "state": {"waiting": {"reason": reason}}}]})]


def test_findings_of_clients_are_told():
    found = doctor.warning("client-pin-open", "mlflow>=2 admits", "change it", "mlflow>=2", "requirements.txt:1")
    report = examine({"asked": True, "failed": "", "findings": [found]})
    assert [(one["id"], one["layer"], one["subject"]) for one in report["findings"]] == [
        ("client-pin-open", "mlflow", "requirements.txt:1")
    ]


def test_a_healthy_platform_has_none():
    report = examine()
    assert report["findings"] == []
    assert {one["check"] for one in report["checks"] if one["state"] == "ok"} == {"cluster", "nodes", "workloads", "pods", "volumes"}
    assert all(one["reason"] for one in report["checks"] if one["state"] == "not applicable")


@pytest.mark.parametrize(
    "lists, ident",
    [
        ({"nodes": [named("node1", condition("Ready", "Unknown", "kubelet stopped"))]}, "node-not-ready"),
        (
            {"nodes": [named("n", {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]})]},
            "node-pressure",
        ),
        ({"deployments": [named("mlflow", {"readyReplicas": 1}, {"replicas": 2})]}, "workload-not-ready"),
        ({"statefulsets": [named("postgresql", {}, {"replicas": 0})]}, "workload-stopped"),
        ({"jobs": [named("schema", condition("Failed", "True", "BackoffLimitExceeded"))]}, "job-failed"),
        ({"pods": waiting("ImagePullBackOff")}, "pod-image"),
        ({"pods": waiting("CreateContainerConfigError")}, "pod-configuration"),
        ({"pods": waiting("CrashLoopBackOff")}, "pod-failing"),
        (
            {
                "pods": [
                    named(
                        "p", {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}]}
                    )
                ]
            },
            "pod-pending",
        ),
        (
            {
                "pods": [
                    named(
                        "p",
                        {
                            "containerStatuses": [
                                {"name": "c", "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}
                            ]
                        },
                    )
                ]
            },
            "pod-out-of-memory",
        ),
        ({"persistentvolumeclaims": [named("data", {"phase": "Pending"})]}, "volume-unbound"),
        ({"secrets": [named("tls", data={"tls.crt": base64.b64encode(b"none").decode()})]}, "certificate-missing"),
    ],
)
def test_planted_objects(lists, ident):
    report = examine(**lists)
    assert [one["id"] for one in report["findings"]] == [ident]
    assert report["findings"][0]["remedy"] and report["findings"][0]["subject"]


@pytest.mark.parametrize("days, idents", [((-9, -2), ["certificate-expired"]), ((-9, 5), ["certificate-expires"]), ((-9, 90), [])])
def test_certificates_of_secrets(tmp_path, days, idents):
    path = make_certificate(tmp_path, "server", days=days)[0]
    report = examine(secrets=[named("tls", data={"tls.crt": base64.b64encode(path.read_bytes()).decode()})])
    assert [one["id"] for one in report["findings"]] == idents


def test_a_list_that_may_not_be_read_stops_nothing_else():
    report = examine(nodes=ClusterError("cannot read nodes: forbidden", "ask", status=403), pods=waiting("ImagePullBackOff"))
    assert [one["id"] for one in report["findings"]] == ["pod-image"]
    assert [(one["check"], one["reason"]) for one in report["checks"] if one["state"] == "not checked"] == [
        ("nodes", "cannot read nodes: forbidden")
    ]


def test_a_cluster_that_does_not_answer_is_one_finding():
    began = time.monotonic()
    report = examine(nodes=ClusterError("cannot read nodes: connection refused", "start it"))
    assert [(one["id"], one["remedy"]) for one in report["findings"]] == [("cluster-unreachable", "start it")]
    assert time.monotonic() - began < 5


def test_causes_are_told():
    report = examine(pods=waiting("ImagePullBackOff"), deployments=[named("mlflow", {}, {"replicas": 2})])
    assert [(one["id"], one["because"]) for one in report["findings"]] == [
        ("pod-image", []),
        ("workload-not-ready", ["pod-image (mlflow-1)"]),
    ]
