"""A stand-in for an API server that keeps objects of any kind, with server-side apply, dry runs, custom resources, and MetalLB's webhook.

It is no Kubernetes: it shows what the role asks for, in which order, and what it makes of the answers.
"""

from __future__ import annotations

import copy

from lib import custom_resources
from lib.api_server import ApiServer, Refused

# kind: (plural, whether it is in a namespace), by version
KINDS = {
    "v1": {
        "Namespace": ("namespaces", False),
        "Node": ("nodes", False),
        "ConfigMap": ("configmaps", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
        "ServiceAccount": ("serviceaccounts", True),
        "Pod": ("pods", True),
        "Event": ("events", True),
    },
    "apps/v1": {"Deployment": ("deployments", True), "DaemonSet": ("daemonsets", True), "ReplicaSet": ("replicasets", True)},
    "rbac.authorization.k8s.io/v1": {
        "Role": ("roles", True),
        "RoleBinding": ("rolebindings", True),
        "ClusterRole": ("clusterroles", False),
        "ClusterRoleBinding": ("clusterrolebindings", False),
    },
    "apiextensions.k8s.io/v1": {"CustomResourceDefinition": ("customresourcedefinitions", False)},
    "admissionregistration.k8s.io/v1": {"ValidatingWebhookConfiguration": ("validatingwebhookconfigurations", False)},
}
OLD = {"policy/v1beta1": {"PodSecurityPolicy": ("podsecuritypolicies", False)}}
HOME = "metallb-system"
WEBHOOK = 'Internal error occurred: failed calling webhook "ipaddresspoolvalidationwebhook.metallb.io": connection refused'


class MetalLbCluster(ApiServer):
    """`objects` are there by (kind, namespace, name). `silent` is how many calls of the webhook fail before it answers."""

    def __init__(self, version="1.32", nodes=("192.0.2.11", "192.0.2.12")):
        super().__init__()
        self.minor = int(version.split(".")[1])
        self.kinds = {**copy.deepcopy(KINDS), **(OLD if self.minor < 25 else {})}
        self.version, self.objects, self.applied, self.written, self.silent = version, {}, {}, [], 0
        for number, address in enumerate(nodes, 1):
            status = {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": f"vm{number}"}]}
            self.put("v1", "Node", f"vm{number}", None, spec={"podCIDR": f"10.44.{number}.0/24"}, status=status)
        self.put("v1", "Service", "kubernetes", "default", spec={"clusterIP": "10.45.0.1", "type": "ClusterIP"})

    # --- for tests ------------------------------------------------------------------------------------------------------------------

    def put(self, api_version, kind, name, namespace=HOME, labels=None, **more):
        """Add an object, as somebody else would."""
        metadata = {"name": name, "uid": f"{kind}-{name}", "generation": 1, "resourceVersion": "1", "labels": labels or {}}
        metadata |= {"namespace": namespace} if namespace else {}
        self.objects[kind, namespace, name] = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}
        return self.objects[kind, namespace, name]

    def put_all(self, items):
        """Add objects of a manifest, as kubectl would."""
        for item in items:
            self._store(copy.deepcopy(item))

    def get(self, kind, name, namespace=HOME):
        """Return an object, or None."""
        return self.objects.get((kind, namespace, name))

    def names(self, kind):
        """Return the names of the objects of a kind."""
        return {name for found, _namespace, name in self.objects if found == kind}

    # --- answers --------------------------------------------------------------------------------------------------------------------

    def find(self, asked):
        """Answer a request."""
        parts = asked.path.strip("/").split("/")
        if asked.path == "/version":
            return {"major": "1", "minor": str(self.minor), "gitVersion": f"v{self.version}.1"}
        if asked.path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if asked.path == "/apis":
            return {"kind": "APIGroupList", "groups": [self._group(name) for name in sorted(self._groups())]}
        if parts[0] == "apis" and len(parts) == 2 and parts[1] in self._groups():
            return {"kind": "APIGroup", **self._group(parts[1])}
        version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1] if len(parts) > 1 else "", parts[2:])
        if version not in self.kinds:
            raise Refused(404, "the server could not find the requested resource", "NotFound")
        if not rest:
            return self._resources(version)
        return self._object(asked, version, rest)

    def _groups(self):
        return {version.partition("/")[0] for version in self.kinds if "/" in version}

    def _group(self, name):
        entries = [{"groupVersion": one, "version": one.partition("/")[2]} for one in self.kinds if one.startswith(f"{name}/")]
        return {"name": name, "versions": entries, "preferredVersion": entries[-1]}

    def _resources(self, version):
        verbs = ["get", "list", "create", "patch", "delete"]
        found = [
            {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": inside, "verbs": verbs}
            for kind, (plural, inside) in self.kinds[version].items()
        ]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": found}

    def _object(self, asked, version, rest):
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kinds = [kind for kind, (plural, _inside) in self.kinds[version].items() if plural == rest[0]]
        if not kinds:
            raise Refused(404, "the server could not find the requested resource", "NotFound")
        if len(rest) == 1 and asked.method == "GET":
            return self._list(asked, version, kinds[0], namespace)
        name = rest[1] if len(rest) > 1 else asked.body["metadata"]["name"]
        found = self.objects.get((kinds[0], namespace, name))
        if asked.method == "PATCH" or (asked.method == "POST" and len(rest) == 1):
            return self._write(asked, kinds[0], namespace, name, found)
        if found is None:
            raise Refused(404, f"{rest[0]} {name} not found", "NotFound")
        if asked.method == "DELETE" and not asked.query.get("dryRun"):
            self._remove(kinds[0], namespace, name)
        return found

    def _list(self, asked, version, kind, namespace):
        terms = [term.split("=") for term in asked.query.get("labelSelector", "").split(",") if term]
        items = [
            one
            for (found, place, _name), one in self.objects.items()
            if found == kind
            and namespace in (None, place)
            and all((one["metadata"]["labels"] or {}).get(key) == value for key, value in terms)
        ]
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items}

    def _remove(self, kind, namespace, name):
        del self.objects[kind, namespace, name]
        self.applied.pop((kind, namespace, name), None)
        self.written.append(("delete", kind, name))
        if kind == "Namespace":
            self.objects = {key: one for key, one in self.objects.items() if key[1] != name}
        if kind == "CustomResourceDefinition":
            self._serve()

    def _write(self, asked, kind, namespace, name, found):
        """Do a server-side apply, a merge patch of a Secret, or a POST."""
        key, dry = (kind, namespace, name), bool(asked.query.get("dryRun"))
        if namespace and ("Namespace", None, namespace) not in self.objects:
            raise Refused(404, f'namespaces "{namespace}" not found', "NotFound")
        if kind in ("IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile"):
            self._webhook(asked.body)
        before = copy.deepcopy(found) or {"metadata": {"uid": f"{kind}-{name}", "generation": 0, "resourceVersion": "0", "labels": {}}}
        after = without(before, self.applied.get(key, {}), asked.body)
        after = self._defaults(merged(after, asked.body))
        after["metadata"] |= {"namespace": namespace} if namespace else {}
        if not dry:
            self.applied[key] = copy.deepcopy(asked.body)
        if {**after, "status": 0} != {**before, "status": 0}:
            after["metadata"]["resourceVersion"] = str(int(before["metadata"]["resourceVersion"]) + 1)
            after["metadata"]["generation"] = before["metadata"].get("generation", 0) + (after.get("spec") != before.get("spec"))
            if not dry:
                self.written.append(("write", kind, name))
                self._store(after)
        return after

    def _store(self, item):
        """Keep an object, and do what Kubernetes' controllers would do then."""
        metadata = item["metadata"]
        metadata.setdefault("labels", {})
        metadata.setdefault("generation", 1)
        metadata.setdefault("resourceVersion", "1")
        metadata.setdefault("uid", f"{item['kind']}-{metadata['name']}")
        self.objects[item["kind"], metadata.get("namespace"), metadata["name"]] = item
        generation, nodes = {"observedGeneration": metadata["generation"]}, len(self.names("Node"))
        if item["kind"] == "Deployment":
            item["spec"].setdefault("replicas", 1)
            item["status"] = {**generation, **dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 1)}
        if item["kind"] == "DaemonSet":
            item["status"] = {**generation, **dict.fromkeys(("desiredNumberScheduled", "numberReady", "updatedNumberScheduled"), nodes)}
        if item["kind"] == "CustomResourceDefinition":
            self._serve()
        if item["kind"] == "ValidatingWebhookConfiguration":
            for one in item["webhooks"]:
                # MetalLB's controller writes its authority there
                one["clientConfig"]["caBundle"] = "YQ=="

    def _serve(self):
        self.kinds = {version: kinds for version, kinds in self.kinds.items() if not version.startswith("metallb.io/")}
        for one in self.objects.values():
            if one["kind"] == "CustomResourceDefinition":
                for version in one["spec"]["versions"]:
                    names = one["spec"]["names"]
                    self.kinds.setdefault(f"{one['spec']['group']}/{version['name']}", {})[names["kind"]] = (names["plural"], True)

    def _webhook(self, body):
        if self.silent:
            self.silent -= 1
            raise Refused(500, WEBHOOK, "InternalError")
        found = custom_resources.problems(body)
        if found:
            raise Refused(422, f"{body['kind']}.metallb.io is invalid: {'; '.join(found)}", "Invalid")
        texts = [address for address in body["spec"].get("addresses") or [] if address.startswith("203.0.113.")]
        if texts:
            raise Refused(403, f"admission webhook denied the request: the tests' network {texts[0]} is refused", "Forbidden")

    def _defaults(self, item):
        """Fill in what the server fills in: the defaults of custom resources."""
        if item["kind"] == "IPAddressPool":
            item["spec"] = {"autoAssign": True, "avoidBuggyIPs": False, **item["spec"]}
        return item


def merged(there, new):
    """Return `there` with `new` in it, as a server-side apply merges them."""
    if isinstance(there, dict) and isinstance(new, dict):
        return {**there, **{key: merged(there.get(key), value) for key, value in new.items()}}
    if named(there) and named(new):
        known = {one["name"]: one for one in there}
        kept = [one for one in there if one["name"] not in {each["name"] for each in new}]
        return [merged(known.get(one["name"]), one) for one in new] + kept
    return copy.deepcopy(new)


def named(value):
    """Return whether a list's items are told apart by their names."""
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def without(there, before, new):
    """Return `there` without what the same manager applied `before` and does not in `new`."""
    if isinstance(there, dict) and isinstance(before, dict) and isinstance(new, dict):
        return {
            key: without(value, before.get(key), new.get(key)) for key, value in there.items() if not (key in before and key not in new)
        }
    if named(there) and named(before) and named(new):
        gone = {one["name"] for one in before} - {one["name"] for one in new}
        return [one for one in there if one["name"] not in gone]
    return there
