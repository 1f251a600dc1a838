#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: everything that has to be known of a machine before it is prepared for a cluster, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_look
short_description: Look at a machine that will be a node of a cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Reads distribution, kernel, addresses, clock, firewall, SELinux, packages and services, in one call and without changing anything, and
    returns every problem that keeps the machine from being a node.
  - An action plugin of the same name measures the clock against the controller's. The time that the call takes makes that a range.
options:
  address:
    description: The address by which the other nodes reach this host. Empty means O(likely), or else that of the default route.
    type: str
    default: ""
  likely:
    description: An address that is taken where this host has it, such as the one that it is managed by.
    type: str
    default: ""
  networks:
    description: The cluster's own networks, by what they are for.
    type: dict
    default: {}
  packages:
    description: Packages that must be installed, by the family of the distribution.
    type: dict
    default: {}
  selinux_packages:
    description: The same, for hosts on which the kernel has SELinux.
    type: dict
    default: {}
  firewall:
    description: What is wished of the firewall.
    type: str
    choices: [configure, disable, leave]
    default: configure
  firewall_backend:
    description: The firewall. V(auto) takes the one that is active, or else the distribution's own.
    type: str
    choices: [auto, firewalld, ufw, nftables]
    default: auto
  any_distribution:
    description: Whether one that is like a supported one is accepted.
    type: bool
    default: false
  wireguard:
    description: Whether the pod network needs WireGuard.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Look at the host
  mlops.platform.host_look:
    networks:
      pods: 10.44.0.0/16
      services: 10.45.0.0/16
  register: host_found
"""

RETURN = r"""
host:
  description: What was found.
  returned: success
  type: dict
  contains:
    distribution:
      description: The operating system.
      type: dict
      sample: {id: debian, version: "12", major: "12", name: Debian GNU/Linux 12, family: Debian, supported: true}
    kernel:
      description: The kernel's release.
      type: str
      sample: 6.1.0-18-amd64
    hostname:
      description: The host's name.
      type: str
      sample: vm1
    machine_id:
      description: What systemd calls the machine.
      type: str
    systemd:
      description: Whether systemd booted the host.
      type: bool
    root:
      description: Whether the module runs as root.
      type: bool
    container:
      description: What the host runs in where it is a container, else empty.
      type: str
      sample: podman
    address:
      description: The address by which the other nodes reach the host.
      type: str
      sample: 192.0.2.11
    addresses:
      description: All addresses but loopback's and link-local ones, with prefix and device.
      type: list
      elements: dict
    routes:
      description: All routes but the default one.
      type: list
      elements: dict
    clock:
      description: What keeps the clock, whether the kernel says that it is kept, and the host's time (seconds since 1970).
      type: dict
      sample: {service: chronyd, synchronised: true, time: 1767225600.5}
    firewall:
      description: Whether firewalld, ufw and nftables are active and enabled, and which one is used.
      type: dict
    selinux:
      description: Whether the kernel has it, its mode, and that of the next boot.
      type: dict
      sample: {present: true, mode: enforcing, config: enforcing}
    swaps:
      description: Swap devices that are in use.
      type: list
      elements: str
    ssh_ports:
      description: Ports on which ssh must stay open.
      type: list
      elements: int
      sample: [22]
    iscsi:
      description: Whether the initiator's units are active and enabled, which there are, and whether the kernel can run it.
      type: dict
    modules:
      description: Kernel modules that the checks asked for.
      type: dict
    node_runs:
      description: Whether a kubelet listens already.
      type: bool
    proxy:
      description: Whether proxy settings of the role host are there.
      type: bool
    missing_packages:
      description: Packages that are not installed.
      type: list
      elements: str
    missing_selinux_packages:
      description: Packages of SELinux that are not installed.
      type: list
      elements: str
problems:
  description: Every problem, each with C(what) is wrong and the C(remedy).
  returned: success
  type: list
  elements: dict
clock:
  description: By how many seconds the host's clock is ahead of the controller's, at least and at most. Negative means behind.
  returned: success
  type: dict
  sample: {least: -0.1, most: 0.4}
