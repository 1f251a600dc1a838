# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far CloudNativePG is with a Cluster, read from what its operator says and from the pods that it has made."""

from __future__ import annotations

HEALTHY = "Cluster in healthy state"
# phases that the operator does not leave by itself
STUCK = (
    "Unable to create required cluster objects",
    "Cluster is unrecoverable and needs manual intervention",
    "Cluster has incomplete or invalid image catalog",
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    "Cluster cannot execute instance online upgrade due to missing architecture binary",
)
ROLES = ("initdb", "join")  # of the Jobs that make a server's data
SERVERS = range(1, 10)  # the operator counts from 1, and gives no number twice
FAILED = 2  # pods of a Job that have failed; after one, the next may do better


def selector(name):
    """Return the label selector of everything that the operator makes for a Cluster."""
    return f"cnpg.io/cluster={name}"


def replicas(obj):
    """Return how many servers the Cluster is to have; none while it hibernates."""
    asleep = (obj["metadata"].get("annotations") or {}).get("cnpg.io/hibernation") == "on"
    return 0 if asleep else obj["spec"].get("instances") or 1


def seen(obj):
    """Return whether the operator's word on readiness is about the newest specification, as far as it says."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == "Ready" and entry.get("observedGeneration"):
            return entry["observedGeneration"] >= obj["metadata"].get("generation", 0)
    return True


def progress(obj):
    """Return (done, words) of what the operator says, which may be of before the last change: out() looks at the pods themselves."""
    status, wanted = obj.get("status") or {}, replicas(obj)
    if wanted == 0:
        return True, "it hibernates"
    ready, image = status.get("readyInstances") or 0, obj["spec"].get("imageName")
    done = status.get("instances") == ready == wanted and status.get("phase") == HEALTHY
    done = done and status.get("currentPrimary") == status.get("targetPrimary") and status.get("image") in (None, image)
    said = ": ".join(status[key].strip() for key in ("phase", "phaseReason") if status.get(key))
    return done, f"{ready} of {wanted} servers are ready; its operator says {said or 'nothing, does CloudNativePG run?'}"


def stuck(obj):
    """Return why the operator does not go on, empty where it does."""
    status = obj.get("status") or {}
    if status.get("phase") not in STUCK:
        return ""
    return f"{status['phase']}: {status['phaseReason']}" if status.get("phaseReason") else status["phase"]


def job_role(pod):
    """Return what a pod of a Job does for the Cluster, empty for a server."""
    return (pod["metadata"].get("labels") or {}).get("cnpg.io/jobRole") or ""


def out(obj, pods):
    """Return whether the servers themselves are all there, ready, and of the image that is wanted."""
    image = obj["spec"].get("imageName")
    good = [pod for pod in pods if not job_role(pod) and is_ready(pod) and (not image or image in images(pod))]
    return len(good) == len([pod for pod in pods if not job_role(pod)]) == replicas(obj)


def is_ready(pod):
    """Return whether a pod is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)


def images(pod):
    """Return the images of a pod's containers."""
    return [container.get("image") for container in pod["spec"].get("containers") or []]


def failed(pods):
    """Return the pods of Jobs that have failed since the last one that did not, oldest first."""
    jobs = sorted((pod for pod in pods if job_role(pod)), key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    found = []
    for pod in jobs:
        phase = (pod.get("status") or {}).get("phase")
        found = [] if phase == "Succeeded" else [*found, pod] if phase == "Failed" else found
    return found


def owners(name):
    """Return (kind, name) of the objects that make a Cluster's pods."""
    return {("Cluster", name)} | {("Job", f"{name}-{number}-{role}") for number in SERVERS for role in ROLES}
