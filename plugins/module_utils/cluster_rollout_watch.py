# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One workload while it is being waited for: the object, its pods, and what can be read from both."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import cluster_cnpg
from ansible_collections.mlops.platform.plugins.module_utils import cluster_workload as workload
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.cluster_trouble import statuses


class Watch:
    """A workload's state as of the last look()."""

    def __init__(self, cluster, namespace, kind, name):
        self.cluster, self.namespace, self.kind, self.name = cluster, namespace, kind, name
        self.group, self.resource = workload.PLACES[kind]
        self.object, self.pods, self.done, self.looks = None, [], False, 0
        self._all_pods = []  # with those that are ending
        self.failed_pods = []  # of a Cluster's Jobs
        self.words = "it does not exist yet"
        self.deleted = set()  # uids of pods that were deleted
        self._replica_set = None
        self.result = {
            "kind": kind,
            "name": name,
            "ready": False,
            "revision": "",
            "pods": [],
            "restarts": 0,
            "seconds": 0.0,
            "exit_code": None,
            "termination_message": "",
        }

    def look(self, elapsed):
        """Read the workload and its pods. Raises ClusterError."""
        self.looks += 1
        path = namespaced(self.namespace, self.resource, self.name, self.group)
        self.object = self.cluster.find(f"read the {self.kind} {self.name}", path)
        if self.object is None:
            self.words, self.pods, self._all_pods = "it does not exist", [], []
            return
        self.object.setdefault("kind", self.kind)
        out, self.words = workload.progress(self.object)
        self._read_pods()
        if out and self.kind != "Job" and workload.replicas(self.object) == 0 and self._all_pods:
            # whoever scales to zero wants nobody to work any more
            out, self.words = False, f"{len(self._all_pods)} pods are still ending"
        elif out and self.kind == "Cluster" and not cluster_cnpg.out(self.object, self._all_pods):
            out, self.words = False, f"{self.words}, and its pods are not what it is to have yet"
        self.done = out
        self._note(elapsed)

    def _read_pods(self):
        """Read the pods and, for a Deployment, the ReplicaSet that tells the newest from the others."""
        query = {"labelSelector": workload.selector(self.object)}
        if self.kind == "Deployment":
            known = self._replica_set and (self._replica_set["metadata"].get("annotations") or {}).get(workload.REVISION)
            if known != workload.revision(self.object):
                path = namespaced(self.namespace, "replicasets", group="apps")
                sets = self.cluster.get(f"read the ReplicaSets of {self.name}", path, **query).get("items") or []
                self._replica_set = workload.newest_replica_set(self.object, sets)
        items = self.cluster.get(f"read the pods of {self.name}", namespaced(self.namespace, "pods"), **query).get("items") or []
        if self.kind == "Cluster":
            self.failed_pods = cluster_cnpg.failed(items)
        elif self.kind != "Deployment":
            items = workload.owned(items, self.object)
        if self.kind != "Job":
            # what a node has evicted stays as a record, and its controller has made another
            items = [pod for pod in items if (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")]
        self._all_pods = items
        self.pods = [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]

    def _note(self, elapsed):
        """Bring the result up to date."""
        pods = self.newest()
        pods.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))
        self.result.update(
            ready=self.done,
            revision=workload.revision(self.object),
            pods=sorted(pod["metadata"]["name"] for pod in pods),
            restarts=sum(container.get("restartCount", 0) for pod in pods for container in statuses(pod)),
            seconds=round(elapsed, 1),
        )
        if self.kind == "Job" and pods:
            ended = [(container.get("state") or {}).get("terminated") for container in statuses(pods[-1])]
            ended = [one for one in ended if one]
            # of several containers the one that failed, else the last: init containers come first
            ended.sort(key=lambda one: one.get("exitCode") != 0)
            if ended:
                self.result["exit_code"] = ended[-1].get("exitCode")
                self.result["termination_message"] = (ended[-1].get("message") or "").strip()

    def is_newest(self, pod):
        """Return whether a pod is of the newest revision."""
        return workload.is_newest(self.object, pod, self._replica_set)

    def newest(self):
        """Return the pods of the newest revision."""
        return [pod for pod in self.pods if self.is_newest(pod)]

    def blocks(self, pod):
        """Return whether an old pod keeps new ones from coming: a StatefulSet waits for each of its pods in turn."""
        return self.kind == "StatefulSet" and not self.is_newest(pod)

    def pod(self, name):
        """Return the pod of this name, or None."""
        return next((pod for pod in [*self.pods, *self.failed_pods] if pod["metadata"]["name"] == name), None)

    def leaving(self):
        """Return whether old pods are still ending."""
        return len(self._all_pods) > len(self.pods)

    def is_short(self):
        """Return whether the workload has fewer pods than it wants."""
        status = self.object.get("status") or {}
        if self.kind == "Cluster" and cluster_cnpg.stuck(self.object):
            return True
        if self.kind == "Job":
            return not (status.get("active") or status.get("succeeded") or status.get("failed"))
        return len(self.newest()) < workload.replicas(self.object)

    def replica_failure(self):
        """Return why the pods of a Cluster or of a Deployment's newest revision cannot be made, empty where they can or it is not said."""
        if self.kind == "Cluster":
            return cluster_cnpg.stuck(self.object)
        return (workload.condition(self.object, "ReplicaFailure") or {}).get("message") or ""

    def owners(self):
        """Return (kind, name) of the objects that make the pods."""
        if self.kind == "Cluster":
            return cluster_cnpg.owners(self.name)
        made = {(self.kind, self.name)}
        return made | ({("ReplicaSet", self._replica_set["metadata"]["name"])} if self._replica_set else set())

    def failed_job(self):
        """Return the condition of a Job that has failed for good, else None."""
        return workload.condition(self.object, "Failed") if self.kind == "Job" else None

    def last_pod(self):
        """Return pod and container of the newest pod that failed, as a dict; of its containers the one that did."""
        for pod in reversed(self.pods):
            for container in statuses(pod):
                if ((container.get("state") or {}).get("terminated") or {}).get("exitCode"):
                    return {"pod": pod["metadata"]["name"], "container": container["name"]}
        return {"pod": self.pods[-1]["metadata"]["name"], "container": ""} if self.pods else {"pod": "", "container": ""}
