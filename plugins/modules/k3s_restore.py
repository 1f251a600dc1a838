#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: one step of taking a K3s cluster back to a snapshot of its etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_restore
short_description: Take the etcd of a K3s server back to a snapshot, step by step
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - One step on one server. The steps are V(stopped) on all servers, V(restored) on one of them, the start of that one, and V(ended) on
    all, that one last. Every step can be killed and done again, beginning with the first.
  - Until V(ended) the etcd of before lies aside in V(server/db/etcd-before-restore) below O(data_dir), and K3s does not start by itself.
options:
  state:
    description:
      - V(stopped) stops K3s and puts its etcd aside.
      - V(restored) makes the server a cluster of its own with the data of the snapshot O(path), which K3s does by itself. It does not
        start it.
      - V(undone) gives the server the etcd back that it had, and starts it.
      - V(ended) names that etcd as K3s names an old one, V(etcd-old-TIME). Nothing deletes it.
    type: str
    choices: [stopped, restored, undone, ended]
    required: true
  path:
    description: The path of the snapshot, or its name in the bucket. For V(restored).
    type: str
  bucket:
    description: Whether it is in the bucket that K3s is configured with.
    type: bool
    default: false
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  environment_files:
    description: The files with the environment of the service. One that is not there is passed over.
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds that V(restored) may take.
    type: int
    default: 600
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: V(stopped) and V(restored) are done each time.
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Stop K3s on all servers
  mlops.platform.k3s_restore:
    state: stopped

- name: Take one of them back to a snapshot
  mlops.platform.k3s_restore:
    state: restored
    path: /var/lib/rancher/k3s/server/db/snapshots/etcd-snapshot-vm1-1790000000
"""

RETURN = r"""
state:
  description: The step that was done.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3s_lock, k3s_restore, k3s_service


def step(given):
    """Do the step and return whether it changed anything. Raises k3s_restore.Failed, k3s_service.Failed, OSError."""
    data_dir = given["data_dir"]
    if given["state"] == "undone":
        return k3s_restore.undo(data_dir)
    if given["state"] == "ended":
        return k3s_restore.end(data_dir)
    if given["state"] == "stopped":
        k3s_restore.stop(data_dir)
    else:
        k3s_restore.reset(data_dir, given["path"], given["bucket"], given["environment_files"], given["timeout"])
    return True


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["stopped", "restored", "undone", "ended"], "required": True},
            "path": {"type": "str"},
            "bucket": {"type": "bool", "default": False},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        required_if=[("state", "restored", ["path"])],
    )
    try:
        with k3s_lock.alone():
            changed = step(module.params)
    except (k3s_restore.Failed, k3s_service.Failed, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, state=module.params["state"])


if __name__ == "__main__":
    main()
