# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeps a pod from running and will not mend itself, read from pods, claims and events."""

from __future__ import annotations

from typing import NamedTuple

CRASHES = 3
IMAGE = "check the image's name and tag, that the nodes reach its registry, and mlops_image_pull_secrets"
CONFIG = "create what the message names, or correct the name; the next run makes the platform's own Secrets and ConfigMaps again"
# reason of a waiting container: (kind of trouble, seconds that it may last, what to do). One failed pull can be the network's fault.
WAITING = {
    "InvalidImageName": ("image", 0, "correct the image's name"),
    "ErrImageNeverPull": ("image", 0, "load the image on the nodes, or set mlops_image_pull_policy to IfNotPresent"),
    "ErrImagePull": ("image", 20, IMAGE),
    "ImagePullBackOff": ("image", 20, IMAGE),
    "ImageInspectError": ("image", 20, IMAGE),
    "RegistryUnavailable": ("image", 20, IMAGE),
    "CreateContainerConfigError": ("config", 10, CONFIG),
    "CreateContainerError": ("config", 15, "the node cannot make the container: check its command and volumes, and the message"),
    "RunContainerError": ("config", 15, "the node cannot start the container: check its command and volumes, and the message"),
}
LIMITS = "the namespace's LimitRange refuses the pod's requests or limits: change one of them (mlops_limit_range)"
NO_ROOM = "add nodes, free some, or lower the requests, mlops_node_selector or the anti-affinity that the message names"
# words of a refusal to create a pod: (seconds that it may last, what to do)
REFUSED = {
    # of a new quota, until its controller has counted what is there
    "status unknown for quota": (60, "ask for the quota's status: kube-controller-manager's quota controller has not counted it"),
    # Kubernetes' own words for a name that is taken: by a pod of a StatefulSet that was deleted, until the garbage collector has come to it
    "please try again": (120, "look for a pod of this name that does not end: `kubectl get pods`; its finalizers or its node may hold it"),
    "exceeded quota": (10, "raise the namespace's ResourceQuota (mlops_resource_quota), or lower replicas, requests and limits"),
    "must specify": (10, "the namespace's ResourceQuota wants limits that the pod lacks: set them, or a LimitRange (mlops_limit_range)"),
    "per Container is": (10, LIMITS),
    "per Pod is": (10, LIMITS),
    "PodSecurity": (10, "the namespace's Pod Security level refuses the pod: check its pod-security.kubernetes.io labels"),
    "security context constraint": (10, "no SCC of the service account allows this pod: set mlops_substrate to openshift, or bind one"),
    "serviceaccount": (10, "create the service account that the message names; the next run makes the platform's own ones again"),
}
STORAGE = "check mlops_storage_class against `kubectl get storageclass`, and that its provisioner runs"


class Trouble(NamedTuple):
    """One finding: what it is about, what the server says, how long (seconds) it may last before it counts, and what to do."""

    kind: str
    reason: str
    message: str
    remedy: str
    grace: int
    pod: str = ""
    container: str = ""
    objects: tuple = ()  # names of the objects whose events belong to it


def statuses(pod):
    """Return the statuses of all containers, those of init containers first."""
    status = pod.get("status") or {}
    return (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])


def crash_words(container):
    """Return how a container ended last, in words; empty where it did not."""
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not ended:
        return ""
    words = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") not in (None, "Error", "Completed"):
        words += f", {ended['reason']}"
    return words + (f": {ended['message'].strip()}" if ended.get("message") else "")


