# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: MetalLB's own manifest, as this platform applies it."""

from __future__ import annotations

import json
import re

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: metallb_manifest
short_description: MetalLB's manifest with images of one's own, marks, and the Pod Security level that its pods need
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Replaces images by their names, adds pull secrets and tolerations to pods, and marks every object with C(app.kubernetes.io/managed-by)
    and C(app.kubernetes.io/version).
  - The namespace, which the manifest of releases up to 0.12 does not have, is labelled with the Pod Security level V(privileged). A speaker
    needs the host's network and NET_RAW.
  - Ports that name no protocol get V(TCP), which Kubernetes 1.20 needs for a server-side apply.
  - PodSecurityPolicies are left out where the server does not serve them, and of those that are kept what is
    empty or false by default, which a server does not store. Each apply would be a change to it.
positional: version
options:
  _input:
    description: The objects of the manifest.
    type: list
    elements: dict
    required: true
  version:
    description: MetalLB's version.
    type: str
    required: true
  namespace:
    description: The namespace of MetalLB.
    type: str
    default: metallb-system
  images:
    description: The image by the name of its repository's last part, such as C(speaker). An empty one changes nothing.
    type: dict
    default: {}
  pull_secrets:
    description: Names of Secrets with logins of registries.
    type: list
    elements: str
    default: []
  tolerations:
    description: More taints that the pods tolerate.
    type: list
    elements: dict
    default: []
  policies:
    description: Whether the server serves PodSecurityPolicies.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Take the speaker from a registry of one's own
  ansible.builtin.set_fact:
    manifest: "{{ text | from_yaml_all
                  | mlops.platform.metallb_manifest('0.16.1', images={'speaker': 'registry.example.org/speaker:v0.16.1'}) }}"
"""

RETURN = r"""
_value:
  description: The objects, the namespace first.
  type: list
  elements: dict
  sample: [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system", "labels": {}}}]
"""

PRIVILEGED = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
OURS = {"app.kubernetes.io/managed-by": "mlops.platform", "app.kubernetes.io/part-of": "mlops", "app.kubernetes.io/name": "metallb"}
WORKLOADS = ("Deployment", "DaemonSet")
# Of a PodSecurityPolicy the server keeps neither these where they are false nor empty lists (`omitempty` in Kubernetes' policy/v1beta1
# types): they mean the same as nothing, and each server-side apply that names them is a change to it.
NOT_KEPT = ("hostIPC", "hostNetwork", "hostPID", "privileged", "readOnlyRootFilesystem")
# what everything else refers to
FIRST = ("Namespace", "CustomResourceDefinition", "PodSecurityPolicy", "ServiceAccount")


def repository(image):
    """Return the last part of an image's repository: `speaker` of quay.io/metallb/speaker:v0.16.1."""
    return re.sub(r"[:@].*$", "", image.rpartition("/")[2])


def complete_pod(spec, images, pull_secrets, tolerations):
    """Change a pod's specification."""
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        container["image"] = images.get(repository(container["image"])) or container["image"]
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    if tolerations:
        spec["tolerations"] = [*(spec.get("tolerations") or []), *tolerations]


def metallb_manifest(items, version, namespace="metallb-system", images=None, pull_secrets=(), tolerations=(), policies=False):
    """Return the objects of MetalLB's manifest as the platform applies them."""
    # plain values: a template's results carry tags
    objects = json.loads(json.dumps([item for item in items if item]))
    images, marks = images or {}, {**OURS, "app.kubernetes.io/version": version}
    for item in objects:
        if not item.get("kind") or not (item.get("metadata") or {}).get("name"):
            raise AnsibleFilterError("metallb_manifest: an object of the manifest has no kind or no name")
    found = [item for item in objects if policies or item["kind"] != "PodSecurityPolicy"]
    if not any(item["kind"] == "Namespace" for item in found):
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"app": "metallb"}}})
    for item in found:
        metadata = item["metadata"]
        metadata.pop("creationTimestamp", None)
        more = PRIVILEGED if item["kind"] == "Namespace" else {}
        metadata["labels"] = {**(metadata.get("labels") or {}), **marks, **more}
        if item["kind"] == "Service":
            for port in item["spec"].get("ports") or []:
                port.setdefault("protocol", "TCP")
        if item["kind"] == "PodSecurityPolicy":
            item["spec"] = {
                key: value for key, value in item["spec"].items() if value != [] and (value is not False or key not in NOT_KEPT)
            }
        if item["kind"] in WORKLOADS:
            complete_pod(item["spec"]["template"]["spec"], images, pull_secrets, tolerations)
    return sorted(found, key=lambda item: FIRST.index(item["kind"]) if item["kind"] in FIRST else len(FIRST))


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"metallb_manifest": metallb_manifest}
