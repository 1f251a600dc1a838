# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what is wrong with hosts as a whole that will be a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_cluster_problems
short_description: What is wrong with hosts as a whole that will be a cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Compares what M(mlops.platform.host_look) has found on each host, and returns the problems of one of them - names or addresses that
    two hosts have, and clocks that are apart.
positional: name, max_skew
options:
  _input:
    description: By the inventory's name, a dictionary with C(hostname) (the name that the host will have), C(address) and C(clock).
    type: dict
    required: true
  name:
    description: The host whose problems are returned.
    type: str
    required: true
  max_skew:
    description: By how many seconds two clocks may differ.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Show what is wrong with vm1
  ansible.builtin.debug:
    msg: "{{ hosts | mlops.platform.host_cluster_problems('vm1', 5) }}"
  vars:
    hosts:
      vm1: {hostname: vm1, address: 192.0.2.1, clock: {least: 0.0, most: 0.5}}
      vm2: {hostname: vm1, address: 192.0.2.2, clock: {least: 9.0, most: 9.5}}
"""

RETURN = r"""
_value:
  description: Problems, each with C(what) and C(remedy).
  type: list
  elements: dict
"""


def skew(one, two):
    """Return by how many seconds two clocks differ at least, given what is known of each: positive where the first one is ahead."""
    ahead, behind = one["least"] - two["most"], two["least"] - one["most"]
    return ahead if ahead > 0 else min(-behind, 0.0)


def _clock(found, name, max_skew):
    mine = found[name]["clock"]
    others = {"the controller's": {"least": 0.0, "most": 0.0}}
    others |= {f"{other}'s": found[other]["clock"] for other in found if other != name}
    apart = []
    for other, clock in others.items():
        seconds = skew(mine, clock)
        if abs(seconds) > max_skew:
            apart.append(f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} {other}")
    if not apart:
        return []
    what = f"the clock is at least {', '.join(apart)}; host_max_clock_skew allows {max_skew:g} s"
    return [
        {
            "what": what,
            "remedy": "synchronise the clocks: `chronyc makestep`, or `timedatectl set-ntp true`, and a time server that answers",
        }
    ]


def host_cluster_problems(found, name, max_skew):
    """Return the problems of the host `name` among all that were looked at."""
    problems = []
    for key, what in (("hostname", "the name"), ("address", "the address")):
        same = sorted(other for other in found if other != name and found[other][key] == found[name][key] and found[name][key])
        if same:
            remedy = (
                "give each host a host_name of its own" if key == "hostname" else "set host_address of each host to one that no other has"
            )
            problems.append({"what": f"{what} {found[name][key]} is also that of {', '.join(same)}", "remedy": remedy})
    return problems + _clock(found, name, float(max_skew))


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"host_cluster_problems": host_cluster_problems}
