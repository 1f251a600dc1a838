# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which versions of MLflow's client the pods of a cluster have answered: what their logs say.

A pod that is no more has taken its log along.
"""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils import clients_seen
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced

PODS = "app.kubernetes.io/part-of=mlops,app.kubernetes.io/component=mlflow"
CONTAINER = "mlflow"
# What a server has a hundred versions to say in a week, beside some ten thousand lines of its own. An answer of the API is held in memory.
LINES = 20000


def log(cluster, namespace, pod, container, lines=LINES, previous=False):
    """Return the end of a container's log, "" where there is none. Raises ClusterError."""
    query = {"container": container, "tailLines": lines, **({"previous": True} if previous else {})}
    try:
        found = cluster.get(f"read the log of the pod {pod}", namespaced(namespace, "pods", pod) + "/log", **query)
    except ClusterError as problem:
        # one that has not started, or has no predecessor
        if problem.status in (400, 404):
            return ""
        raise
    return found if isinstance(found, str) else ""


def seen(cluster, namespace, pods, now=None):
    """Return {version: when it was last answered, in seconds since 1970} of MLflow's `pods`. Raises ClusterError."""
    now = time.time() if now is None else now
    merged = []
    for pod in pods:
        name = pod["metadata"]["name"]
        states = (pod.get("status") or {}).get("containerStatuses") or []
        restarted = any(one["name"] == CONTAINER and one.get("restartCount") for one in states)
        for previous in [False] + [True] * restarted:
            merged += clients_seen.in_log(log(cluster, namespace, name, CONTAINER, previous=previous), now).items()
    return clients_seen.believed(merged, now)


def of_namespace(cluster, namespace):
    """Return seen() of all of MLflow's pods in a namespace. Raises ClusterError."""
    found = cluster.get("read the pods of MLflow", namespaced(namespace, "pods"), labelSelector=PODS)
    return seen(cluster, namespace, found.get("items") or [])
