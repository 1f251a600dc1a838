#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the host's own name, and those of the others in /etc/hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_names
short_description: The host's name, and the names of the other hosts in C(/etc/hosts)
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Sets the host's name, now and for the next boot, and keeps a block of lines in C(/etc/hosts). What is outside of it is left alone.
options:
  hostname:
    description: The host's name. Empty means to leave it.
    type: str
    default: ""
  hosts:
    description: Lists of names by address. Without any the block is taken away.
    type: dict
    default: {}
  path:
    description: The file with the block.
    type: path
    default: /etc/hosts
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
- name: Let the nodes find each other by name, without a DNS
  mlops.platform.host_names:
    path: "{{ hosts_file }}"
    hosts:
      192.0.2.11: [vm1, vm1.example.org]
      192.0.2.12: [vm2]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["hostname: localhost -> vm1"]
"""

import errno
import ipaddress
import os
import socket
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file

BEGIN = "# BEGIN mlops.platform: the nodes"
END = "# END mlops.platform: the nodes"
HOSTNAME_FILE = "/etc/hostname"


def order(address):
    """Return what addresses are sorted by: version and number."""
    number = ipaddress.ip_address(address)
    return number.version, int(number)


def with_block(text, hosts):
    """Return the text with the block as it should be."""
    lines, inside = [], False
    for line in text.splitlines():
        if line == BEGIN:
            inside = True
        elif line == END and inside:
            inside = False
        elif not inside:
            lines.append(line)
    if hosts:
        lines += [BEGIN, *(f"{address} {' '.join(hosts[address])}" for address in sorted(hosts, key=order)), END]
    return "".join(f"{line}\n" for line in lines)


def write(path, text):
    """Replace a file's content. One that is mounted, as in a container, is written in its place."""
    mode = os.stat(path).st_mode & 0o7777 if os.path.exists(path) else 0o644
    try:
        replace_file(path, text.encode("utf-8"), mode)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        os.unlink(f"{path}.mlops-new")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)


def read(path):
    """Return a file's text, '' where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def set_hostname(name):
    """Give the running system its name. Raises OSError."""
    try:
        # also tells systemd and NetworkManager
        if subprocess.run(["hostnamectl", "set-hostname", name], capture_output=True, check=False).returncode == 0:
            return
    except OSError:
        pass
    socket.sethostname(name)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "default": ""},
            "hosts": {"type": "dict", "default": {}},
            "path": {"type": "path", "default": "/etc/hosts"},
        },
        supports_check_mode=True,
    )
    given = module.params
    name, changes, diff = given["hostname"], [], []
    try:
        hosts = {address: list(names) for address, names in given["hosts"].items()}
        before = read(given["path"])
        after = with_block(before, hosts)
        if after != before:
            changes.append(given["path"])
            diff.append({"before_header": given["path"], "after_header": given["path"], "before": before, "after": after})
            if not module.check_mode:
                write(given["path"], after)
        if name:
            running, kept = socket.gethostname(), read(HOSTNAME_FILE).strip()
            if running != name or kept != name:
                changes.append(f"hostname: {running if running != name else kept or '(unset)'} -> {name}")
                diff.append({"before_header": HOSTNAME_FILE, "after_header": HOSTNAME_FILE, "before": f"{kept}\n", "after": f"{name}\n"})
                if not module.check_mode:
                    if running != name:
                        set_hostname(name)
                    if read(HOSTNAME_FILE).strip() != name:
                        write(HOSTNAME_FILE, f"{name}\n")
    except ValueError as error:
        module.fail_json(msg=f"hosts: {error}", changes=[])
    except OSError as error:
        module.fail_json(msg=f"cannot set the names: {error}", changes=changes)
    result = {"changed": bool(changes), "changes": changes}
    if module._diff:
        result["diff"] = diff
    module.exit_json(**result)


if __name__ == "__main__":
    main()
