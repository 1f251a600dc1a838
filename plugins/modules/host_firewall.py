#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what a host lets in, with firewalld, ufw or nftables."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_firewall
short_description: Let in what a cluster needs and no more, with firewalld, ufw or nftables
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Brings the host's firewall to a whole set of rules in one call, switches it on, and on again at the next boot. What is no longer in the
    set is closed.
  - Rules that others made stay. With firewalld they are policies of their own, with ufw rules with a comment, with nftables a table.
  - The ports in O(ssh_ports) are always open, and opened first.
options:
  backend:
    description: The firewall.
    type: str
    choices: [firewalld, ufw, nftables]
    required: true
  state:
    description:
      - V(disabled) takes the rules away and switches firewalld or ufw off for good. Tables of others in nftables stay.
      - V(absent) takes the rules away, and switches the firewall off only where it was off before the first run.
    type: str
    choices: [configured, disabled, absent]
    default: configured
  rules:
    description: What is let in.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name, for comments.
        type: str
        required: true
      protocol:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        required: true
      ports:
        description: Ports, and ranges such as V(2379-2380).
        type: list
        elements: str
        required: true
      sources:
        description: Addresses and networks. Empty means anybody.
        type: list
        elements: str
        default: []
  trusted:
    description: Networks from which everything is let in and through, such as that of the pods.
    type: list
    elements: str
    default: []
  ssh_ports:
    description: Ports of ssh, open to anybody.
    type: list
    elements: int
    default: [22]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Let nodes of a cluster reach the kubelet, and anybody a web server
  mlops.platform.host_firewall:
    backend: nftables
    rules:
      - {name: kubelet, protocol: tcp, ports: ["10250"], sources: [192.0.2.1, 192.0.2.2]}
      - {name: web, protocol: tcp, ports: ["80", "443"]}
    trusted: [10.44.0.0/16, 10.45.0.0/16]
"""

RETURN = r"""
changed_paths:
  description: Files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/nftables.d/mlops-host.nft]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import (
    host_firewall,
    host_firewall_firewalld,
    host_firewall_nftables,
    host_firewall_ufw,
)

BACKENDS = {"firewalld": host_firewall_firewalld, "ufw": host_firewall_ufw, "nftables": host_firewall_nftables}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "choices": list(BACKENDS), "required": True},
            "state": {"type": "str", "choices": ["configured", "disabled", "absent"], "default": "configured"},
            "rules": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "protocol": {"type": "str", "choices": ["tcp", "udp"], "required": True},
                    "ports": {"type": "list", "elements": "str", "required": True},
                    "sources": {"type": "list", "elements": "str", "default": []},
                },
            },
            "trusted": {"type": "list", "elements": "str", "default": []},
            "ssh_ports": {"type": "list", "elements": "int", "default": [22]},
        },
        supports_check_mode=True,
    )
    given = module.params
    wrong = host_firewall.problems(given["rules"], given["trusted"], given["ssh_ports"])
    if wrong:
        module.fail_json(msg="nothing was changed: " + "; ".join(wrong))
    files = host_firewall.Files(module.check_mode)
    backend = BACKENDS[given["backend"]]
    try:
        if given["state"] == "configured":
            # the new one is there before the old one goes
            more = backend.configure(files, given["rules"], given["trusted"], given["ssh_ports"])
            for other in BACKENDS.values():
                more = (other is not backend and other.forget(files)) or more
        elif given["state"] == "disabled":
            more = backend.disable(files)
        else:
            more = backend.remove(files)
            files.keep(host_firewall.RECORD, None)
    except (host_firewall.FirewallError, OSError) as error:
        module.fail_json(msg=f"the firewall {given['backend']} cannot be brought to its state: {error}", changed_paths=files.changed)
    result = {"changed": bool(files.changed) or more, "changed_paths": files.changed}
    if module._diff:
        result["diff"] = files.diff or ([{"before": "not as it should run\n", "after": "runs, and at the next boot\n"}] if more else [])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
