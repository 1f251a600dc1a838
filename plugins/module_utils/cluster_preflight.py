# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can keep the platform from running on a cluster, and what the deployment needs to know about it."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils import cluster_discovery, cluster_permissions
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced

OLDEST = (1, 19)
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
CREATE_NAMESPACE = {"api_group": "", "resource": "namespaces", "verbs": ["create"], "namespaced": False, "optional": False}


def unknown(namespace, server=""):
    """Return the facts about a cluster that does not answer."""
    return {
        "version": "",
        "git_version": "",
        "server": server,
        "namespace": {"name": namespace, "exists": False, "phase": "", "labels": {}, "annotations": {}},
        "bare": True,
        "apis": {},
        "openshift": False,
        "storage_classes": [],
        "storage_classes_known": False,
        "default_storage_class": "",
        "missing_permissions": [],
        "objects": {},
        "requests": 0,
    }


class Preflight:
    """Looks at one cluster. After look(), `facts` and `problems` (of what and remedy) hold what was found; nothing is changed."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        self.facts = unknown(namespace, cluster.server)
        self.problems = []

    def look(self, storage_classes=(), permissions=(), apis=None, create_namespace=False, objects=()):
        """Look at everything. Raises ClusterError when the server cannot be talked to, or not as this user."""
        self._version()
        self.facts["apis"], groups = cluster_discovery.discover(self.cluster, apis)
        self.facts["openshift"] = cluster_discovery.OPENSHIFT_GROUP in groups
        wanted = [entry for entry in permissions if self._concerns(entry)]
        self._namespace(create_namespace, wanted)
        self._storage(storage_classes)
        self.facts["missing_permissions"] = cluster_permissions.missing(self.cluster, self.namespace, wanted)
        for lacking in self.facts["missing_permissions"]:
            if not lacking["optional"]:
                self.problems.append(cluster_permissions.as_problem(lacking, self.namespace))
        for entry in objects:
            self.facts["objects"][entry["key"]] = [] if self.facts["bare"] else self._objects(entry)
        self.facts["requests"] = self.cluster.requests

    def _concerns(self, permission):
        """Return whether a permission is needed in this cluster, by the kinds that it serves."""
        served, missing = permission.get("if_served"), permission.get("unless_served")
        apis = self.facts["apis"]
        return (not served or bool(apis.get(served))) and (not missing or not apis.get(missing))

    def _objects(self, entry):
        """Return the objects that `entry` describes; a refusal is a problem."""
        resource, query = entry["resource"], {}
        if entry.get("labels"):
            query["labelSelector"] = entry["labels"]
        if entry.get("name"):
            query["fieldSelector"] = f"metadata.name={entry['name']}"
        path = namespaced(self.namespace, resource, group=entry.get("api_group") or "", version=entry.get("api_version") or "v1")
        try:
            return self.cluster.get(f"list {resource} in the namespace {self.namespace}", path, **query).get("items") or []
        except ClusterError as error:
            if error.status not in (403, 404):
                raise
            self.problems.append((error.what, error.remedy))
            return []

    def _version(self):
        answer = self.cluster.get("read the server's version", "/version")
        if not isinstance(answer, dict) or "gitVersion" not in answer:
            raise ClusterError(f"{self.cluster.server} is no Kubernetes API server: it has no version", "check the address and the proxy")
        found = re.match(r"v(\d+)\.(\d+)", answer["gitVersion"])
        version = (int(found[1]), int(found[2])) if found else (0, 0)
        self.facts["git_version"] = answer["gitVersion"]
        if version == (0, 0):
            # a server that somebody built without its version; what it serves tells the rest
            return
        self.facts["version"] = "{}.{}".format(*version)
        if version < OLDEST:
            self.problems.append(
                (
                    f"the server {self.cluster.server} is Kubernetes {answer['gitVersion']}, and the platform needs 1.19 or later",
                    "upgrade the cluster or choose another",
                )
            )

    def _namespace(self, create, wanted):
        """Find out whether the namespace is there; add to `wanted` what it takes to make it."""
        state = self.facts["namespace"]
        try:
            found = self.cluster.find(f"read the namespace {self.namespace}", f"/api/v1/namespaces/{self.namespace}")
        except ClusterError as error:
            if error.status != 403 or "system:anonymous" in error.what:
                raise
            # who may work in a namespace need not be allowed to read it
            found = {} if self._works() else None
        if found is None:
            if create:
                wanted.append(CREATE_NAMESPACE)
            else:
                self.problems.append(
                    (
                        f"the namespace {self.namespace} does not exist, or this user has no access to it",
                        f"have it created (kubectl create namespace {self.namespace}), or set mlops_manage_namespace to true",
                    )
                )
            return
        metadata = found.get("metadata") or {}
        state["exists"], self.facts["bare"] = True, False
        state["labels"], state["annotations"] = metadata.get("labels") or {}, metadata.get("annotations") or {}
        state["phase"] = (found.get("status") or {}).get("phase") or ""
        if state["phase"] == "Terminating":
            self.problems.append(
                (f"the namespace {self.namespace} is being deleted", f"wait until `kubectl get namespace {self.namespace}` finds nothing")
            )

    def _works(self):
        """Return whether the server would take an object in the namespace: it checks that without making one."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "mlops-preflight-"}}
        path = namespaced(self.namespace, "configmaps")
        try:
            self.cluster.call(f"try the namespace {self.namespace}", "POST", path, {"dryRun": "All"}, body)
        except ClusterError as error:
            # a quota is a namespace's, too
            return error.status == 403 and "exceeded quota" in error.what
        return True

    def _storage(self, needed):
        """Read the storage classes, and hold those that are needed against them. "" is the default one."""
        try:
            items = self.cluster.get("list the storage classes", "/apis/storage.k8s.io/v1/storageclasses").get("items") or []
        except ClusterError as error:
            if error.status == 403:
                return
            raise
        names = sorted(item["metadata"]["name"] for item in items)
        defaults = [item["metadata"] for item in items if _is_default(item["metadata"])]
        # of several the newest, as the server itself chooses
        defaults.sort(key=lambda metadata: (metadata.get("creationTimestamp") or "", metadata["name"]))
        self.facts["storage_classes"], self.facts["storage_classes_known"] = names, True
        self.facts["default_storage_class"] = defaults[-1]["name"] if defaults else ""
        there = ", ".join(names) or "none"
        for name in sorted(set(needed)):
            if not name and not defaults:
                self.problems.append(("the cluster has no default storage class", f"set mlops_storage_class; there are: {there}"))
            elif name and name not in names:
                self.problems.append((f"the storage class {name} does not exist", f"set mlops_storage_class; there are: {there}"))


def _is_default(metadata):
    annotations = metadata.get("annotations") or {}
    return any(annotations.get(name) == "true" for name in DEFAULT_CLASS)
