"""A stand-in for an API server that keeps objects: lists, reads, creates, patches and deletes them, and tells what it serves."""

from __future__ import annotations

import copy
import re

from lib.api_server import ApiServer, Refused

KINDS = {
    "v1": ("ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "PersistentVolumeClaim", "Event"),
    "apps/v1": ("Deployment", "StatefulSet", "ReplicaSet"),
    "batch/v1": ("Job", "CronJob"),
    "postgresql.cnpg.io/v1": ("Cluster",),
    "barmancloud.cnpg.io/v1": ("ObjectStore",),
}


def plural(kind):
    return kind.lower() + "s"


class ObjectServer(ApiServer):
    """`objects` are the namespace's, in a list that a test may fill; `react` is called after each change to them."""

    def __init__(self, namespace, kinds=None):
        super().__init__()
        self.namespace, self.objects, self.kinds = namespace, [], kinds or KINDS
        self.react = lambda: None
        groups = [one.split("/") for one in self.kinds if "/" in one]
        self.answers |= {
            "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {
                "kind": "APIGroupList",
                "groups": [
                    {"name": name, "versions": [entry], "preferredVersion": entry}
                    for name, version in groups
                    for entry in [{"groupVersion": f"{name}/{version}", "version": version}]
                ],
            },
            f"/api/v1/namespaces/{namespace}": {"kind": "Namespace", "metadata": {"name": namespace}, "status": {"phase": "Active"}},
            "/apis/storage.k8s.io/v1/storageclasses": {"items": []},
        }
        for version, found in self.kinds.items():
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            verbs = ["get", "list", "create", "patch", "delete", "deletecollection"]
            resources = [
                {"name": plural(kind), "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": verbs} for kind in found
            ]
            self.answers[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
            for kind in found:
                self.answers[f"{path}/namespaces/{namespace}/{plural(kind)}"] = lambda asked, at=(version, kind): self._many(asked, *at)

    def put(self, api_version, kind, name, labels=None, **more):
        """Add an object."""
        metadata = {"name": name, "namespace": self.namespace, "uid": f"{kind}-{name}", "labels": labels or {}, "generation": 1}
        self.objects.append({"apiVersion": api_version, "kind": kind, "metadata": {**metadata, **more.pop("metadata", {})}, **more})
        return self.objects[-1]

    def names(self, kind):
        """Return the names of the objects of a kind."""
        return {one["metadata"]["name"] for one in self.objects if one["kind"] == kind}

    def get(self, kind, name):
        """Return an object."""
        return next(one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name))

    def find(self, asked):
        """Answer a request, about one object too."""
        listed, _slash, name = asked.path.rpartition("/")
        if asked.path not in self.answers and listed in self.answers and f"/namespaces/{self.namespace}/" in asked.path:
            return self._one(asked, self.answers[listed].__defaults__[0], name)
        return super().find(asked)

    def _many(self, asked, version, kind):
        if asked.method == "POST":
            return self.made(asked, version, kind)
        found = [one for one in self.objects if (one["apiVersion"], one["kind"]) == (version, kind) and self._taken(one, asked.query)]
        if asked.method == "DELETE" and not asked.query.get("dryRun"):
            self._remove(found)
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": found}

    def made(self, asked, version, kind):
        """Answer a request that creates an object. A test may put another one in its place, that refuses."""
        if asked.query.get("dryRun"):
            return asked.body
        item = copy.deepcopy(asked.body)
        metadata = item.pop("metadata")
        made = self.put(
            version,
            kind,
            metadata["name"],
            metadata.get("labels"),
            metadata=metadata,
            **{key: value for key, value in item.items() if key not in ("apiVersion", "kind")},
        )
        self.react()
        return made

    @staticmethod
    def _taken(item, query):
        words = re.findall(r"[^,(]+(?:\([^)]*\))?", query.get("labelSelector", ""))
        # KEY in (VALUE, VALUE)
        sets = [re.match(r"(\S+) in \((.*)\)", term).groups() for term in words if " in (" in term]
        words = [term for term in words if " in (" not in term]
        terms = [term.split("=", 1) for term in words if "=" in term]
        # KEY alone takes what has such a label, whatever it says
        there = [term for term in words if "=" not in term]
        names = [term.split("=")[1] for term in query.get("fieldSelector", "").split(",") if term.startswith("metadata.name=")]
        labels = item["metadata"]["labels"]
        # KEY!=VALUE takes what has no such label as well
        kept = all((labels.get(key.rstrip("!")) == value) != key.endswith("!") for key, value in terms)
        kept = kept and all(labels.get(key) in re.split(r",\s*", values) for key, values in sets)
        return kept and set(there) <= set(labels) and item["metadata"]["name"] in (names or [item["metadata"]["name"]])

    def _one(self, asked, at, name):
        found = [one for one in self.objects if (one["apiVersion"], one["kind"], one["metadata"]["name"]) == (*at, name)]
        if not found:
            raise Refused(404, f"{asked.path} not found", "NotFound")
        if asked.query.get("dryRun"):
            asked_for = copy.deepcopy(found[0])
            merge(asked_for, asked.body if asked.method == "PATCH" else {})
            return asked_for
        if asked.method == "PATCH":
            merge(found[0], asked.body)
            self.react()
        if asked.method == "DELETE":
            self._remove(found)
        return found[0]

    def _remove(self, found):
        self.objects = [one for one in self.objects if one not in found]
        self.react()


def merge(target, patch):
    """Change `target` as a merge patch says."""
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = value
