#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the processes that work below a directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_processes
short_description: List the processes that work below a directory, or wait until there are none
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Lists the processes whose working directory lies in O(directory). Every service of an installation has its own there, so these are the
    processes of the installation, whatever started them.
  - It ends no process and changes nothing.
options:
  directory:
    description: The directory.
    type: path
    required: true
  state:
    description: V(present) only lists. V(absent) waits until there is none, and fails when there still is one after O(wait_timeout).
    type: str
    choices: [present, absent]
    default: present
  wait_timeout:
    description: Seconds to wait with O(state=absent).
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: In check mode O(state=absent) does not wait.
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: List the processes of an installation
  mlops.platform.host_processes:
    directory: /var/lib/mlops
  register: running

- name: Wait until all of them have ended
  mlops.platform.host_processes:
    directory: /var/lib/mlops
    state: absent
    wait_timeout: 120
"""

RETURN = r"""
processes:
  description: The processes, by their ids. Those of other users are seen by root alone.
  returned: always
  type: list
  elements: dict
  contains:
    pid:
      description: The process id.
      type: int
      sample: 4711
    name:
      description: The program's short name.
      type: str
      sample: postgres
    cwd:
      description: The working directory.
      type: str
      sample: /var/lib/mlops/postgresql/18
    summary:
      description: All of it in one line.
      type: str
      sample: postgres (process 4711) in /var/lib/mlops/postgresql/18
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import host_ports

# seconds between two looks at /proc
POLL = 0.2


def below(directory, proc="/proc"):
    """Return the processes whose working directory is `directory` or below it, as dicts pid, name, cwd and summary."""
    found = []
    for pid in sorted(int(entry) for entry in os.listdir(proc) if entry.isdigit()):
        about = host_ports.describe(pid, proc)
        if about["cwd"] and (about["cwd"] + "/").startswith(directory.rstrip("/") + "/"):
            about["summary"] = f"{about['name']} (process {pid}) in {about['cwd']}"
            found.append(about)
    return found


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    directory = os.path.realpath(module.params["directory"])
    wait = module.params["state"] == "absent" and not module.check_mode
    deadline = time.monotonic() + module.params["wait_timeout"]
    processes = below(directory)
    while wait and processes:
        if time.monotonic() > deadline:
            still = ", ".join(process["summary"] for process in processes)
            module.fail_json(
                msg=f"still running after {module.params['wait_timeout']} s: {still}. Look into their logs, or end them by hand.",
                processes=processes,
            )
        time.sleep(POLL)
        processes = below(directory)
    module.exit_json(changed=False, processes=processes)


if __name__ == "__main__":
    main()
