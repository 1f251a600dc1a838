# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup: which run of Ansible this is, or whether another one still lives."""

from __future__ import annotations

DOCUMENTATION = r"""
name: controller_run
short_description: Which run of Ansible this is, and whether another one lives
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Without terms, returns what tells this run of Ansible from every other one - its process, and the machine, or container, that it is a
    process of.
  - With the description of another run, returns whether it is known to have ended. Of a run on another machine nobody knows.
options:
  _terms:
    description: Descriptions of other runs, as this lookup has returned them.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Say who runs this
  ansible.builtin.debug:
    msg: "{{ lookup('mlops.platform.controller_run') }}"
    # => {"host": "laptop", "machine": "2c0c...-4026531836", "pid": 4711, "started": "881203", "user": "alice"}
"""

RETURN = r"""
_raw:
  description: This run's C(host), C(user), C(machine), C(pid) and C(started), or for each term whether that run has ended.
  type: list
  elements: raw
"""

import getpass  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402

from ansible.plugins.lookup import LookupBase  # noqa: E402


def machine():
    """Return what names this machine since its last boot, or this container of it: process ids mean something only there."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        boot = stream.read().strip()
    return f"{boot}-{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"


def process(pid):
    """Return (parent's id, start in the kernel's ticks, the command), None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # the name, in parentheses, may hold blanks
            fields = stream.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            return int(fields[1]), fields[19], stream.read()
    except (OSError, IndexError, ValueError):
        return None


def own():
    """Return the process id of the Ansible that has started the process that this is in.

    Its workers are forks, with its own command; what has started Ansible, such as a program that runs many playbooks, has another one.
    """
    pid = os.getpid()
    about = process(pid)
    while (above := process(about[0])) and above[2] == about[2]:
        pid, about = about[0], above
    return pid


def here():
    """Return the description of this run."""
    pid = own()
    return {"host": socket.gethostname(), "user": getpass.getuser(), "machine": machine(), "pid": pid, "started": process(pid)[1]}


def ended(run):
    """Return whether another run is known to have ended."""
    if run.get("machine") != machine():
        return False
    about = process(run.get("pid"))
    return about is None or about[1] != run.get("started")


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """Return this run's description, or for each of `terms` whether that run has ended."""
        return [ended(term) for term in terms] if terms else [here()]
