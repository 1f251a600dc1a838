#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: empty, release or remove a node, from a server of its cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node
short_description: Drain, uncordon or delete a node of a K3s cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Runs on a server of the cluster, with the administrator's certificate that K3s keeps there.
options:
  name:
    description: The name of the node.
    type: str
    required: true
  state:
    description:
      - V(drained) makes the node unschedulable and moves its pods away, as far as their disruption budgets let it.
      - V(schedulable) makes it schedulable again, if V(drained) made it unschedulable. One that somebody else did is left.
      - V(absent) deletes the node, with the password that its name is bound to, and waits until its etcd member is gone. It empties no
        node.
    type: str
    choices: [drained, schedulable, absent]
    required: true
  force:
    description: Whether V(drained) deletes pods that nothing makes anew, and V(absent) a node that is Ready. Without it
        V(absent) waits until the node is not, as that of a machine that is gone.
    type: bool
    default: false
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  timeout:
    description: Seconds that it may take.
    type: int
    default: 300
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
- name: Move the pods away
  mlops.platform.k3s_node:
    name: vm4
    state: drained
  delegate_to: vm1
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [drained]
"""

import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.k3s_api import MARK, ApiError, server_api
from ansible_collections.mlops.platform.plugins.module_utils.k3s_files import BINARY

PATCH = "application/merge-patch+json"
SECRETS = "/api/v1/namespaces/kube-system/secrets"


def drain(module, api, node):
    """Empty a node; return what was done. Raises ApiError, OSError."""
    name, given = node["name"], module.params
    if module.check_mode:
        return ["drained"]
    if node["schedulable"]:
        api.call("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"annotations": {MARK: "true"}}, "spec": {"unschedulable": True}}, PATCH)
    command = [BINARY, "kubectl", "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={given['timeout']}s"]
    if given["force"]:
        command.append("--force")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = "\n".join(done.stdout.decode("utf-8", "replace").splitlines()[-12:])
        module.fail_json(
            msg=f"{name} could not be drained in {given['timeout']} s; it stays unschedulable, and nothing else was"
            f" changed. kubectl says:\n{said}\n"
            "What to do: a pod disruption budget that allows no disruption needs one more replica; pods that nothing makes anew are"
            " deleted only"
            " with k3s_drain_force; then run again"
        )
    return ["drained"]


def release(module, api, node):
    """Make a node schedulable that was drained here; return what was done. Raises ApiError, OSError."""
    if not node["cordoned_here"]:
        return []
    if not module.check_mode:
        body = {"metadata": {"annotations": {MARK: None}}, "spec": {"unschedulable": None}}
        api.call("PATCH", f"/api/v1/nodes/{node['name']}", body, PATCH)
    return ["made schedulable"]


def delete(module, api, node):
    """Delete a node with its password; return what was done. Raises ApiError, OSError."""
    name, given = node["name"], module.params
    if module.check_mode:
        return ["deleted"]
    # the node of a machine that has just gone is Ready for about a minute more
    end = time.monotonic() + given["timeout"]
    while node is not None and node["ready"] and not given["force"]:
        if time.monotonic() > end:
            module.fail_json(
                msg=f"{name} is Ready, so a machine of that name is in the cluster and alive: it was not removed. Give the new host another"
                " k3s_node_name, or remove that one with playbooks/cluster_remove.yml"
            )
        time.sleep(3)
        node = api.node(name)
    if node is None:
        return []
    api.call("DELETE", f"/api/v1/nodes/{name}")
    end = time.monotonic() + given["timeout"]
    # K3s removes the etcd member and the password when it sees the node go, which a finalizer of its own may hold up for a moment
    while api.node(name) is not None or (
        api.find(f"{SECRETS}/{name}.node-password.k3s") and time.monotonic() < end - given["timeout"] + 15
    ):
        if time.monotonic() > end:
            module.fail_json(msg=f"{name} is still there {given['timeout']} s after it was deleted; see `kubectl get node {name} -o yaml`")
        time.sleep(1)
    if api.find(f"{SECRETS}/{name}.node-password.k3s"):
        api.call("DELETE", f"{SECRETS}/{name}.node-password.k3s")
    return ["deleted"]


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "schedulable", "absent"], "required": True},
            "force": {"type": "bool", "default": False},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    actions = []
    try:
        api = server_api(given["data_dir"], timeout=30)
        node = api.node(given["name"])
        if node is not None:
            actions = {"drained": drain, "schedulable": release, "absent": delete}[given["state"]](module, api, node)
    except (ApiError, OSError) as error:
        module.fail_json(msg=f"the API server on this host does not answer for {given['name']}: {error}; see `systemctl status k3s` here")
    module.exit_json(changed=bool(actions), actions=actions)


if __name__ == "__main__":
    main()
