#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: everything about K3s on a host that a run must know before it touches anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_info
short_description: Look at a host that is, or will be, a node of a K3s cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns what is installed, what runs, whose data lies there, what the cluster says of its nodes, and what would stop an installation.
    It returns no secret, and changes nothing.
options:
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  controller_time:
    description: The time of the controller in seconds, from which RV(node.clock_offset) is told. Unset means that the clocks are not
      compared.
    type: float
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
"""

EXAMPLES = r"""
- name: Look at the host
  mlops.platform.k3s_info:
    controller_time: "{{ now(utc=true).timestamp() }}"
  register: host
"""

RETURN = r"""
node:
  description: What was found.
  returned: always
  type: dict
  contains:
    version:
      description: The version that is installed, or an empty text.
      type: str
      sample: v1.33.5+k3s1
    intact:
      description: Whether the binary is the one that was installed.
      type: bool
    images:
      description: The archives of images that lie where K3s imports them, by their names, each with its size and mtime.
      type: dict
      sample: {mlflow.tar.zst: {size: 396361728, mtime: 1790000000}}
    data:
      description: Whose data lies here, V(server), V(agent) or an empty text.
      type: str
    member:
      description: Whether a datastore of a server lies here. Without one it has to join again, whatever its data.
      type: bool
    restoring:
      description: Whether the cluster was being taken back to a snapshot here, and that has not ended.
      type: bool
    active:
      description: Which unit runs, V(server), V(agent) or an empty text.
      type: str
    ca_hash:
      description: The hash of the cluster's authority, on a server.
      type: str
    token_form:
      description: V(short) or V(long) for the form of the token that the host has, or an empty text.
      type: str
    config:
      description: Settings in K3s's configuration that decide what may change.
      type: dict
    hostname:
      description: The name of the host, in lower case.
      type: str
    address:
      description: Its address towards the outside.
      type: str
    addresses:
      description: All of its addresses with their networks, but those of devices that Kubernetes, a container engine or a hypervisor makes.
      type: list
      elements: str
      sample: [192.0.2.11/24]
    architecture:
      description: What `uname -m` says.
      type: str
    selinux:
      description: Whether SELinux is on and has the policy for K3s.
      type: bool
    clock_offset:
      description: Seconds by which this clock is ahead of the controller's, the way there included.
      type: float
    nodes:
      description: The nodes of the cluster as a healthy server tells, else empty.
      type: list
      elements: dict
    healthy:
      description: Whether this is a server whose API and etcd answer.
      type: bool
    obstacles:
      description: What would stop an installation, with the remedy.
      type: list
      elements: str
"""

import os
import platform
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import checked_file, host_node, k3s_archives, k3s_files
from ansible_collections.mlops.platform.plugins.module_utils.k3s_api import ApiError, server_api
from ansible_collections.mlops.platform.plugins.module_utils.k3s_release import ARCHITECTURES

# of other distributions of Kubernetes
OTHERS = ("kubelet.service", "rke2-server.service", "rke2-agent.service", "microk8s.service", "k0scontroller.service")
OURS = {"server": "k3s.service", "agent": "k3s-agent.service"}


def installed(record):
    """Return (version, intact) of the binary."""
    total = checked_file.digest(k3s_files.BINARY)
    if not total:
        return "", False
    if record and record["files"].get(k3s_files.BINARY, {}).get("sha256") == total:
        return record["version"], True
    words = host_node.output(k3s_files.BINARY, "--version").split()
    return (words[2] if words[:2] == ["k3s", "version"] else "", False)


def obstacles(active):
    """Return what would stop an installation; `active` are the units that run."""
    found = []
    if not os.path.isdir("/run/systemd/system"):
        found.append("systemd does not run on this host, and K3s is a service of it: use a host that systemd has booted")
    if platform.machine() not in ARCHITECTURES:
        found.append(f"K3s has no release for {platform.machine()}: use a host with one of {', '.join(ARCHITECTURES)}")
    if host_node.output("systemctl", "is-enabled", "nm-cloud-setup.service").strip() == "enabled":
        found.append(
            "nm-cloud-setup.service is enabled and breaks the pod network: run `systemctl disable --now nm-cloud-setup.service"
            " nm-cloud-setup.timer` and reboot"
        )
    if os.path.isfile("/proc/cgroups"):
        with open("/proc/cgroups", encoding="utf-8") as stream:
            rows = [line.split() for line in stream]
        if any(row[0] == "memory" and row[-1] == "0" for row in rows if row) and not os.path.isfile("/sys/fs/cgroup/cgroup.controllers"):
            found.append("the kernel's memory cgroup is off: boot with cgroup_memory=1 cgroup_enable=memory")
    others = [name for name in OTHERS if name in active]
    if others:
        found.append(f"{others[0]} runs another Kubernetes on this host: remove that one first")
    return found


def cluster(data_dir):
    """Return (healthy, nodes) as the server on this host tells."""
    try:
        api = server_api(data_dir)
        if api.trouble():
            return False, []
        return True, api.nodes()
    except (ApiError, OSError):
        return False, []


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"}, "controller_time": {"type": "float"}},
        supports_check_mode=True,
    )
    now, data_dir = time.time(), module.params["data_dir"]
    version, intact = installed(k3s_files.record())
    # one question for all of them
    running = {name for name, unit in host_node.units([*OURS.values(), *OTHERS]).items() if unit["active"]}
    active = [role for role, unit in OURS.items() if unit in running]
    token = k3s_files.parse_token(k3s_files.text(k3s_files.TOKEN))
    healthy, nodes = cluster(data_dir) if "server" in active else (False, [])
    addresses = host_node.addresses(host_node.output("ip", "-json", "address", "show"))
    selinux = os.path.isfile("/sys/fs/selinux/enforce") and os.path.isfile("/usr/share/selinux/packages/k3s.pp")
    module.exit_json(
        changed=False,
        node={
            "version": version,
            "intact": intact,
            "images": k3s_archives.present(data_dir),
            "data": k3s_files.data(data_dir),
            "member": k3s_files.member(data_dir),
            "restoring": os.path.isdir(k3s_files.aside(data_dir)),
            "active": active[0] if active else "",
            "ca_hash": k3s_files.token(data_dir)["hash"],
            "token_form": ("long" if token["hash"] else "short") if token["password"] else "",
            "config": k3s_files.config(),
            "hostname": socket.gethostname().lower(),
            "address": host_node.own_address(addresses),
            "addresses": host_node.outer_addresses(addresses),
            "architecture": platform.machine(),
            "selinux": selinux,
            "clock_offset": round(now - module.params["controller_time"], 1) if module.params["controller_time"] else 0.0,
            "nodes": nodes,
            "healthy": healthy,
            "obstacles": obstacles(running),
        },
    )


if __name__ == "__main__":
    main()
