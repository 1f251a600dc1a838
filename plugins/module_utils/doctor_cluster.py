# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster's API says of a platform: nodes, workloads, pods, volumes, certificates, secrets, backups; and what is wrong there."""

from __future__ import annotations

import base64
import contextlib
import time

from ansible_collections.mlops.platform.plugins.module_utils import cluster_trouble, doctor_cluster_backup, doctor_tls
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, NotApplicable, NotChecked, error, warning

OURS = "app.kubernetes.io/part-of=mlops"
# what the API is asked for: path, and whether only objects of the platform are wanted
LISTS = {
    "pods": ("", "v1", True),
    "persistentvolumeclaims": ("", "v1", False),
    "deployments": ("apps", "v1", True),
    "statefulsets": ("apps", "v1", True),
    "jobs": ("batch", "v1", True),
    "secrets": ("", "v1", True),
    "configmaps": ("", "v1", True),
    "services": ("", "v1", True),
}
FORBIDDEN = 403
PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure")


def look(cluster, namespace, secrets=()):
    """Return {list: (items, "") or (None, why it could not be read)}, and `unreachable`: the words of a server that does not answer.

    An account that may not list Secrets may read those that it knows: `secrets` are their names.
    """
    facts = {"unreachable": "", "remedy": "", "now": time.time()}
    paths = {name: (namespaced(namespace, name, group=group, version=version), ours) for name, (group, version, ours) in LISTS.items()}
    for name, (path, ours) in {"nodes": ("/api/v1/nodes", False), **paths}.items():
        try:
            facts[name] = (cluster.get(f"read {name}", path, **({"labelSelector": OURS} if ours else {})).get("items") or [], "")
        except ClusterError as problem:
            facts[name] = (None, problem.what)
            if not problem.status:
                facts.update(unreachable=problem.what, remedy=problem.remedy)
                break
            if name == "secrets" and problem.status == FORBIDDEN:
                facts[name] = of_names(cluster, namespace, secrets, problem.what)
    return facts


def of_names(cluster, namespace, names, why):
    """Return the Secrets of these names as a list's (items, ""), or (None, `why`) where none can be read."""
    found = []
    for name in names:
        with contextlib.suppress(ClusterError):
            entry = cluster.find(f"read the Secret {name}", namespaced(namespace, "secrets", name))
            found += [entry] if entry else []
    return (found, "") if found else (None, why)


def items(facts, name):
    """Return the objects of a list. Raises NotChecked with the server's words where they could not be read."""
    if facts["unreachable"]:
        raise NotChecked("the cluster does not answer")
    found, why = facts[name]
    if found is None:
        raise NotChecked(why)
    return found


def listed(facts, name):
    """Return the objects of a list, none where it could not be read: for whoever can do without them."""
    return (facts.get(name) or (None, ""))[0] or []


def condition(entry, kind):
    """Return an object's condition of a kind, {} where it has none."""
    return next((one for one in (entry.get("status") or {}).get("conditions") or [] if one["type"] == kind), {})


def reachable(_plan, facts):
    """The API server answers."""
    if facts["unreachable"]:
        yield error("cluster-unreachable", "the cluster's API server does not answer", facts["remedy"], facts["unreachable"])


def nodes(_plan, facts):
    """The nodes are ready, and have room."""
    for node in items(facts, "nodes"):
        name, ready = node["metadata"]["name"], condition(node, "Ready")
        if ready.get("status") != "True":
            yield error("node-not-ready", f"the node {name} is not ready", f"kubectl describe node {name}", ready.get("message", ""), name)
        for kind in PRESSURE:
            found = condition(node, kind)
            if found.get("status") == "True":
                yield warning(
                    "node-pressure", f"the node {name} has {kind}", f"kubectl describe node {name}", found.get("message", ""), name
                )


