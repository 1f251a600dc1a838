#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: K3s runs with the files that are there, and no two servers restart together."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_service
short_description: Start or restart K3s where that is needed, and wait until it is healthy
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Starts K3s where it does not run, and restarts it where it was started with other files than those that are there now. The unit notes at
    each start what it was started with, so a run that was killed between a change and the restart is made good by the next one.
  - A healthy server is restarted only while all other servers of the cluster are healthy and it is its turn, which a Lease in
    C(kube-system) says. This holds however many hosts the module runs on at a time.
  - Waits until the node is Ready with the version that is installed, and the API of a server with its etcd too. When that does not
    happen it
    fails with what the journal says, and with what to do.
options:
  role:
    description: What the host is.
    type: str
    choices: [server, agent]
    required: true
  node_name:
    description: The name of the node.
    type: str
    required: true
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  files:
    description: The files that K3s is started with, in the order in which the unit notes them.
    type: list
    elements: path
    default: []
  version:
    description: The version that the node must report. Unset means that any will do.
    type: str
  peers:
    description: The other servers that hold data of the cluster.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the node.
        type: str
        required: true
      address:
        description: Its address.
        type: str
        required: true
  pending:
    description: Whether check mode must assume changed files.
    type: bool
    default: false
  timeout:
    description: Seconds that the start may take.
    type: int
    default: 300
  patience:
    description: Seconds to wait for the health of the other servers.
    type: int
    default: 120
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
- name: Run the server with its configuration
  mlops.platform.k3s_service:
    role: server
    node_name: vm1
    files: [/usr/local/bin/k3s, /etc/rancher/k3s/config.yaml]
    peers:
      - {name: vm2, address: 192.0.2.12}
      - {name: vm3, address: 192.0.2.13}
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [restarted]
reasons:
  description: The paths that differed from those of the last start.
  returned: always
  type: list
  elements: str
  sample: [/etc/rancher/k3s/config.yaml]
ca_hash:
  description: The hash of the cluster's authority, as it stands in a token; empty on an agent.
  returned: success
  type: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.mlops.platform.plugins.module_utils import k3s_files, k3s_guard, k3s_journal, k3s_lock, k3s_service
from ansible_collections.mlops.platform.plugins.module_utils.k3s_api import ApiError, agent_api, server_api

# so often a cause that waiting does not mend must be in the journal
REPEATED = 3
KUBELET = "http://127.0.0.1:10248/healthz"


def not_ready(given, unit, former):
    """Return why the service is not what it should be, or an empty text. `former` is the process that must be gone. Raises Failed."""
    state = k3s_service.state(unit)
    if former and state["MainPID"] == former:
        return f"{unit} still has the process {former}, which must end"
    if state["ActiveState"] != "active":
        return f"{unit} is {state['ActiveState']} ({state['SubState']})"
    try:
        server = given["role"] == "server"
        api = server_api(given["data_dir"]) if server else agent_api(given["data_dir"])
        trouble = api.trouble() if server else ""
        if trouble:
            return f"the API server is not ready: {trouble}"
        # the node's own report is minutes old when its kubelet does not run
        open_url(KUBELET, timeout=5, use_proxy=False).close()
        node = api.node(given["node_name"])
    except FileNotFoundError:
        return "it has no certificates yet, with which a node joins its cluster"
    except (ApiError, OSError) as error:
        return f"the API does not answer: {error}"
    if node is None:
        return f"there is no node {given['node_name']} yet"
    if not node["ready"]:
        return f"the node is not Ready: {node['reason']}"
    if given["version"] and node["version"] != given["version"]:
        return f"the node reports {node['version']} and not {given['version']} yet"
    if not node["voter"]:
        return "the server's etcd member does not vote yet"
    return ""


def explanation(given, unit, since, why):
    """Return the message of a failure."""
    lines = k3s_journal.read(unit, since)
    found = k3s_journal.cause(lines)
    said = "\n".join(f"  {line}" for line in k3s_journal.telling(lines)) or "  nothing"
    remedy = found[1] if found else f"look at `journalctl -u {unit}` on the host, put the cause right, and run again"
    return f"K3s on {given['node_name']}: {why}.\nIts journal says:\n{said}\nWhat to do: {remedy}"


def hopeless(unit, since):
    """Return whether the journal says often enough what no waiting mends."""
    lines = k3s_journal.read(unit, since)
    found = k3s_journal.cause(lines)
    if not found:
        return False
    return sum(found[0][:60] in k3s_journal.clean(line.replace('\\"', '"')) for line in lines) >= REPEATED


