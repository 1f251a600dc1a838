"""How far a workload is, and what keeps a pod from running."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_events, cluster_trouble
from ansible_collections.mlops.platform.plugins.module_utils import cluster_workload as workload


def deployment(wanted=2, generation=3, observed=3, **status):
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation, "uid": "d", "annotations": {workload.REVISION: "2"}},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": "x"}}},
        "status": {"observedGeneration": observed, **status},
    }


def stateful_set(wanted=2, strategy=None, **status):
    spec = {"replicas": wanted, "selector": {"matchLabels": {"app": "x"}}, "updateStrategy": strategy or {"type": "RollingUpdate"}}
    return {"kind": "StatefulSet", "metadata": {"generation": 1, "uid": "s"}, "spec": spec, "status": {"observedGeneration": 1, **status}}


@pytest.mark.parametrize(
    ("obj", "done"),
    [
        (deployment(updatedReplicas=2, replicas=2, availableReplicas=2), True),
        (deployment(observed=2, updatedReplicas=2, replicas=2, availableReplicas=2), False),
        (deployment(updatedReplicas=2, replicas=3, availableReplicas=3), False),
        (deployment(updatedReplicas=1, replicas=2, availableReplicas=2), False),
        (deployment(updatedReplicas=2, replicas=2, availableReplicas=1), False),
        (deployment(wanted=0), True),
        (deployment(wanted=0, replicas=1, updatedReplicas=1), False),
        (deployment(wanted=None, updatedReplicas=1, replicas=1, availableReplicas=1), True),
        ({**deployment(), "status": {}}, False),
        (stateful_set(replicas=2, readyReplicas=2, currentRevision="a", updateRevision="a"), True),
        (stateful_set(replicas=2, readyReplicas=2, currentRevision="a", updateRevision="b", updatedReplicas=1), False),
        (stateful_set(replicas=2, readyReplicas=1, currentRevision="a", updateRevision="a"), False),
        (stateful_set(replicas=3, readyReplicas=2, currentRevision="a", updateRevision="a"), False),
        (
            stateful_set(strategy={"rollingUpdate": {"partition": 1}}, replicas=2, readyReplicas=2, updateRevision="b", updatedReplicas=1),
            True,
        ),
        (stateful_set(strategy={"type": "OnDelete"}, replicas=2, readyReplicas=2, currentRevision="a", updateRevision="b"), True),
        ({"kind": "Job", "metadata": {}, "spec": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}, True),
        ({"kind": "Job", "metadata": {}, "spec": {}, "status": {"active": 1}}, False),
        ({"kind": "Job", "metadata": {}, "spec": {}}, False),
    ],
)
def test_progress(obj, done):
    found, words = workload.progress(obj)
    assert found is done and words


def test_selectors():
    chosen = {
        "matchLabels": {"a": "1"},
        "matchExpressions": [
            {"key": "b", "operator": "In", "values": ["x", "y"]},
            {"key": "c", "operator": "NotIn", "values": ["z"]},
            {"key": "d", "operator": "Exists"},
            {"key": "e", "operator": "DoesNotExist"},
        ],
    }
    assert workload.selector({"spec": {"selector": chosen}}) == "a=1,b in (x,y),c notin (z),d,!e"


def test_the_newest_revision():
    sets = [
        {"metadata": {"uid": f"rs{number}", "ownerReferences": [{"uid": "d"}], "annotations": {workload.REVISION: number}}}
        for number in "12"
    ]
    newest = workload.newest_replica_set(deployment(), sets)
    assert newest is sets[1]
    pods = [{"metadata": {"ownerReferences": [{"uid": uid}]}} for uid in ("rs1", "rs2")]
    assert [workload.is_newest(deployment(), pod, newest) for pod in pods] == [False, True]
    pod = {"metadata": {"labels": {"controller-revision-hash": "b"}}}
    assert workload.is_newest(stateful_set(updateRevision="b"), pod, None)
    assert not workload.is_newest(stateful_set(updateRevision="c"), pod, None)


def pod(statuses=(), conditions=(), claims=(), init=()):
    return {
        "metadata": {"name": "p"},
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": name}} for name in claims] + [{"emptyDir": {}}]},
        "status": {"containerStatuses": list(statuses), "initContainerStatuses": list(init), "conditions": list(conditions)},
    }


def waiting(why, message="", restarts=0, **last):
    return {
        "name": "c",
        "image": "the/image",
        "restartCount": restarts,
        "state": {"waiting": {"reason": why, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }


@pytest.mark.parametrize(
    ("status", "reason", "grace", "words"),
    [
        (waiting("InvalidImageName"), "InvalidImageName", 0, "the/image"),
        (waiting("ErrImageNeverPull"), "ErrImageNeverPull", 0, "mlops_image_pull_policy"),
        (waiting("ImagePullBackOff", "Back-off pulling"), "ImagePullBackOff", 20, "mlops_image_pull_secrets"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), "CreateContainerConfigError", 10, 'secret "x" not found'),
        (waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), None, 10, "numeric non-root user"),
        (waiting("CrashLoopBackOff", restarts=2, exitCode=3), "CrashLoopBackOff", 0, "ended 3 times, last with exit code 3"),
        (waiting("CrashLoopBackOff", restarts=4, exitCode=137, reason="OOMKilled"), None, 0, "raise its limit"),
        (
            {"name": "c", "restartCount": 2, "state": {"terminated": {"exitCode": 1, "message": " why \n"}}},
            "CrashLoopBackOff",
            0,
            "exit code 1: why",
        ),
    ],
)
@pytest.mark.parametrize("init", [False, True])
def test_troubles_of_containers(status, reason, grace, words, init):
    (found,) = cluster_trouble.in_containers(pod(init=[status]) if init else pod([status]))
    assert found.reason == (reason or found.reason) and found.grace == grace and found.container == "c"
    assert words in f"{found.message} {found.remedy}"


@pytest.mark.parametrize(
    "status",
    [
        waiting("ContainerCreating"),
        waiting("PodInitializing"),
        waiting("CrashLoopBackOff", restarts=1, exitCode=1),
        {"name": "c", "restartCount": 7, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
        {"name": "c", "restartCount": 2, "state": {"terminated": {"exitCode": 0}}},
    ],
)
def test_what_may_mend_itself(status):
    assert cluster_trouble.in_containers(pod([status])) == []


def unschedulable(message):
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


def claim(phase="Pending", storage_class=None):
    return {"d": {"metadata": {"name": "d"}, "spec": {"storageClassName": storage_class}, "status": {"phase": phase}}}


UNBOUND = "0/1 nodes are available: 1 pod has unbound immediate PersistentVolumeClaims."


@pytest.mark.parametrize(
    ("message", "claims", "reason"),
    [
        ("0/1 nodes are available: 1 Insufficient cpu.", {}, "Unschedulable"),
        ('persistentvolumeclaim "d" not found', {}, "Unschedulable"),
        (UNBOUND, claim(), "FailedBinding"),
        (UNBOUND, claim("Lost", "fast"), "Lost"),
        (UNBOUND, claim("Pending", "slow"), None),
        (UNBOUND, {}, None),
    ],
)
def test_troubles_of_scheduling(message, claims, reason):
    found = cluster_trouble.in_scheduling(pod(conditions=[unschedulable(message)], claims=["d"]), claims)
    assert [one.reason for one in found] == ([reason] if reason else [])


def test_a_pod_that_has_a_node():
    assert cluster_trouble.in_scheduling(pod(conditions=[{"type": "PodScheduled", "status": "True"}]), {}) == []


def event(kind, name, reason, message="", count=1, time=100.0):
    return cluster_events.Event(kind, name, reason, message, count, time)


def test_troubles_that_events_tell():
    events = [
        event("PersistentVolumeClaim", "d", "ProvisioningFailed", 'storageclass "x" not found'),
        event("PersistentVolumeClaim", "other", "ProvisioningFailed"),
        event("Pod", "p", "FailedMount", 'secret "x" not found'),
        event("Pod", "p", "FailedMount", "timed out"),
        event("Pod", "another", "FailedMount"),
        event("Pod", "p", "Unhealthy"),
    ]
    found = cluster_trouble.in_events(pod(claims=["d"]), events, claim())
    assert [(one.kind, one.grace) for one in found] == [("claim", 10), ("mount", 20), ("mount", 120)]
    assert [one.kind for one in cluster_trouble.in_events(pod(claims=["d"]), events, claim("Bound"))] == ["mount", "mount"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('pods "x" is forbidden: exceeded quota: q, requested: cpu=1', "mlops_resource_quota"),
        ("is forbidden: failed quota: q: must specify limits.cpu", "mlops_limit_range"),
        ("is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi", "mlops_limit_range"),
        ('violates PodSecurity "restricted:latest"', "pod-security.kubernetes.io"),
        ("unable to validate against any security context constraint", "mlops_substrate"),
        ('serviceaccount "x" not found', "service account"),
        ("admission webhook said no", "change what the message names"),
    ],
)
def test_what_to_do_about_refused_pods(message, words):
    assert words in cluster_trouble.refused(message, "x").remedy


def test_a_quota_that_is_not_counted_yet_is_waited_for():
    trouble = cluster_trouble.refused('pods "x" is forbidden: status unknown for quota: q, resources: pods', "x")
    assert trouble.grace == 60 > cluster_trouble.refused("exceeded quota: q", "x").grace


@pytest.mark.parametrize(
    ("item", "time", "count"),
    [
        ({"lastTimestamp": "2026-01-01T00:00:10Z", "count": 4}, 10, 4),
        ({"lastTimestamp": None, "eventTime": "2026-01-01T00:00:20.500000Z"}, 20.5, 1),
        ({"eventTime": "2026-01-01T00:00:01.0Z", "series": {"count": 9, "lastObservedTime": "2026-01-01T00:00:30.000000Z"}}, 30, 9),
        ({"metadata": {"creationTimestamp": "2026-01-01T00:00:40Z"}}, 40, 1),
    ],
)
def test_events_of_all_kinds(item, time, count):
    start = cluster_events.seconds("2026-01-01T00:00:00Z")
    found = cluster_events.read({"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "R", "message": " words\n", **item})
    assert (found.kind, found.name, found.reason, found.message, found.count) == ("Pod", "p", "R", "words", count)
    assert found.time - start == time


def test_what_events_of_a_pod_tell():
    assert cluster_events.gets_node([event("Pod", "p", "TriggeredScaleUp")])
    assert not cluster_events.gets_node([event("Pod", "p", "NotTriggerScaleUp")])
    failed, later = event("Pod", "p", "FailedMount", time=5.0), event("Pod", "p", "Pulling", time=6.0)
    assert cluster_events.has_mounted([failed, later])
    assert not cluster_events.has_mounted([event("Pod", "p", "Pulling", time=1.0), failed])
    assert not cluster_events.has_mounted([later])
