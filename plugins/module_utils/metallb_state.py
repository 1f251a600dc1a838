# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster has of MetalLB, read in some requests. Nothing is changed."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.cluster_workload import observed, progress
from ansible_collections.mlops.platform.plugins.module_utils.metallb_objects import GROUP, MANAGED, OURS, VERSIONS

# in the order in which they can go: what refers to others first
PLURALS = {
    "L2Advertisement": "l2advertisements",
    "BGPAdvertisement": "bgpadvertisements",
    "IPAddressPool": "ipaddresspools",
    "BGPPeer": "bgppeers",
    "BFDProfile": "bfdprofiles",
}
WORKLOADS = {"deployments": ("Deployment", "controller"), "daemonsets": ("DaemonSet", "speaker")}
VERSION_LABEL = "app.kubernetes.io/version"


def numbers(version):
    """Return a version as numbers: (0, 16, 1); () for what is none."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", str(version or ""))
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def labels(item):
    """Return the labels of an object."""
    return item["metadata"].get("labels") or {}


def ours(item):
    """Return whether the platform made an object."""
    return labels(item).get(MANAGED) == OURS[MANAGED]


def containers(workload):
    """Return the containers of a workload's pods."""
    return workload["spec"]["template"]["spec"].get("containers") or []


class State:
    """What is there, after look()."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        self.server, self.nodes, self.services = (), [], []
        self.served = self.policies_served = False
        self.home = None  # the namespace
        self.workloads, self.foreign, self.config = {}, [], None
        self.resources = {kind: [] for kind in PLURALS}
        self.secrets = []

    def look(self):
        """Read everything. Raises ClusterError."""
        find = self.cluster.find
        self.server = numbers(self.cluster.get("read the server's version", "/version").get("gitVersion"))
        self.nodes = self._list("nodes", "/api/v1/nodes")
        self.services = self._list("services", "/api/v1/services")
        self.served = find("see whether MetalLB's kinds are served", f"/apis/{GROUP}") is not None
        legacy = find("see whether PodSecurityPolicies are served", "/apis/policy/v1beta1") or {}
        self.policies_served = any(one["kind"] == "PodSecurityPolicy" for one in legacy.get("resources") or [])
        self.foreign = self._list("MetalLB's Deployments", "/apis/apps/v1/deployments", labelSelector="app.kubernetes.io/name=metallb")
        self.home = find(f"read the namespace {self.namespace}", f"/api/v1/namespaces/{self.namespace}")
        if self.home:
            self._look_inside()
        self.foreign = [one for one in self.foreign if not ours(one)]

    def _look_inside(self):
        for plural, (kind, name) in WORKLOADS.items():
            path = namespaced(self.namespace, plural, name, group="apps")
            self.workloads[kind] = self.cluster.find(f"read the {kind} {name}", path)
        self.config = self.cluster.find("read MetalLB's ConfigMap", namespaced(self.namespace, "configmaps", "config"))
        chosen = f"{MANAGED}={OURS[MANAGED]}"
        secrets = self._list("MetalLB's Secrets", namespaced(self.namespace, "secrets"), labelSelector=chosen)
        self.secrets = [one for one in secrets if one["metadata"]["name"].startswith("bgp-password-")]
        for kind, plural in PLURALS.items() if self.served else ():
            path = namespaced(self.namespace, plural, group=GROUP, version=VERSIONS[kind])
            # a definition that is not there yet, or a version that it does not have
            self.resources[kind] = (self.cluster.find(f"list MetalLB's {plural}", path) or {}).get("items") or []

    def _list(self, what, path, **query):
        return self.cluster.get(f"list {what}", path, **query).get("items") or []

    def installed(self):
        """Return whether MetalLB's own workloads are there."""
        return any(self.workloads.values())

    def ready(self):
        """Return whether all of its pods run, in the newest revision."""
        controller, speaker = self.workloads.get("Deployment"), self.workloads.get("DaemonSet")
        if not controller or not speaker:
            return False
        status = speaker.get("status") or {}
        counts = {status.get(key) or 0 for key in ("desiredNumberScheduled", "numberReady", "updatedNumberScheduled")}
        return progress(controller)[0] and observed(speaker) and len(counts) == 1

    def made_here(self):
        """Return whether the platform has installed it."""
        return any(one and ours(one) for one in self.workloads.values())

    def version(self):
        """Return the version that is installed, "" where nothing tells it."""
        found = self.workloads.get("Deployment") or self.workloads.get("DaemonSet")
        if not found:
            return ""
        if labels(found).get(VERSION_LABEL):
            return labels(found)[VERSION_LABEL]
        for image in (one["image"] for one in containers(found)):
            match = re.search(r":v?(\d+\.\d+\.\d+)", image)
            if match:
                return match[1]
        return ""

    def taken(self):
        """Return what each address is that a Service must not get, by address."""
        found = {}
        for node in self.nodes:
            for one in (node.get("status") or {}).get("addresses") or []:
                if one["type"] in ("InternalIP", "ExternalIP"):
                    found[one["address"]] = f"an address of the node {node['metadata']['name']}"
        for service in self.services:
            for address in (service.get("spec") or {}).get("clusterIPs") or [(service.get("spec") or {}).get("clusterIP")]:
                if address and address != "None":
                    found[address] = f"the cluster's own address of the Service {_name(service)}"
        return found

    def pod_networks(self):
        """Return what each network is that pods have, by network."""
        found = {}
        for node in self.nodes:
            spec = node.get("spec") or {}
            for network in spec.get("podCIDRs") or [spec.get("podCIDR")]:
                if network:
                    found[network] = f"the pods' network of the node {node['metadata']['name']}"
        return found

    def given(self):
        """Return (Service, address) of all load balancers."""
        return [
            (_name(service), one["ip"])
            for service in self.services
            for one in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            if one.get("ip")
        ]


def _name(item):
    return f"{item['metadata'].get('namespace')}/{item['metadata']['name']}"
