"""The doctor's checks of a cluster, over planted objects of its API, beside servers that are well or cannot be reached."""

from __future__ import annotations

import base64
import json
import time

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import doctor
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from lib.certificates import make_certificate
from lib.doctor_cluster import HEALTHY, condition, examine, named


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
    states = {one["check"]: one["state"] for one in report["checks"]}
    assert {name for name, state in states.items() if state != "ok"} == {"certificates", "host", "entry-point", "client-pins", "backup"}
    assert [(one["version"], one["verdict"]) for one in report["clients_seen"]] == [("3.17.2", "works")]
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
        ({"secrets": [*HEALTHY["secrets"], named("tls", data={"tls.crt": base64.b64encode(b"none").decode()})]}, "certificate-missing"),
    ],
)
def test_planted_objects(lists, ident):
    report = examine(**lists)
    assert [one["id"] for one in report["findings"]] == [ident]
    assert report["findings"][0]["remedy"] and report["findings"][0]["subject"]


@pytest.mark.parametrize("days, idents", [((-9, -2), ["certificate-expired"]), ((-9, 5), ["certificate-expires"]), ((-9, 90), [])])
def test_certificates_of_secrets(tmp_path, days, idents):
    path = make_certificate(tmp_path, "server", days=days)[0]
    report = examine(secrets=[*HEALTHY["secrets"], named("tls", data={"tls.crt": base64.b64encode(path.read_bytes()).decode()})])
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


def noted(hours, what="backup", **answer):
    """Return the ConfigMap of what a playbook ran: a backup, or a drill, that ended so many hours ago."""
    answer = {"ended": time.time() - hours * 3600, **answer}
    labels = {"app.kubernetes.io/component": "backup-last"}
    return {"metadata": {"name": f"mlops-backup-last-{what}", "labels": labels}, "data": {"answer": json.dumps(answer)}}


def scheduled(hours, **answer):
    """Return the pod of a Job of the schedule that ended so many hours ago, with what it said."""
    answer = json.dumps({"ended": time.time() - hours * 3600, **answer})
    ended = [
        {"name": "database-tools", "restartCount": 0, "state": {"terminated": {"message": "", "exitCode": 0}}},
        {"name": "program", "restartCount": 0, "state": {"terminated": {"message": answer, "exitCode": 0}}},
    ]
    return {"metadata": {"name": "b", "labels": {"app.kubernetes.io/component": "backup-job"}}, "status": {"containerStatuses": ended}}


GOOD, DRILL = {"name": "20260101T000000Z", "size_bytes": 5}, {"backup": "20260101T000000Z", "rto_seconds": 5}


@pytest.mark.parametrize(
    "pods, configmaps, found",
    [
        ([], [], ["backup-none", "drill-none"]),
        ([scheduled(1, **GOOD)], [noted(30 * 24, "drill", **DRILL)], []),
        ([scheduled(1, **GOOD, drill=DRILL)], [], []),
        ([], [noted(1, **GOOD), noted(2, "drill", **DRILL)], []),
        ([scheduled(50, **GOOD), scheduled(27, **GOOD)], [noted(1, "drill", **DRILL)], ["backup-old"]),
        ([scheduled(25, **GOOD), scheduled(1, problem="the bucket is full")], [noted(99, "drill", **DRILL)], ["backup-failed"]),
        ([scheduled(1, **GOOD)], [noted(36 * 24, "drill", **DRILL)], ["drill-old"]),
        ([scheduled(1, **GOOD)], [], ["drill-none"]),
    ],
)
def test_backups_of_a_schedule_are_looked_at_by_what_they_said(pods, configmaps, found):
    report = examine(options={"backup": True}, pods=HEALTHY["pods"] + pods, configmaps=HEALTHY["configmaps"] + configmaps)
    assert sorted(one["id"] for one in report["findings"]) == found
    assert all("make" in one["remedy"] and one["layer"] == "backup" for one in report["findings"])
    assert not found or found[0] != "backup-failed" or report["findings"][0]["said"] == "the bucket is full"


@pytest.mark.parametrize("hours, found", [(None, []), (6 * 24, []), (8 * 24, ["backup-old"])])
def test_backups_without_a_schedule_may_be_older(hours, found):
    report = examine(configmaps=[] if hours is None else [noted(hours, **GOOD)])
    assert [one["id"] for one in report["findings"]] == found
    state = next(one["state"] for one in report["checks"] if one["check"] == "backup")
    assert state == ("not applicable" if hours is None else "found" if found else "ok")


def test_what_is_no_answer_is_passed_over():
    entries = [noted(1, **GOOD), noted(1)]
    entries[1]["data"]["answer"] = "no JSON"
    report = examine(configmaps=[*entries, {"metadata": {"name": "x", "labels": {"app.kubernetes.io/component": "backup-last"}}}])
    assert report["findings"] == []
