# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a Deployment, StatefulSet, Job or Cluster (of CloudNativePG) is, read from what the server says about it."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import cluster_cnpg

PLACES = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "Job": ("batch", "jobs"),
    "Cluster": ("postgresql.cnpg.io", "clusters"),
}
REVISION = "deployment.kubernetes.io/revision"


def condition(obj, name):
    """Return the condition `name` of an object where it is true, else None."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == name and entry.get("status") == "True":
            return entry
    return None


def replicas(obj):
    """Return how many pods the workload is to have."""
    if obj.get("kind") == "Cluster":
        return cluster_cnpg.replicas(obj)
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else wanted


def observed(obj):
    """Return whether the status tells about the newest specification."""
    if obj["kind"] == "Cluster":
        return cluster_cnpg.seen(obj)
    # a Job has no observedGeneration: its pods cannot change
    return obj["kind"] == "Job" or (obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)


def progress(obj):
    """Return (done, words): whether the newest revision is fully out, and how far it is."""
    if not observed(obj):
        return False, "its controller has not seen the newest specification yet"
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "Job": _job, "Cluster": cluster_cnpg.progress}[obj["kind"]](obj)


def _deployment(obj):
    status, wanted = obj.get("status") or {}, replicas(obj)
    updated, total, available = (status.get(key) or 0 for key in ("updatedReplicas", "replicas", "availableReplicas"))
    done = updated == wanted and total == updated and available == updated
    words = f"{updated} of {wanted} pods are of the newest revision, {available} available"
    return done, words + (f", {total - updated} old ones still there" if total > updated else "")


def _stateful_set(obj):
    status, wanted = obj.get("status") or {}, replicas(obj)
    strategy = obj["spec"].get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    updated, total, ready = (status.get(key) or 0 for key in ("updatedReplicas", "replicas", "readyReplicas"))
    # the numbers of the status are those of the old revision for a moment when the new one is out
    current = status.get("currentRevision") == status.get("updateRevision") or updated >= max(wanted - partition, 0)
    done = total == wanted and ready == wanted and (current or strategy.get("type") == "OnDelete")
    return done, f"{ready} of {wanted} pods are ready, {updated} of the newest revision"


def _job(obj):
    status = obj.get("status") or {}
    counts = ", ".join(f"{status.get(key) or 0} {key}" for key in ("active", "succeeded", "failed"))
    return bool(condition(obj, "Complete")), f"pods: {counts}"


def revision(obj):
    """Return the name of the newest revision: a Deployment's number, a StatefulSet's hash, a Job's or a Cluster's uid."""
    if obj["kind"] == "Deployment":
        return (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    if obj["kind"] == "StatefulSet":
        return (obj.get("status") or {}).get("updateRevision", "")
    return obj["metadata"].get("uid", "")


def selector(obj):
    """Return the workload's label selector as a query parameter."""
    if obj.get("kind") == "Cluster":
        return cluster_cnpg.selector(obj["metadata"]["name"])
    chosen = obj["spec"].get("selector") or {}
    terms = [f"{key}={value}" for key, value in (chosen.get("matchLabels") or {}).items()]
    for entry in chosen.get("matchExpressions") or []:
        values = f" ({','.join(entry.get('values') or [])})"
        terms.append(
            {
                "In": f"{entry['key']} in{values}",
                "NotIn": f"{entry['key']} notin{values}",
                "Exists": entry["key"],
                "DoesNotExist": f"!{entry['key']}",
            }[entry["operator"]]
        )
    return ",".join(terms)


def owned(items, *owners):
    """Return those of the objects that one of `owners` (objects, None among them) controls."""
    uids = {owner["metadata"]["uid"] for owner in owners if owner}
    return [item for item in items if any(ref.get("uid") in uids for ref in item["metadata"].get("ownerReferences") or [])]


def newest_replica_set(obj, replica_sets):
    """Return the ReplicaSet of a Deployment's newest revision, or None."""
    for item in owned(replica_sets, obj):
        if (item["metadata"].get("annotations") or {}).get(REVISION) == revision(obj):
            return item
    return None


def is_newest(obj, pod, replica_set):
    """Return whether a pod is of the newest revision of its workload."""
    if obj["kind"] == "Deployment":
        return bool(replica_set and owned([pod], replica_set))
    if obj["kind"] == "StatefulSet":
        return (pod["metadata"].get("labels") or {}).get("controller-revision-hash") == revision(obj)
    return True
