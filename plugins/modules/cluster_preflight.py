#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: everything that can keep the platform from running on a cluster, found before anything is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_preflight
short_description: Check a Kubernetes cluster before the platform is installed on it
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks for everything that would stop an installation half-way - a kubeconfig that cannot be used, a server that does not answer, a
    missing permission, a storage class that does not exist - and returns all of it at once, each problem with its remedy. It changes
    nothing.
  - Also returns what the later steps need to know about the cluster, so that they do not each ask for it.
options:
  namespace:
    description: The namespace that the platform is to run in. It need not exist.
    type: str
    required: true
  create_namespace:
    description:
      - Whether the installation creates the namespace where it is missing. Then the permission to do so is asked for, and only then.
      - With V(false) a missing namespace is a problem.
    type: bool
    default: false
  storage_classes:
    description: The storage classes that volumes will be asked from. An empty string means the cluster's default class.
    type: list
    elements: str
    default: []
  permissions:
    description: What the user of the connection must be allowed to do.
    type: list
    elements: dict
    default: []
    suboptions:
      api_group:
        description: The API group of the resource; an empty string is the core group.
        type: str
        default: ""
      resource:
        description: The resource in the plural, with a subresource if one is meant, for example V(pods/log).
        type: str
        required: true
      verbs:
        description: What to do with it.
        type: list
        elements: str
        required: true
      namespaced:
        description: Whether it is meant in O(namespace), or in the whole cluster.
        type: bool
        default: true
      optional:
        description: Whether the permission may be missing. Then it is named in the result RV(cluster.missing_permissions) alone.
        type: bool
        default: false
      if_served:
        description: A kind, one of those in RV(cluster.apis). The permission is asked for only where the cluster serves it.
        type: str
      unless_served:
        description: A kind, one of those in RV(cluster.apis). The permission is asked for only where the cluster does not serve it.
        type: str
  apis:
    description:
      - Further kinds to look up, each with its API group, for example C(VolumeSnapshot) with V(snapshot.storage.k8s.io).
      - The kinds that the platform itself may use are always looked up.
    type: dict
    default: {}
  objects:
    description:
      - Objects of O(namespace) to read along, where it exists. They are found in RV(cluster.objects) by O(objects[].key).
      - A list that cannot be read is a problem, and empty.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: A name for the list.
        type: str
        required: true
      resource:
        description: The resource in the plural.
        type: str
        required: true
      api_group:
        description: The API group of the resource; an empty string is the core group.
        type: str
        default: ""
      api_version:
        description: The version of the API, without the group.
        type: str
        default: v1
      labels:
        description: A label selector. Unset means all objects.
        type: str
      name:
        description: The name of the only object that is wanted. Unset means all objects.
        type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
"""

EXAMPLES = r"""
- name: Find what would stop an installation
  mlops.platform.cluster_preflight:
    namespace: mlops
    create_namespace: true
    storage_classes: [""]
    permissions:
      - {api_group: apps, resource: deployments, verbs: [get, list, create, patch, delete]}
      - {resource: secrets, verbs: [get, create, update]}
      - {resource: pods/log, verbs: [get]}
      - {api_group: monitoring.coreos.com, resource: servicemonitors, verbs: [get, create, patch, delete], if_served: ServiceMonitor}
    objects:
      - {key: claims, resource: persistentvolumeclaims, labels: app.kubernetes.io/part-of=mlops}
  register: preflight

- name: Stop with all of it at once
  ansible.builtin.assert:
    that: preflight.problems | length == 0
    fail_msg: "{{ preflight.problems }}"
"""

RETURN = r"""
problems:
  description: What stands in the way.
  returned: always
  type: list
  elements: dict
  contains:
    what:
      description: The problem, with the value that causes it.
      type: str
      sample: this user may not create deployments (apps) in the namespace mlops
    remedy:
      description: What to do about it.
      type: str
      sample: have it created (kubectl create namespace mlops), or set mlops_manage_namespace to true
cluster:
  description: What the later steps need to know. Where the server did not answer, everything in it is empty or false.
  returned: always
  type: dict
  contains:
    version:
      description: The server's version of Kubernetes, without the patch level; empty where the server does not know its own.
      type: str
      sample: "1.32"
    git_version:
      description: The server's version in full.
      type: str
      sample: v1.32.4
    server:
      description: The address of the API server.
      type: str
    namespace:
      description: The namespace.
      type: dict
      contains:
        name:
          description: Its name.
          type: str
        exists:
          description: Whether it exists.
          type: bool
        phase:
          description: V(Active) or V(Terminating); empty where the user may not read the namespace.
          type: str
        labels:
          description: Its labels.
          type: dict
        annotations:
          description: Its annotations.
          type: dict
    bare:
      description: Whether the namespace does not exist yet.
      type: bool
    apis:
      description:
        - For each kind the C(apiVersion) to write, or an empty string where the cluster does not serve the kind in a version that the
          platform can use.
      type: dict
      sample: {"CronJob": "batch/v1", "PodDisruptionBudget": "policy/v1", "Route": ""}
    openshift:
      description: Whether the cluster is OpenShift.
      type: bool
    storage_classes:
      description: The names of the storage classes.
      type: list
      elements: str
    storage_classes_known:
      description: Whether the user may list them. If not, RV(cluster.storage_classes) is empty and no class can be checked.
      type: bool
    default_storage_class:
      description: The name of the default storage class, empty if there is none.
      type: str
    missing_permissions:
      description: The entries of O(permissions) that the user does not have, optional ones included, each with the verbs that are missing.
      type: list
      elements: dict
    objects:
      description: For each entry of O(objects) the objects that are there, as the server shows them.
      type: dict
    requests:
      description: How many requests the look took.
      type: int
"""

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_preflight import Preflight, unknown

OPTIONS = {
    "namespace": {"type": "str", "required": True},
    "create_namespace": {"type": "bool", "default": False},
    "storage_classes": {"type": "list", "elements": "str", "default": []},
    "permissions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "api_group": {"type": "str", "default": ""},
            "resource": {"type": "str", "required": True},
            "verbs": {"type": "list", "elements": "str", "required": True},
            "namespaced": {"type": "bool", "default": True},
            "optional": {"type": "bool", "default": False},
            "if_served": {"type": "str"},
            "unless_served": {"type": "str"},
        },
    },
    "apis": {"type": "dict", "default": {}},
    "objects": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "key": {"type": "str", "required": True, "no_log": False},
            "resource": {"type": "str", "required": True},
            "api_group": {"type": "str", "default": ""},
            "api_version": {"type": "str", "default": "v1"},
            "labels": {"type": "str"},
            "name": {"type": "str"},
        },
    },
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params
    facts, problems = unknown(given["namespace"]), []
    try:
        preflight = Preflight(Cluster(given), given["namespace"])
        facts, problems = preflight.facts, preflight.problems
        preflight.look(given["storage_classes"], given["permissions"], given["apis"], given["create_namespace"], given["objects"])
    except ClusterError as error:
        # whoever prepares an installation wants this beside what the other checks found, not instead of it
        problems.append((error.what, error.remedy))
    module.exit_json(changed=False, cluster=facts, problems=[{"what": what, "remedy": remedy} for what, remedy in problems])


if __name__ == "__main__":
    main()