def wait(module, unit, since, former):
    """Wait until the service is healthy; fail the module where it does not become so."""
    given = module.params
    end = time.monotonic() + given["timeout"]
    look_at = time.monotonic() + 10
    why = not_ready(given, unit, former)
    while why:
        if time.monotonic() > end:
            module.fail_json(msg=explanation(given, unit, since, f"not healthy after {given['timeout']} s, {why}"), actions=[], reasons=[])
        if time.monotonic() > look_at:
            if hopeless(unit, since):
                module.fail_json(msg=explanation(given, unit, since, why), actions=[], reasons=[])
            look_at = time.monotonic() + 5
        time.sleep(1)
        why = not_ready(given, unit, former)


def needed(given, unit):
    """Return (actions, reasons): what must be done to the unit. Raises k3s_service.Failed."""
    state = k3s_service.state(unit)
    actions, reasons = [], []
    if state["LoadState"] == "loaded" and state["UnitFileState"] != "enabled":
        actions.append("enabled")
    elif state["LoadState"] != "loaded":
        # in check mode, or written a moment ago
        actions.append("enabled")
    if state["ActiveState"] not in ("active", "activating", "reloading") or state["SubState"] == "auto-restart":
        # one that fails again and again takes the files of now at its next try, which may be far away
        actions.append("started")
    else:
        reasons = k3s_service.outdated(given["files"], os.path.join(given["data_dir"], "agent", "images"))
        if reasons or state["NeedDaemonReload"] == "yes" or (given["pending"]):
            actions.append("restarted")
    return actions, reasons


def turn(module, duration):
    """Wait for the turn of a server that must restart; return whether one was taken. Fails the module."""
    given = module.params
    try:
        return k3s_guard.wait_for_turn(given["data_dir"], given["node_name"], given["peers"], given["patience"], duration)
    except k3s_guard.Refused as error:
        module.fail_json(
            msg=f"{given['node_name']} was not restarted, because another server is not healthy, and the cluster could lose its"
            f" quorum. {error}."
            " What to do: bring that server back (`systemctl status k3s` there), or remove it with playbooks/cluster_remove.yml; then"
            " run again",
            actions=[],
            reasons=[],
        )
    return False


def give_back(given):
    """End the turn of this server. One that cannot be ended now ends by itself."""
    for _attempt in range(5):
        try:
            k3s_guard.give_back(server_api(given["data_dir"]), given["node_name"])
            return
        except (ApiError, OSError):
            time.sleep(2)


def run(module):
    """Do what is needed, or find it in check mode, and return (actions, reasons). Raises k3s_service.Failed."""
    unit = "k3s.service" if module.params["role"] == "server" else "k3s-agent.service"
    if module.check_mode:
        return needed(module.params, unit)
    with k3s_lock.alone():
        # what the service was started with tells more than that files were changed: it may have been restarted since
        return act(module, unit, *needed({**module.params, "pending": False}, unit))


def act(module, unit, actions, reasons):
    """Do what is needed and return it. Raises k3s_service.Failed."""
    given = module.params
    since = time.time()
    server = given["role"] == "server"
    taken = server and "restarted" in actions and turn(module, given["timeout"] + 60)
    if "enabled" in actions or k3s_service.state(unit)["NeedDaemonReload"] == "yes":
        k3s_service.systemctl("daemon-reload")
    if "enabled" in actions:
        k3s_service.systemctl("enable", unit)
    former = None
    if {"started", "restarted"} & set(actions):
        process = k3s_service.state(unit)["MainPID"]
        former = None if process == "0" else process
        # a unit whose start never ends would hold systemctl for ever
        k3s_service.systemctl("restart", "--no-block", unit)
    wait(module, unit, since if actions else since - given["timeout"], former)
    # also a turn that a run which was killed has left
    if taken or (server and given["peers"]):
        give_back(given)
    return actions, reasons


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "role": {"type": "str", "choices": ["server", "agent"], "required": True},
            "node_name": {"type": "str", "required": True},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "files": {"type": "list", "elements": "path", "default": []},
            "version": {"type": "str"},
            "peers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": {"type": "str", "required": True}, "address": {"type": "str", "required": True}},
            },
            "pending": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 300},
            "patience": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        actions, reasons = run(module)
    except (k3s_service.Failed, ApiError, OSError) as error:
        module.fail_json(msg=str(error), actions=[], reasons=[])
    module.exit_json(changed=bool(actions), actions=actions, reasons=reasons, ca_hash=k3s_files.token(module.params["data_dir"])["hash"])


if __name__ == "__main__":
    main()
