#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: whether a cluster of k3d can be made here, and which there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3d_info
short_description: Look at what stands in the way of a cluster in containers
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks at Docker, at ports and at the clusters of k3d. It changes nothing, and tells all problems together.
options:
  name:
    description: The cluster's name. Ports that it holds itself are free for it.
    type: str
    required: true
  ports:
    description: Ports of this machine that the cluster needs.
    type: list
    elements: int
    default: []
  address:
    description: The address of this machine that they are opened at.
    type: str
    default: 127.0.0.1
  program:
    description: The program C(k3d). One that is not there yet has no clusters.
    type: path
    default: k3d
  docker:
    description: The program C(docker).
    type: str
    default: docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: N/A
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Look whether a cluster can be made
  mlops.platform.k3d_info:
    name: mlops
    ports: [6550, 30500]
  register: found
"""

RETURN = r"""
problems:
  description: What stands in the way, each with C(what) and C(remedy).
  returned: always
  type: list
  elements: dict
exists:
  description: Whether the cluster is there.
  returned: always
  type: bool
clusters:
  description: Names of all clusters of k3d.
  returned: always
  type: list
  elements: str
system:
  description: The system and the architecture, as k3d's release names them.
  returned: always
  type: str
  sample: linux-amd64
"""

import platform
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3d

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "default": []},
            "address": {"type": "str", "default": "127.0.0.1"},
            "program": {"type": "path", "default": "k3d"},
            "docker": {"type": "str", "default": "docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    problems, found = k3d.docker_problems(given["docker"]), {}
    if not problems and shutil.which(given["program"]):
        try:
            found = k3d.clusters(given["program"])
        except k3d.Failed as error:
            problems.append({"what": str(error), "remedy": "run that command by hand; a k3d of version 5 is needed"})
    own = k3d.host_ports(found.get(given["name"], {}))
    for port in sorted(set(given["ports"]) - own):
        if k3d.taken(port, given["address"]):
            problems.append(
                {
                    "what": f"port {port} of {given['address']} is in use",
                    "remedy": "stop what listens there, or choose another port: k3d_ports, or the k3d_..._port that it is",
                }
            )
    module.exit_json(
        changed=False,
        problems=problems,
        exists=given["name"] in found,
        clusters=sorted(found),
        system=f"{platform.system().lower()}-{ARCHITECTURES.get(platform.machine(), platform.machine())}",
    )


if __name__ == "__main__":
    main()
