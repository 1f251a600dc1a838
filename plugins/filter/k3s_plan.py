# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what must be known of all hosts of a K3s cluster before any of them is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: k3s_plan
short_description: What is wrong with a K3s cluster that is to be, and how each host joins it
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Takes what M(mlops.platform.k3s_info) found on all hosts, in the order of the inventory, and returns all problems, who begins the
    cluster or
    is asked to join it, and the part of each host.
positional: settings
options:
  _input:
    description:
      - The hosts by name, each a dictionary of role (V(server) or V(agent)), both, in_run, node_name, address, given_address, labels,
        taints and
        info, which is null for a host that could not be reached.
    type: dict
    required: true
  settings:
    description:
      - The wishes for the cluster, with the keys version, pods, services, dns, domain, endpoint, datastore, encryption, token, extra,
        s3, schedule, clock_limit and archives (lists of paths, each that of some hosts); and restoring, whether a snapshot is restored,
        which may have been begun before.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Stop with every problem at once
  ansible.builtin.fail:
    msg: "{{ (cluster_hosts | mlops.platform.k3s_plan(cluster_settings)).problems }}"
  when: (cluster_hosts | mlops.platform.k3s_plan(cluster_settings)).problems | length > 0
"""

RETURN = r"""
_value:
  description:
    - The keys problems (texts), source (the host that begins the cluster, or that others ask), exists (whether there is a cluster),
      ca_hash and
      hosts (by name the node_name, address, init, join, upgrade, snapshot, drain, uncordon, replaces, peers and long_token of each).
  type: dict
"""

from ansible_collections.mlops.platform.plugins.module_utils import k3s_plan  # noqa: E402


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"k3s_plan": k3s_plan.make}
