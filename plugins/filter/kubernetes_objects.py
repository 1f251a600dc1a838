# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the objects of one component, with what all of them have in common."""

from __future__ import annotations

import copy
import json
import re

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.yaml import yaml_load_all

DOCUMENTATION = r"""
name: kubernetes_objects
short_description: Kubernetes objects with what those of a platform have in common
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Adds the namespace and the labels C(app.kubernetes.io/name), C(instance), C(component), C(version), C(part-of) and C(managed-by) to
    objects and to the pods that they describe, and puts the objects into an order in which each finds what it refers to.
  - Selectors that an object leaves out are filled in with name, instance and component, which never change. This holds for the selectors
    of workloads, Services, PodDisruptionBudgets, NetworkPolicies, ServiceMonitors and PodMonitors, and for the C(labelSelector) of affinity
    terms and topology spread constraints. A selector that is there, also an empty one, is kept.
  - The pods of a Job or CronJob have the component C(COMPONENT-job), so that no Service sends requests to them. An object that has a
    label C(app.kubernetes.io/component) keeps it, in its selectors too.
  - A label that an object has already is kept.
positional: namespace, component
options:
  _input:
    description: Objects, and texts of YAML documents that hold objects. Lists in the list are flattened, empty documents left out.
    type: list
    elements: raw
    required: true
  namespace:
    description: The namespace of the objects. No object may name another one.
    type: str
    required: true
  component:
    description: What the objects make up together. Underscores become hyphens.
    type: str
    required: true
  instance:
    description: The platform's name.
    type: str
    default: mlops
  version:
    description: The version of the program. Characters that no label may have become hyphens.
    type: str
    default: ""
  part_of:
    description: What the component is a part of.
    type: str
    default: mlops
  managed_by:
    description: What keeps the objects.
    type: str
    default: mlops.platform
  pod:
    description:
      - Parts of a pod's specification, such as C(nodeSelector), for all pods that do not have them.
      - A list of C(imagePullSecrets) is added to the pod's own.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Complete a Service
  ansible.builtin.debug:
    msg: "{{ [{'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'web'}, 'spec': {'ports': [{'port': 80, 'protocol': 'TCP'}]}}]
             | mlops.platform.kubernetes_objects('team', 'web') }}"
    # => a Service in the namespace team that selects the pods with name web, instance mlops and component web
"""

RETURN = r"""
_value:
  description: The objects.
  type: list
  elements: dict
  sample: [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "team", "labels": {}}}]
"""

PREFIX = "app.kubernetes.io/"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
JOBS = ("Job", "CronJob")
# what others refer to comes first; a kind that is not named stands before the workloads
ORDER = ("ResourceQuota", "LimitRange", "ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap")
ORDER_LAST = (*WORKLOADS, *JOBS, "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress", "Route", "ServiceMonitor", "PodMonitor")


def flat(items):
    """Return the objects in `items`, which may hold lists and YAML texts too."""
    if isinstance(items, dict):
        return [items]
    if isinstance(items, str):
        try:
            # with libyaml where it is there; it takes no text that carries Ansible's tags
            return flat(list(yaml_load_all(str(items))))
        except yaml.YAMLError as error:
            raise AnsibleFilterError(f"kubernetes_objects: this is not YAML: {error}\n{items}") from error
    return [found for item in items or [] for found in flat(item)]


def checked(item, namespace):
    """Return a copy of the object `item`, which is one of `namespace`. Raises AnsibleFilterError for what is none."""
    # plain values: a template's results carry tags
    item = copy.deepcopy(json.loads(json.dumps(item)))
    metadata = item.get("metadata") or {}
    for place, key in ((item, "apiVersion"), (item, "kind"), (metadata, "name")):
        if not place.get(key):
            raise AnsibleFilterError(f"kubernetes_objects: an object lacks {key}: kind {item.get('kind')}, name {metadata.get('name')}")
    if metadata.get("namespace", namespace) != namespace:
        raise AnsibleFilterError(
            f"kubernetes_objects: {item['kind']} {metadata['name']} names the namespace {metadata['namespace']}; all go into {namespace}"
        )
    item["metadata"] = {**metadata, "namespace": namespace}
    return item