"""

import os
import platform
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import host_node, host_node_checks

PROXY_FILE = "/etc/default/mlops-proxy"


def look(given):
    """Return what is found."""
    os_ = host_node.distribution(host_node.read("/etc/os-release"))
    units = host_node.units([*host_node.TIME_UNITS, *host_node.FIREWALL_UNITS, *host_node.ISCSI_UNITS])
    state = {name: units.get(name, {"active": False, "enabled": False, "there": False}) for name in units}
    none = {"active": False, "enabled": False, "there": False}
    keeper = next((name for name in host_node.TIME_UNITS if state.get(name, none)["active"]), "")
    addresses = host_node.addresses(host_node.output("ip", "-json", "address", "show"))
    likely = given["likely"] if given["likely"] in [entry["address"] for entry in addresses] else ""
    ports = host_node.listening(host_node.read("/proc/net/tcp")) | host_node.listening(host_node.read("/proc/net/tcp6"))
    iscsi = {name.rpartition(".")[2]: state.get(name, none) for name in host_node.ISCSI_UNITS}
    host = {
        "distribution": os_,
        "kernel": platform.release(),
        "hostname": socket.gethostname(),
        "machine_id": host_node.read("/etc/machine-id").strip(),
        # sd_booted(3)
        "systemd": os.path.isdir("/run/systemd/system"),
        "root": os.geteuid() == 0,
        "container": host_node.container(),
        "addresses": addresses,
        "address": given["address"] or likely or host_node.own_address(addresses),
        "routes": host_node.routes(host_node.output("ip", "-json", "route", "show")),
        "clock": {"service": keeper.partition(".")[0], "synchronised": host_node.clock_is_synchronised()},
        "firewall": {
            **{name.partition(".")[0]: state.get(name, none) for name in host_node.FIREWALL_UNITS},
            # the unit is active also where ufw is off
            "ufw_on": "ENABLED=yes" in host_node.read("/etc/ufw/ufw.conf").splitlines(),
        },
        "selinux": host_node.selinux(),
        "swaps": host_node.swaps(host_node.read("/proc/swaps")),
        "ssh_ports": host_node.ssh_ports(os.getpid()),
        "iscsi": {**iscsi, "possible": host_node.iscsi_possible()},
        "modules": {"wireguard": os.path.isdir("/sys/module/wireguard")},
        "node_runs": 10250 in ports,
        "proxy": os.path.exists(PROXY_FILE),
    }
    host["firewall"]["backend"] = host_node_checks.choose_firewall(host, given["firewall_backend"])
    wanted = list(given["packages"].get(os_["family"], []))
    if given["firewall"] == "configure":
        wanted.append(host["firewall"]["backend"])
    host["missing_packages"] = host_node.missing_packages(os_["family"], wanted)
    policy = given["selinux_packages"].get(os_["family"], []) if host["selinux"]["present"] else []
    host["missing_selinux_packages"] = host_node.missing_packages(os_["family"], policy)
    return host


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": ""},
            "networks": {"type": "dict", "default": {}},
            "likely": {"type": "str", "default": ""},
            "packages": {"type": "dict", "default": {}},
            "selinux_packages": {"type": "dict", "default": {}},
            "firewall": {"type": "str", "choices": ["configure", "disable", "leave"], "default": "configure"},
            "firewall_backend": {"type": "str", "choices": ["auto", "firewalld", "ufw", "nftables"], "default": "auto"},
            "any_distribution": {"type": "bool", "default": False},
            "wireguard": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    # first and alone: the action plugin compares it with the times before and after this call
    now = time.time()
    host = look(given)
    host["clock"]["time"] = now
    problems = host_node_checks.system(host, given["any_distribution"], given["wireguard"])
    problems += host_node_checks.network(host, given["address"], given["networks"])
    problems += host_node_checks.firewall(host, given["firewall"], given["firewall_backend"])
    module.exit_json(changed=False, host=host, problems=problems)


if __name__ == "__main__":
    main()
