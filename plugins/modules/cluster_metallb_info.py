#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what a cluster has of MetalLB, what is wrong with what is wanted, and the objects that bring the one to the other."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_metallb_info
short_description: Hold the wanted MetalLB against a cluster, and plan how it gets there
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Reads what a cluster has of MetalLB, its nodes and its Services, and returns all problems with the wanted pools and peers at once, each
    with its remedy - addresses of a wrong form, outside of the nodes' networks, in use by nodes, pods, Services or other pools; a version
    that cannot run there or that would be a step back; a MetalLB that was installed in another way.
  - Returns the objects to apply and those to remove. From 0.13 on these are custom resources, before that a ConfigMap. The ConfigMap of an
    older MetalLB is converted.
  - It changes nothing.
options:
  namespace:
    description: The namespace of MetalLB.
    type: str
    default: metallb-system
  state:
    description: Whether MetalLB is to be there.
    type: str
    choices: [present, absent]
    default: present
  version:
    description: The version that is to run.
    type: str
    required: true
  manage:
    description: Whether MetalLB itself is installed, and not its settings alone.
    type: bool
    default: true
  mode:
    description: What speaks BGP, MetalLB itself or FRR.
    type: str
    choices: [native, frr]
    default: native
  pool:
    description: The addresses of the pool C(default), ranges or networks. A list; what is none is a problem that is returned.
    type: raw
  pools:
    description:
      - More pools, a list of dictionaries with C(name), C(addresses), C(protocol) (V(layer2) or V(bgp)), C(auto_assign),
        C(avoid_buggy_ips), C(spec) with further fields of an C(IPAddressPool), and C(advertisements) with fields of its
        C(L2Advertisement) or C(BGPAdvertisement) objects.
    type: raw
  interfaces:
    description: The interfaces that pools in layer 2 are announced at. Empty means all.
    type: raw
  peers:
    description:
      - The routers, a list of dictionaries with C(name), the fields of a C(BGPPeer), and C(password), which goes into a Secret.
    type: raw
  bfd_profiles:
    description: BFD profiles, a list of dictionaries with C(name) and the fields of a C(BFDProfile).
    type: raw
  outside:
    description: Whether pools in layer 2 may be outside of the nodes' networks.
    type: bool
    default: false
  node_networks:
    description: The networks that the nodes are in. Empty means a /24 around each node's IPv4 address, a /64 around its IPv6 address.
    type: list
    elements: str
    default: []
  taken:
    description: What else is in use, by address. What an address is stands in the error.
    type: dict
    default: {}
  kept_free:
    description: Networks that no pool may be in, such as the pods', by network. What a network is stands in the error.
    type: dict
    default: {}
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
notes:
  - Set C(no_log) on the task where O(peers) have passwords, or an older MetalLB's ConfigMap may have. RV(hidden) holds them.
  - The user of the connection must be allowed to list nodes, and Services and Deployments in all namespaces.
"""

EXAMPLES = r"""
- name: Find out what MetalLB needs
  mlops.platform.cluster_metallb_info:
    version: 0.16.1
    pool: [192.0.2.240-192.0.2.250]
  register: metallb
  no_log: true

- name: Stop with all problems at once
  ansible.builtin.assert:
    that: metallb.problems | length == 0
    fail_msg: "{{ metallb.problems }}"
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
      sample: "pool default: 192.0.2.1-192.0.2.9 holds 192.0.2.4, an address of the node vm1"
    remedy:
      description: What to do about it.
      type: str
      sample: leave that address out
losses:
  description: What a run takes away from somebody, such as the address of a Service whose pool goes.
  returned: always
  type: list
  elements: str
needed:
  description: Whether there is anything to do. Where no pool is wanted and no MetalLB is there, none is installed.
  returned: always
  type: bool
bare:
  description: Whether the namespace does not exist yet.
  returned: always
  type: bool
served:
  description: Whether the cluster serves MetalLB's custom resources.
  returned: always
  type: bool
policies_served:
  description: Whether the cluster serves PodSecurityPolicies.
  returned: always
  type: bool
installed:
  description: The version that is installed. Empty means none, or one that does not tell its version.
  returned: always
  type: str
ready:
  description: Whether the controller and a speaker on every node run and are ready.
  returned: always
  type: bool
objects:
  description: The custom resources to apply.
  returned: always
  type: list
  elements: dict
hidden:
  description: Secrets to apply, and before 0.13 the ConfigMap. These may hold passwords.
  returned: always
  type: list
  elements: dict
converted:
  description: What an older MetalLB's ConfigMap has, and which objects are made of, in words.
  returned: always
  type: list
  elements: str
removed:
  description: What names the objects of the platform that are not wanted any more.
  returned: always
  type: list
  elements: dict
replaced:
  description: What names the workloads that another hand has made, whose pods go over to new ones of the same names.
  returned: always
  type: list
  elements: dict
left:
  description: What names the objects of an older MetalLB that are to be removed after all else.
  returned: always
  type: list
  elements: dict
requests:
  description: How many requests were sent.
  returned: always
  type: int
"""

from ansible_collections.mlops.platform.plugins.module_utils import metallb_settings
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.metallb_plan import Plan
from ansible_collections.mlops.platform.plugins.module_utils.metallb_state import State

SETTINGS = ("pool", "pools", "interfaces", "peers", "bfd_profiles")
LISTS = ("losses", "objects", "hidden", "converted", "removed", "replaced", "left")
OPTIONS = {
    "namespace": {"type": "str", "default": "metallb-system"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "version": {"type": "str", "required": True},
    "manage": {"type": "bool", "default": True},
    "mode": {"type": "str", "choices": ["native", "frr"], "default": "native"},
    "pool": {"type": "raw"},
    "pools": {"type": "raw"},
    "interfaces": {"type": "raw"},
    "peers": {"type": "raw"},
    "bfd_profiles": {"type": "raw"},
    "outside": {"type": "bool", "default": False},
    "node_networks": {"type": "list", "elements": "str", "default": []},
    "taken": {"type": "dict", "default": {}},
    "kept_free": {"type": "dict", "default": {}},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params
    settings = metallb_settings.read(**{name: given[name] for name in SETTINGS})
    result = {"needed": False, "bare": True, "served": False, "policies_served": False, "ready": False, "installed": "", "requests": 0}
    result.update({name: [] for name in LISTS})
    problems = []
    try:
        cluster = Cluster(given)
        state = State(cluster, given["namespace"])
        state.look()
        plan = Plan(state, given, settings).make()
        problems = plan.problems
        result.update({name: getattr(plan, name) for name in LISTS})
        result.update(needed=plan.needed, bare=state.home is None, served=state.served, policies_served=state.policies_served)
        result.update(installed=state.version(), ready=state.ready(), requests=cluster.requests)
    except ClusterError as error:
        # whoever prepares an installation wants this beside what the other checks found, not instead of it
        problems = [*settings.problems, (error.what, error.remedy)]
    module.exit_json(changed=False, problems=[{"what": what, "remedy": remedy} for what, remedy in problems], **result)


if __name__ == "__main__":
    main()
