"""cluster_rollout with real pods: what comes up, and what each failure is told with."""

from __future__ import annotations

import time

import pytest
from lib.cluster_pods import IMAGE, Workloads, own_namespace
from lib.platform_proc import wait_until

MINUTE = 60


@pytest.fixture(scope="module")
def place(cluster):
    with own_namespace(cluster) as name:
        yield Workloads(cluster, name)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_up_again_and_down(place, kind):
    name = f"life-{kind}".lower()
    place.apply(kind, name, replicas=2)
    first = place.rollout(kind, name)
    (state,) = first["workloads"]
    assert state["ready"] and len(state["pods"]) == 2 and state["restarts"] == 0 and not first["changed"]
    again = place.rollout(kind, name)
    assert again["workloads"][0]["revision"] == state["revision"] and again["requests"] <= 3
    place.apply(kind, name, replicas=2, container={"env": [{"name": "X", "value": "1"}]})
    (newer,) = place.rollout(kind, name)["workloads"]
    assert newer["revision"] != state["revision"] and newer["ready"]
    assert [pod.spec.containers[0].env[0].value for pod in place.pods(name) if not pod.metadata.deletion_timestamp] == ["1", "1"]
    place.apply(kind, name, replicas=0)
    assert place.rollout(kind, name)["workloads"][0]["ready"] and place.pods(name) == []


def test_a_job(place):
    place.apply("Job", "good", command=["sh", "-c", "echo 3 tables > /dev/termination-log"])
    (state,) = place.rollout("Job", "good")["workloads"]
    assert (state["ready"], state["exit_code"], state["termination_message"]) == (True, 0, "3 tables")


def test_a_job_that_fails(place):
    place.apply("Job", "bad", command=["sh", "-c", "echo the schema is behind; exit 11"])
    result = place.rollout("Job", "bad")
    assert result["failed"] and result["workloads"][0]["exit_code"] == 11
    assert "ended with exit code 11" in result["msg"] and "  the schema is behind" in result["msg"]


VOLUME = {"volumes": [{"name": "v", "secret": {"secretName": "nope"}}]}
CLAIM = {
    "metadata": {"name": "d"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": "nope"},
}
# without a probe a pod counts as ready from its start to its crash, which a busy node may report for seconds
PROBE = {"container": {"readinessProbe": {"exec": {"command": ["true"]}}}}
FAILURES = {
    "image": ("Deployment", {"image": "registry.invalid/no/such:1"}, "ErrImagePull|ImagePullBackOff", "registry.invalid"),
    "name": ("StatefulSet", {"image": "Not An Image"}, "InvalidImageName", "correct the image's name"),
    "node": ("Deployment", {"nodeSelector": {"no": "where"}}, "Unschedulable", "add nodes"),
    "config": (
        "Deployment",
        {"container": {"envFrom": [{"secretRef": {"name": "nope"}}]}},
        "CreateContainerConfigError",
        'secret "nope" not found',
    ),
    "root": ("Deployment", {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, "CreateContainerConfigError", "root"),
    "mount": (
        "Deployment",
        {**VOLUME, "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}},
        "FailedMount",
        'secret "nope" not found',
    ),
    "claim": ("StatefulSet", {"claims": [CLAIM]}, "ProvisioningFailed", 'storageclass.storage.k8s.io "nope" not found'),
    "account": ("StatefulSet", {"serviceAccountName": "nope"}, "FailedCreate", 'serviceaccount "nope" not found'),
    "quota": ("Deployment", {"container": {"resources": {"requests": {"memory": "8Ti"}}}}, "FailedCreate|Unschedulable", "memory"),
    "crash": ("Deployment", {"command": ["sh", "-c", "echo I am broken; exit 3"], **PROBE}, "CrashLoopBackOff", "  I am broken"),
    "init": (
        "Deployment",
        {"initContainers": [{"name": "i", "image": IMAGE, "command": ["sh", "-c", "echo not yet; exit 4"]}]},
        "CrashLoopBackOff",
        "  not yet",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_does_not_mend_itself(place, name):
    kind, options, reasons, words = FAILURES[name]
    place.apply(kind, f"fail-{name}", **options)
    began = time.monotonic()
    result = place.rollout(kind, f"fail-{name}", timeout=150)
    assert result["failed"] and result["trouble"]["reason"] in reasons.split("|"), result["msg"]
    assert words in result["msg"] and "What to do: " in result["msg"] and f"{kind} fail-{name}" in result["msg"]
    assert time.monotonic() - began < MINUTE + 15  # the module's own start on a busy machine
    # the others have the node for themselves
    place.apply(kind, f"fail-{name}", **options, replicas=0)


def test_a_quota(place):
    place.cluster.core.create_namespaced_resource_quota(place.namespace, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    try:
        # until its controller has counted, admission says "status unknown for quota" in place of "exceeded quota"
        read = place.cluster.core.read_namespaced_resource_quota
        wait_until("the quota is counted", lambda: read("none", place.namespace).status.hard, timeout=MINUTE)
        place.apply("StatefulSet", "quota")
        text = place.rollout("StatefulSet", "quota")["msg"]
        assert "exceeded quota: none" in text and "mlops_resource_quota" in text
    finally:
        place.cluster.core.delete_namespaced_resource_quota("none", place.namespace)


def test_one_that_never_becomes_ready(place):
    probe = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}
    place.apply("Deployment", "unready", command=["sh", "-c", "echo waiting for godot; sleep 3600"], container=probe)
    result = place.rollout("Deployment", "unready", timeout=12)
    assert result["failed"] and "was not ready within 12 s" in result["msg"]
    assert "Unhealthy: Readiness probe failed" in result["msg"] and "  waiting for godot" in result["msg"]


def test_a_stateful_set_whose_pod_is_broken_is_repaired(place):
    """It waits for its broken pod for ever, also when its template is right again."""
    place.apply("StatefulSet", "blocked", image="registry.invalid/no/such:1")
    assert place.rollout("StatefulSet", "blocked")["failed"]
    place.apply("StatefulSet", "blocked")
    result = place.rollout("StatefulSet", "blocked")
    assert result["workloads"][0]["ready"] and result["restarted"] == ["blocked-0"] and result["changed"]


def test_check_mode_asks_nobody(place):
    result = place.rollout("Deployment", "does-not-exist", check=True)
    assert not result["changed"] and result["requests"] == 0


def test_a_user_who_may_not_see_everything(place, cluster):
    rules = [{"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list"]}]
    rules.append({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]})
    kubeconfig = cluster.kubeconfig_of(place.namespace, "watcher", rules)
    place.apply("Deployment", "seen", image="Not An Image")
    text = place.rollout("Deployment", "seen", kubeconfig=kubeconfig)["msg"]
    assert "InvalidImageName" in text and "Events:" not in text
