# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what is wrong with MetalLB's pools and peers, before there is a cluster to ask."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import metallb_addresses, metallb_settings

DOCUMENTATION = r"""
name: metallb_problems
short_description: What is wrong with pools and peers of MetalLB
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Holds pools and peers against their form, the nodes' addresses and networks, and the networks of pods and Services, without a cluster.
    C(cluster_metallb_info) says the same and more where there is one.
positional: taken, kept_free, node_networks, outside
options:
  _input:
    description: A dictionary with C(pool), C(pools), C(interfaces), C(peers) and C(bfd_profiles), as the role C(metallb) has them.
    type: dict
    required: true
  taken:
    description: What each address is that nobody may be given, by address.
    type: dict
    default: {}
  kept_free:
    description: What each network is that no pool may be in, by network.
    type: dict
    default: {}
  node_networks:
    description: The networks that the nodes are in.
    type: list
    elements: str
    default: []
  outside:
    description: Whether pools in layer 2 may be outside of these.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ {'pool': ['192.0.2.9-192.0.2.1']} | mlops.platform.metallb_problems }}"
    # => [{"what": "pool default: 192.0.2.9-192.0.2.1 ends before it begins", "remedy": "give ranges such as ..."}]
"""

RETURN = r"""
_value:
  description: The problems, each with C(what) and C(remedy).
  type: list
  elements: dict
  sample: []
"""


def metallb_problems(given, taken=None, kept_free=None, node_networks=(), outside=False):
    """Return the problems of the settings `given`."""
    settings = metallb_settings.read(**given)
    found = settings.problems + metallb_addresses.problems(settings.pools, taken, kept_free, node_networks, outside)
    return [{"what": what, "remedy": remedy} for what, remedy in found]


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"metallb_problems": metallb_problems}