def workloads(_plan, facts):
    """Each Deployment and StatefulSet has the pods that it wants, and each Job has ended well."""
    for kind in ("deployments", "statefulsets"):
        for entry in items(facts, kind):
            name, status = entry["metadata"]["name"], entry.get("status") or {}
            wanted, ready = entry["spec"].get("replicas", 1), status.get("readyReplicas", 0)
            if wanted == 0:
                yield error("workload-stopped", f"{name} is scaled to 0", UP, subject=name)
            elif ready < wanted:
                said = condition(entry, "Available").get("message") or condition(entry, "Progressing").get("message") or ""
                yield error("workload-not-ready", f"{ready} of {wanted} pods of {name} are ready", "see its pods; then " + UP, said, name)
    for job in items(facts, "jobs"):
        failed = condition(job, "Failed")
        if failed.get("status") == "True":
            name = job["metadata"]["name"]
            yield warning("job-failed", f"the Job {name} failed", f"kubectl logs job/{name}; then {UP}", failed.get("message", ""), name)


def pods(_plan, facts):
    """No pod waits for what will not come, or ends again and again."""
    claims = {claim["metadata"]["name"]: claim for claim in items(facts, "persistentvolumeclaims")}
    for pod in items(facts, "pods"):
        name = pod["metadata"]["name"]
        for trouble in cluster_trouble.in_containers(pod) + cluster_trouble.in_scheduling(pod, claims):
            ident = {"image": "pod-image", "config": "pod-configuration"}.get(
                trouble.kind, "pod-failing" if trouble.container else "pod-pending"
            )
            yield error(ident, f"the pod {name}: {trouble.reason}", trouble.remedy, trouble.message, name)
        for container in cluster_trouble.statuses(pod):
            ended = (container.get("lastState") or {}).get("terminated") or {}
            if ended.get("reason") == "OOMKilled":
                limit = "raise the memory limit of its component (mlflow_resources, postgresql_resources, object_store_resources)"
                yield warning(
                    "pod-out-of-memory", f"the container {container['name']} of {name} was killed for its memory", limit, subject=name
                )


def volumes(_plan, facts):
    """Each claim has its volume."""
    for claim in items(facts, "persistentvolumeclaims"):
        name, phase = claim["metadata"]["name"], (claim.get("status") or {}).get("phase")
        if phase != "Bound":
            yield error("volume-unbound", f"the claim {name} is {phase}", cluster_trouble.STORAGE, subject=name)


def certificates(plan, facts):
    """The certificates in the platform's Secrets are valid for some time to come."""
    if doctor_tls.x509 is None:
        raise NotChecked("this Python has no cryptography")
    seen = 0
    for secret in items(facts, "secrets"):
        text = (secret.get("data") or {}).get("tls.crt")
        if not text:
            continue
        seen += 1
        name = secret["metadata"]["name"]
        try:
            found = doctor_tls.certificate(base64.b64decode(text))
        except ValueError:
            yield error("certificate-missing", f"the Secret {name} holds no certificate that can be read", UP, subject=name)
            continue
        left, end = (found["not_after"] - facts["now"]) / 86400, doctor_tls.day(found["not_after"])
        if left < 0:
            yield error(
                "certificate-expired",
                f"the certificate in the Secret {name} ended on {end}",
                f"{UP}; a given one: renew it first",
                subject=name,
            )
        elif left < plan["certificate_days"]:
            yield warning(
                "certificate-expires", f"the certificate in the Secret {name} ends on {end}, in {int(left)} days", UP, subject=name
            )
    if not seen:
        raise NotApplicable("no Secret of the platform holds a certificate")


def backups(plan, facts):
    """There is a backup, it is recent, the last one succeeded, and a restore was rehearsed."""
    said = doctor_cluster_backup.answers(items(facts, "configmaps"), items(facts, "pods"))
    yield from doctor_cluster_backup.judge(plan, said, facts["now"])


def secrets(plan, facts):
    """The platform's secrets are there, and hold something."""
    items(facts, "secrets")
    for name in plan["secrets"]:
        if name not in plan["held"]:
            remedy = f"restore it (make restore), or let {UP} make another one"
            yield error("secret-missing", f"no Secret of the platform has {name}", remedy, subject=name)
        elif not plan["held"][name]:
            where = f"{plan['namespace']}/{plan['held_in'].get(name, '')}"
            yield error("secret-empty", f"{name} of the Secret {where} is empty", f"delete the key, then {UP}", subject=name)


def elsewhere(reason):
    """Return a check of a layer that a cluster's API does not show."""

    def judge(_plan, _facts):
        raise NotApplicable(reason)

    return judge
