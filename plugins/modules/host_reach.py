#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: whether the nodes of a cluster reach each other's ports."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_reach
short_description: See whether hosts reach each other's ports
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - With O(state=listen) it leaves a process behind that listens on the ports that are free, and ends by itself after O(lifetime) seconds.
    With O(state=connect) it connects to those of the other hosts. With O(state=end) it ends the process of its own host.
  - Where another program holds a port already, that one is connected to, with TCP alone.
  - Nothing is written to a file. In check mode nothing listens, and nothing is connected to.
options:
  state:
    description: What to do.
    type: str
    choices: [listen, connect, end]
    required: true
  address:
    description: This host's address. What is listened on, and what decides which ports are this host's to connect to.
    type: str
    required: true
  ports:
    description:
      - With O(state=listen), what to listen on, each with C(name), C(protocol) and C(ports).
      - Of a range the first and the last are taken.
    type: list
    elements: dict
    default: []
  targets:
    description:
      - With O(state=connect), what to connect to, each with C(name) and C(address) of a host, and C(listening).
      - C(listening) is what O(state=listen) returned there.
    type: list
    elements: dict
    default: []
  listening:
    description: With O(state=end), what O(state=listen) returned on this host.
    type: list
    elements: dict
    default: []
  word:
    description: A word that ends the listener. Anybody who knows it can end it early.
    type: str
    required: true
  lifetime:
    description: After how many seconds the listener ends in any case.
    type: int
    default: 180
  timeout:
    description: For how many seconds an answer is waited for.
    type: int
    default: 4
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
- name: Listen on the kubelet's port for a while
  mlops.platform.host_reach:
    state: listen
    address: 127.0.0.1
    ports: [{name: kubelet, protocol: tcp, ports: ["10250"], sources: [192.0.2.1, 192.0.2.2]}]
    word: "{{ reach_word }}"
    lifetime: 5
"""

RETURN = r"""
listening:
  description: With O(state=listen), the ports that can be connected to. C(held) means that another program has it, C(sources) who may come.
  returned: with O(state=listen)
  type: list
  elements: dict
  sample: [{name: kubelet, protocol: tcp, port: 10250, held: false, sources: []}]
blocked:
  description: With O(state=connect), what was not reached, and why.
  returned: with O(state=connect)
  type: list
  elements: dict
  sample: [{to: vm2, address: 192.0.2.2, name: kubelet, protocol: tcp, port: 10250, why: "no answer"}]
reached:
  description: With O(state=connect), the number of ports that were reached.
  returned: with O(state=connect)
  type: int
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import host_reach


def listen(module):
    """Start the listener."""
    given = module.params
    wanted = {}
    for entry in given["ports"]:
        for port in host_reach.expand(entry["ports"]):
            wanted[entry["protocol"], port] = entry
    if module.check_mode:
        module.exit_json(changed=False, listening=[])
    try:
        sockets, held = host_reach.open_sockets(given["address"], list(wanted))
    except OSError as error:
        module.fail_json(msg=f"nothing can listen on {given['address']}: {error.strerror}; set host_address to an address of this host")
    # over UDP a program that holds the port does not answer a stranger
    there = [(*key, False) for key in sockets] + [(*key, True) for key in held if key[0] == "tcp"]
    if sockets:
        host_reach.detach(sockets, given["word"].encode(), given["lifetime"])
    listening = [
        {
            "name": wanted[protocol, port]["name"],
            "protocol": protocol,
            "port": port,
            "held": is_held,
            "sources": wanted[protocol, port].get("sources", []),
        }
        for protocol, port, is_held in there
    ]
    module.exit_json(changed=False, listening=listening)


def connect(module):
    """Try every port of every target, side by side."""
    timeout = module.params["timeout"]
    own = module.params["address"]
    # what is let in from some, and this host is none of them, is not to be reached
    asked = [
        (target, port)
        for target in module.params["targets"]
        for port in target["listening"]
        if not port["sources"] or own in port["sources"]
    ]

    def ask(pair):
        target, port = pair
        if port["protocol"] == "udp":
            return host_reach.try_udp(target["address"], port["port"], timeout)
        return host_reach.try_tcp(target["address"], port["port"], timeout, port["held"])

    if module.check_mode:
        asked = []
    with ThreadPoolExecutor(max_workers=32) as pool:
        answers = list(pool.map(ask, asked))
    blocked = [
        {
            "to": target["name"],
            "address": target["address"],
            "name": port["name"],
            "protocol": port["protocol"],
            "port": port["port"],
            "why": answer,
        }
        for (target, port), answer in zip(asked, answers)
        if answer
    ]
    module.exit_json(changed=False, blocked=blocked, reached=len(asked) - len(blocked))


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["listen", "connect", "end"], "required": True},
            "address": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "dict", "default": []},
            "targets": {"type": "list", "elements": "dict", "default": []},
            "listening": {"type": "list", "elements": "dict", "default": []},
            "word": {"type": "str", "required": True, "no_log": False},
            "lifetime": {"type": "int", "default": 180},
            "timeout": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    if module.params["state"] == "listen":
        listen(module)
    if module.params["state"] == "connect":
        connect(module)
    own = next((entry for entry in module.params["listening"] if not entry["held"]), None)
    if own and not module.check_mode:
        host_reach.end(module.params["address"], own["protocol"], own["port"], module.params["word"].encode(), module.params["timeout"])
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
