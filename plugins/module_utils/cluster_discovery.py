# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version of an API a cluster serves for the kinds that the platform makes."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError

# group, and the versions whose objects the templates can write, best first; None: whatever the server serves, stable before beta.
# autoscaling/v1, which old servers prefer, cannot say what the others do.
KINDS = {
    "CronJob": ("batch", ["v1", "v1beta1"]),
    "PodDisruptionBudget": ("policy", ["v1", "v1beta1"]),
    "HorizontalPodAutoscaler": ("autoscaling", ["v2", "v2beta2"]),
    "Ingress": ("networking.k8s.io", ["v1"]),
    "NetworkPolicy": ("networking.k8s.io", ["v1"]),
    "ServiceMonitor": ("monitoring.coreos.com", ["v1"]),
    "PodMonitor": ("monitoring.coreos.com", ["v1"]),
    "PrometheusRule": ("monitoring.coreos.com", ["v1"]),
    "Cluster": ("postgresql.cnpg.io", ["v1"]),
    "ObjectStore": ("barmancloud.cnpg.io", ["v1"]),
    "Certificate": ("cert-manager.io", ["v1"]),
    "Route": ("route.openshift.io", ["v1"]),
    "BuildConfig": ("build.openshift.io", ["v1"]),
    "ImageStream": ("image.openshift.io", ["v1"]),
    "Template": ("template.openshift.io", ["v1"]),
}
OPENSHIFT_GROUP = "security.openshift.io"  # security context constraints: what makes pods differ there
# servers from 1.26 tell everything in one answer; older ones take the last of these and list the groups
AGGREGATED = ",".join(f"application/json;v={version};g=apidiscovery.k8s.io;as=APIGroupDiscoveryList" for version in ("v2", "v2beta1"))


def priority(version):
    """Return a sort key: v2 before v1 before v1beta2 before v1alpha1, as Kubernetes orders versions."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not match:
        return (3, 0, 0, version)
    return ({None: 0, "beta": 1, "alpha": 2}[match[2]], -int(match[1]), -int(match[3] or 0), version)


def discover(cluster, more=None):
    """Return (apis, groups): apiVersion by kind, "" for what is not served, and the names of all served groups.

    `more` has the API group by kind for kinds beyond KINDS. Raises ClusterError.
    """
    kinds = {**KINDS, **{kind: (group, None) for kind, group in (more or {}).items()}}
    answer = cluster.call("list the server's APIs", "GET", "/apis", accept=f"{AGGREGATED},application/json")
    if answer.get("kind") == "APIGroupDiscoveryList":
        served = {item["metadata"]["name"]: _aggregated(item) for item in answer.get("items") or []}
        groups = set(served)
    else:
        versions = {group["name"]: [entry["version"] for entry in group["versions"]] for group in answer.get("groups") or []}
        groups = set(versions)
        served = _listed(cluster, kinds, versions)
    apis = {}
    for kind, (group, wanted) in kinds.items():
        found = served.get(group, {})
        order = sorted(found, key=priority) if wanted is None else wanted
        version = next((version for version in order if kind in found.get(version, ())), None)
        apis[kind] = f"{group}/{version}" if version else ""
    return apis, groups


def _aggregated(item):
    """Return the kinds by version of one group of an APIGroupDiscoveryList."""
    return {
        version["version"]: {(resource.get("responseKind") or {}).get("kind") for resource in version.get("resources") or []}
        for version in item.get("versions") or []
    }


def _listed(cluster, kinds, versions):
    """Return the kinds by version by group of what `kinds` needs to know, with one request for each version."""
    served = {}
    for group, wanted in kinds.values():
        for version in versions.get(group, []):
            if (wanted is None or version in wanted) and version not in served.setdefault(group, {}):
                served[group][version] = _kinds_of(cluster, group, version)
    return served


def _kinds_of(cluster, group, version):
    try:
        answer = cluster.get(f"list what {group}/{version} has", f"/apis/{group}/{version}")
    except ClusterError as error:
        # an aggregated API whose own server is down must not keep the others from being used
        if error.status == 404 or error.status >= 500:
            return set()
        raise
    return {resource["kind"] for resource in answer.get("resources") or []}
