#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: which snapshots of etcd a server has, and whether one of them can be restored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_snapshot_info
short_description: List the snapshots of K3s's etcd, and tell whether one can be restored
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Lists the snapshots on a server's disk, whether K3s runs or not, and reads one of them. That must be what etcd wrote, by the checksum at
    its end, and its nodes must not have had a newer minor version of K3s than the one that is installed.
  - The names in a bucket are asked of K3s, which must run for that. Where it does not, K3s itself refuses a name that is not there, and
    before it touches anything.
options:
  name:
    description: The snapshot, a name in O(directory) or the bucket, or a path. Unset means none, and then that is the problem.
    type: str
    default: ''
  bucket:
    description: Whether it is in the bucket that K3s is configured with.
    type: bool
    default: false
  directory:
    description: Where the server keeps its snapshots. Unset means below O(data_dir).
    type: path
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  version:
    description: The version that K3s is to have, which must be the one that is installed. Unset means any.
    type: str
    default: ''
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
- name: Look at a snapshot
  mlops.platform.k3s_snapshot_info:
    name: etcd-snapshot-vm1-1790000000
  register: cluster_snapshot
"""

RETURN = r"""
snapshots:
  description: Those on the disk, the newest first, each with name, size and time.
  returned: always
  type: list
  elements: dict
path:
  description: The path of the snapshot O(name), or its name in the bucket.
  returned: always
  type: str
  sample: /var/lib/rancher/k3s/server/db/snapshots/etcd-snapshot-vm1-1790000000
version:
  description: The newest version of K3s that its nodes had, empty where that is not known.
  returned: always
  type: str
  sample: v1.35.8+k3s1
problems:
  description: What forbids to restore it, with the remedy.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import host_node, k3s_files, k3s_service, k3s_snapshot


def in_bucket():
    """Return the names of the snapshots in the bucket, or None where K3s does not tell."""
    if k3s_service.state("k3s.service")["ActiveState"] != "active":
        return None
    rows = [line.split() for line in host_node.output(k3s_files.BINARY, "etcd-snapshot", "ls").splitlines()]
    # without a heading it was refused
    if not rows or rows[0][:2] != ["Name", "Location"]:
        return None
    return [row[0] for row in rows[1:] if len(row) > 1 and row[1].startswith("s3://")]


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "bucket": {"type": "bool", "default": False},
            "directory": {"type": "path"},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "version": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    directory = k3s_snapshot.folder(given["data_dir"], given["directory"])
    path = given["name"] if given["bucket"] or not given["name"] else os.path.join(directory, given["name"])
    found = {"listed": k3s_snapshot.listed(directory), "there": False, "in_bucket": None, "whole": False, "version": ""}
    try:
        if given["bucket"]:
            found["in_bucket"] = in_bucket()
        elif path:
            found["there"] = os.path.isfile(path)
            found["whole"], found["version"] = k3s_snapshot.read(path) if found["there"] else (False, "")
    except k3s_service.Failed as error:
        module.fail_json(msg=str(error))
    words = host_node.output(k3s_files.BINARY, "--version").split()
    installed = words[2] if words[:2] == ["k3s", "version"] else ""
    wish = {"name": given["name"], "bucket": given["bucket"], "wanted": given["version"]}
    module.exit_json(
        changed=False,
        snapshots=found["listed"],
        path=path,
        version=found["version"],
        problems=k3s_snapshot.problems(wish, found, installed),
    )


if __name__ == "__main__":
    main()