def add(place, labels):
    """Add `labels` to those of the `metadata` in `place`, which wins."""
    metadata = place.setdefault("metadata", {})
    metadata["labels"] = {**labels, **(metadata.get("labels") or {})}
    return metadata["labels"]


def templates(item):
    """Return the pod templates of `item`, with the objects that have metadata on the way to them."""
    spec = item.get("spec") or {}
    if item["kind"] == "CronJob":
        job = spec["jobTemplate"]
        return [job, job["spec"]["template"]]
    if item["kind"] in (*WORKLOADS, "Job"):
        return [spec["template"]]
    return []


def affinity_terms(spec):
    """Yield every term of a pod's (anti-)affinity to pods."""
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = (spec.get("affinity") or {}).get(kind) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            yield weighted["podAffinityTerm"]


def complete_pod(spec, selector, pod):
    """Fill in what the pod's specification `spec` leaves out: label selectors, and the parts in `pod`."""
    for term in [*affinity_terms(spec), *(spec.get("topologySpreadConstraints") or [])]:
        term.setdefault("labelSelector", {"matchLabels": dict(selector)})
    for key, value in pod.items():
        if key == "imagePullSecrets":
            own = spec.get(key) or []
            value = own + [entry for entry in value if entry not in own]
        if value:
            spec.setdefault(key, value)
            if key == "imagePullSecrets":
                spec[key] = value


def select(item, selector):
    """Fill in the selector of `item` if its kind has one and it was left out."""
    spec, kind = item.get("spec"), item["kind"]
    if spec is None:
        return
    if kind == "Service" and spec.get("type") != "ExternalName":
        spec.setdefault("selector", dict(selector))
    elif kind in (*WORKLOADS, "PodDisruptionBudget", "ServiceMonitor", "PodMonitor"):
        spec.setdefault("selector", {"matchLabels": dict(selector)})
    elif kind == "NetworkPolicy":
        spec.setdefault("podSelector", {"matchLabels": dict(selector)})


def rank(item):
    """Return where the object stands in the order of applying."""
    kind = item["kind"]
    if kind in ORDER:
        return ORDER.index(kind)
    return len(ORDER) + 1 + ORDER_LAST.index(kind) if kind in ORDER_LAST else len(ORDER)


def kubernetes_objects(items, namespace, component, instance="mlops", version="", part_of="mlops", managed_by="mlops.platform", pod=None):
    """Return the objects in `items` in `namespace`, with the labels and selectors of `component`, in the order of applying."""
    component = component.replace("_", "-")
    found = []
    for item in (checked(entry, namespace) for entry in flat(items)):
        own = (item["metadata"].get("labels") or {}).get(PREFIX + "component")
        selector = {
            PREFIX + "name": component,
            PREFIX + "instance": instance,
            PREFIX + "component": own or (f"{component}-job" if item["kind"] in JOBS else component),
        }
        lasting = {**selector, PREFIX + "part-of": part_of, PREFIX + "managed-by": managed_by}
        label = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", re.sub(r"[^A-Za-z0-9._-]", "-", version)[:63])
        labels = {**lasting, PREFIX + "version": label} if label else lasting
        add(item, labels)
        for template in templates(item):
            add(template, labels)
        if templates(item):
            complete_pod(templates(item)[-1]["spec"], selector, json.loads(json.dumps(pod or {})))
        # a claim's template can never change: no label that does
        for claim in (item.get("spec") or {}).get("volumeClaimTemplates") or []:
            add(claim, lasting)
        select(item, selector)
        found.append(item)
    return sorted(found, key=rank)


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"kubernetes_objects": kubernetes_objects}
