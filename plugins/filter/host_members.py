# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what is known of the hosts of a cluster, those of this run and the others."""

from __future__ import annotations

import ipaddress
import re

DOCUMENTATION = r"""
name: host_members
short_description: What is known of the hosts of a cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Takes the variables of all hosts and returns address and name of each of some hosts - as M(mlops.platform.host_look) has found them
    where it has looked, and else as the inventory says, so that a run for some of the hosts knows the others.
positional: names
options:
  _input:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  names:
    description: The hosts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the addresses of all hosts
  ansible.builtin.debug:
    msg: "{{ hostvars | mlops.platform.host_members(groups.k3s) }}"
"""

RETURN = r"""
_value:
  description: By the inventory's name, a dictionary with C(address) (empty where it is not known), C(hostname), C(looked) and C(clock).
  type: dict
  sample: {vm1: {address: 192.0.2.11, hostname: vm1, looked: true, clock: {least: -0.1, most: 0.4}}}
"""

HOSTNAME = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")


def is_address(text):
    """Return whether a text is an IP address of a host, and not loopback's."""
    try:
        return not ipaddress.ip_address(str(text)).is_loopback
    except ValueError:
        return False


def wanted_name(name, variables):
    """Return the name that a host gets: host_name, or the inventory's where it is one, else ''."""
    given = variables.get("host_name") or ""
    if given:
        return str(given)
    if is_address(name) or name.lower().startswith("localhost") or not HOSTNAME.match(name.lower()):
        return ""
    return name.lower()


def host_members(hostvars, names):
    """Return {name: {address, hostname, looked, clock}} of the hosts `names`."""
    found = {}
    for name in names:
        variables = hostvars[name]
        look = variables.get("host_found") or {}
        host = look.get("host") or {}
        candidates = [variables.get("host_address") or "", variables.get("ansible_host") or "", name]
        address = host.get("address") or next((str(one) for one in candidates if is_address(one)), "")
        found[name] = {
            "address": address,
            "hostname": wanted_name(name, variables) or host.get("hostname", ""),
            "looked": bool(host),
            "clock": look.get("clock") or {},
        }
    return found


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"host_members": host_members}