def _down(container):
    """Return whether a container has crashed and is not running again yet."""
    state = container.get("state") or {}
    return (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff" or bool((state.get("terminated") or {}).get("exitCode"))


def in_containers(pod, crashes=CRASHES):
    """Return the troubles of a pod's containers."""
    name, found = pod["metadata"]["name"], []
    for container in statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason"), waiting.get("message") or ""
        if reason in WAITING:
            kind, grace, remedy = WAITING[reason]
            if "runAsNonRoot" in message or "non-root" in message:
                remedy = "the image runs as root: use one with a numeric non-root user"
            found.append(Trouble(kind, reason, message or container.get("image", ""), remedy, grace, name, container["name"], (name,)))
        elif _down(container) and container.get("restartCount", 0) + 1 >= crashes:
            words = f"ended {container['restartCount'] + 1} times, last with {crash_words(container) or 'an unknown exit code'}"
            remedy = "its last log lines say why"
            if "OOMKilled" in words:
                remedy = "it was killed for its memory: raise its limit"
            found.append(Trouble("crash", "CrashLoopBackOff", words, remedy, 0, name, container["name"], (name,)))
    return found


def in_job(pods, enough):
    """Return the trouble of a Job of a workload whose pods, those that have failed, are `enough` by now."""
    if len(pods) < enough:
        return []
    name = pods[-1]["metadata"]["name"]
    container = next((one for one in statuses(pods[-1]) if ((one.get("state") or {}).get("terminated") or {}).get("exitCode")), None)
    last = crash_words(container) if container else pods[-1]["status"].get("message") or "no word"
    words = f"{len(pods)} pods failed, the last with {last}"
    where = container["name"] if container else ""
    return [
        Trouble("crash", "JobFailed", words, "its last log lines say why", 0, name, where, tuple(pod["metadata"]["name"] for pod in pods))
    ]


def in_scheduling(pod, claims):
    """Return the troubles that keep a pod from getting a node. `claims` are the namespace's by name."""
    name = pod["metadata"]["name"]
    for entry in (pod.get("status") or {}).get("conditions") or []:
        if entry.get("type") == "PodScheduled" and entry.get("status") == "False" and entry.get("reason") == "Unschedulable":
            break
    else:
        return []
    message, names = entry.get("message") or "", claim_names(pod)
    if "unbound" not in message:
        return [Trouble("schedule", "Unschedulable", message, NO_ROOM, 30, name, "", (name, *names))]
    # the pod waits for its volumes. A class may take minutes to provide one, and says in an event when it fails.
    found = []
    for claim in (claims[known] for known in names if known in claims):
        claim_name, phase = claim["metadata"]["name"], (claim.get("status") or {}).get("phase")
        if phase == "Lost":
            words = f"the volume of the claim {claim_name} is gone"
            found.append(Trouble("claim", "Lost", words, "restore it from a backup", 0, name, "", (claim_name, name)))
        elif phase == "Pending" and not claim["spec"].get("storageClassName"):
            words = f"the claim {claim_name} has no storage class, the cluster has no default one, and no volume fits"
            found.append(Trouble("claim", "FailedBinding", words, STORAGE, 20, name, "", (claim_name, name)))
    return found


def claim_names(pod):
    """Return the names of the claims that a pod uses."""
    named = [(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in pod["spec"].get("volumes") or []]
    return [name for name in named if name]


def in_events(pod, events, claims):
    """Return the troubles of a pod that only events tell: of its claims, and of volumes that cannot be mounted.

    `events` are recent warnings of the namespace, `claims` its claims by name. An event stays when its reason is gone.
    """
    name, found = pod["metadata"]["name"], []
    waiting = {known for known in claim_names(pod) if ((claims.get(known) or {}).get("status") or {}).get("phase") == "Pending"}
    for event in events:
        if event.kind == "PersistentVolumeClaim" and event.name in waiting and event.reason == "ProvisioningFailed":
            words = f"the claim {event.name} gets no volume: {event.message}"
            grace = 10 if "not found" in event.message else 40
            found.append(Trouble("claim", event.reason, words, STORAGE, grace, name, "", (event.name, name)))
        elif event.kind == "Pod" and event.name == name and event.reason in ("FailedMount", "FailedAttachVolume"):
            lasting = "not found" in event.message or "references non-existent" in event.message
            found.append(Trouble("mount", event.reason, event.message, CONFIG, 20 if lasting else 120, name, "", (name,)))
    return found


def refused(message, name):
    """Return the trouble of a workload whose pods the server does not even take."""
    grace, remedy = next((known for part, known in REFUSED.items() if part in message), (10, "change what the message names"))
    return Trouble("create", "FailedCreate", message, remedy, grace, "", "", (name,))
