# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which pod, and which of its ports, answers for a Service, a selector or a pod's name."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced


class Target:
    """What to forward to. Raises ClusterError from pick() and from load()."""

    def __init__(self, cluster, namespace, port, service=None, pod=None, selector=None):
        self.cluster, self.namespace, self.port = cluster, namespace, port
        self.service, self.name, self.selector = service, pod, selector
        self.addresses = []  # of a Service, once it is loaded
        self._pod_port = port
        kind, name = ("Service", service) if service else ("pod", pod) if pod else ("selector", selector)
        self.words = f"{kind} {name} (namespace {namespace}), port {port}"

    def load(self):
        """Read a Service: the pods that it selects and their port."""
        if not self.service:
            return
        found = self.cluster.find(f"read the {self.words}", namespaced(self.namespace, "services", self.service))
        if found is None:
            raise ClusterError(f"there is no Service {self.service} in the namespace {self.namespace}", "deploy it first", 404)
        spec = found["spec"]
        entry = next((entry for entry in spec.get("ports") or [] if entry["port"] == self.port), None)
        if entry is None:
            there = ", ".join(str(entry["port"]) for entry in spec.get("ports") or []) or "none"
            raise ClusterError(f"the Service {self.service} has no port {self.port}", f"its ports are: {there}")
        if not spec.get("selector"):
            raise ClusterError(f"the Service {self.service} selects no pods", "what it stands for is elsewhere: connect to that directly")
        self.selector = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
        self.addresses = [address for address in spec.get("clusterIPs") or [spec.get("clusterIP")] if address and address != "None"]
        self._pod_port = entry.get("targetPort") or self.port

    def pick(self, avoid=()):
        """Return (name of a ready pod, its port), if possible none of the names in `avoid`; None where no pod is ready."""
        if self.name:
            pods = [self.cluster.get(f"read the {self.words}", namespaced(self.namespace, "pods", self.name))]
        else:
            path = namespaced(self.namespace, "pods")
            pods = self.cluster.get(f"read the pods of the {self.words}", path, labelSelector=self.selector).get("items") or []
        ready = [pod for pod in pods if is_ready(pod)]
        # the oldest has the best chance to stay
        ready.sort(key=lambda pod: (pod["metadata"]["name"] in avoid, pod["metadata"].get("creationTimestamp") or ""))
        return (ready[0]["metadata"]["name"], self._number(ready[0])) if ready else None

    def _number(self, pod):
        """Return the number of the pod's port: a Service may name it."""
        if isinstance(self._pod_port, int):
            return self._pod_port
        for container in pod["spec"]["containers"]:
            for entry in container.get("ports") or []:
                if entry.get("name") == self._pod_port:
                    return entry["containerPort"]
        raise ClusterError(f"the pod {pod['metadata']['name']} has no port named {self._pod_port}", f"the {self.words} wants it")


def is_ready(pod):
    """Return whether a pod takes requests."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
