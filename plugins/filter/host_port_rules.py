# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a host's firewall lets in, made from the map of ports."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_port_rules
short_description: What a host's firewall lets in, made from the map of ports
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Takes the map of ports (C(roles/host/vars/main/ports.yml)) and returns the entries that apply on one host, each with the addresses from
    which it may be reached, as M(mlops.platform.host_firewall) takes them.
options:
  _input:
    description: The map of ports.
    type: list
    elements: dict
    required: true
  server:
    description: Whether the host is a server of the cluster; otherwise it is an agent.
    type: bool
    required: true
  components:
    description: The parts of the cluster that are chosen.
    type: list
    elements: str
    required: true
  servers:
    description: Addresses of the servers.
    type: list
    elements: str
    required: true
  nodes:
    description: Addresses of all nodes, the servers among them.
    type: list
    elements: str
    required: true
  clients:
    description: Networks of the users. Empty means anybody.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what a server lets in
  ansible.builtin.debug:
    msg: "{{ host_port_map | mlops.platform.host_port_rules(server=true, components=['k3s'], servers=['192.0.2.1'],
                                                            nodes=['192.0.2.1', '192.0.2.2'], clients=[]) }}"
"""

RETURN = r"""
_value:
  description: One entry for each protocol, with C(name), C(protocol), C(ports) and C(sources). Without sources it is for anybody.
  type: list
  elements: dict
  sample: [{name: kubelet, protocol: tcp, ports: ["10250"], sources: [192.0.2.1, 192.0.2.2]}]
"""


def host_port_rules(port_map, server, components, servers, nodes, clients=()):
    """Return the entries of `port_map` that apply on a host, one for each protocol."""
    # anybody's include the nodes' anyway; a list of users' networks may not
    anybody = sorted({*clients, *nodes}) if clients else []
    sources = {"servers": sorted(servers), "nodes": sorted(nodes), "clients": anybody}
    return [
        {
            "name": entry["name"],
            "protocol": protocol,
            "ports": list(entry["ports"]),
            "sources": sources[entry["from"]],
        }
        for entry in port_map
        if entry["component"] in components and (server or entry["to"] == "nodes")
        for protocol in entry["protocols"]
    ]


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"host_port_rules": host_port_rules}
