#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: everything that can keep the platform from running on a host, found before anything is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_preflight
short_description: Check a host before the platform is installed on it
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks for everything that would stop an installation half-way - a port in use, a full disk, a directory that is not ours, no usable
    Python - and returns all of it at once, each problem with its remedy. It changes nothing.
  - Also returns what the later steps need to know about the host, so that they do not each ask for it.
options:
  data_dir:
    description:
      - The directory that will hold the installation.
      - Unset means V(/var/lib/mlops) for root, and C(mlops) below C($XDG_DATA_HOME) or V(~/.local/share) for another user.
    type: path
  service_user:
    description: The account that the services run under when the module runs as root. It need not exist yet.
    type: str
    default: mlops
  service_manager:
    description:
      - V(auto) takes V(systemd) where the module runs as root on a host that systemd has booted, else V(supervisor).
    type: str
    choices: [auto, systemd, supervisor]
    default: auto
  python:
    description: The only interpreter to consider for the services. Unset means to look for one that the service user can execute.
    type: path
  ports:
    description: The TCP ports that the services will listen on.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The variable that sets the port, named in the remedy.
        type: str
        required: true
      address:
        description: The address that will be bound.
        type: str
        required: true
      port:
        description: The port.
        type: int
        required: true
  addresses:
    description: Addresses that must be this host's, by the name of the variable that sets each.
    type: dict
    default: {}
  install_mb:
    description: MiB of free space that a first installation takes.
    type: int
    default: 3072
  reserve_mb:
    description: MiB of free space that must remain, so that the object store accepts writes.
    type: int
    default: 5120
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
- name: Find what would stop an installation
  mlops.platform.host_preflight:
    data_dir: /srv/mlops
    ports:
      - {name: mlops_https_port, address: 127.0.0.1, port: 8443}
  register: host

- name: Stop with all of it at once
  ansible.builtin.assert:
    that: host.problems | length == 0
    fail_msg: "{{ host.problems | map(attribute='what') | list }}"
"""

RETURN = r"""
problems:
  description: What stands in the way.
  returned: always
  type: list
  elements: dict
  contains:
    what:
      description: The problem, with the value that causes it.
      type: str
      sample: port 8443 on 127.0.0.1 is in use by nginx (process 812, user root)
    remedy:
      description: What to do about it.
      type: str
      sample: stop it or set mlops_https_port to a free port
host:
  description: What the later steps need to know.
  returned: always
  type: dict
  contains:
    root:
      description: Whether the module ran as root.
      type: bool
    user:
      description: The account that the services run under.
      type: str
    uid:
      description: That account's user id, null while the account does not exist.
      type: int
    data_dir:
      description: The data directory, with its default filled in.
      type: str
    data_dir_state:
      description: One of V(missing), V(empty), V(ours) and V(foreign).
      type: str
    service_manager:
      description: V(systemd) or V(supervisor).
      type: str
    python:
      description: The interpreter for the services, null when one must be installed first.
      type: str
    python_version:
      description: Its version as MAJOR.MINOR, null when one must be installed first.
      type: str
    python_complete:
      description: Whether it can make virtual environments with pip in them.
      type: bool
    environments:
      description: Names of the virtual environments below C(runtime) in the data directory that were installed to their end.
      type: list
      elements: str
      sample: [mlflow-py3.11-0123456789ab]
    mlflow:
      description: The C(environment) and the C(version) that MLflow's services are configured with, null where there are none.
      type: dict
      sample: {"environment": "mlflow-py3.11-0123456789ab", "version": "3.17.2"}
    object_store:
      description: The version of the SeaweedFS that the object store's service is configured with, empty where there is none.
      type: str
      sample: "4.48"
    upgrade:
      description: The journal of the last upgrade, as M(mlops.platform.host_upgrade) keeps it, empty where there was none.
      type: dict
    upgrade_pending:
      description: Whether that upgrade is half-way.
      type: bool
    upgrade_holder:
      description: The run that upgrades, or that was killed while it did, empty where there is none.
      type: dict
    clients_seen:
      description: Versions of MLflow's client that its server has answered, each with the seconds since 1970 at which it last did.
      type: dict
      sample: {"3.16.0": 1796056800}
    cpus:
      description: Processors that this host has.
      type: int
    memory_mb:
      description: Memory of this host in MiB.
      type: int
"""

import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import (
    clients_seen,
    host_checks,
    mlflow_installed,
    object_store_installed,
    upgrade_journal,
)


def default_data_dir(root):
    """Return the data directory of a user who has not chosen one."""
    if root:
        return "/var/lib/mlops"
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".local", "share")
    return os.path.join(base, "mlops")


def service_account(root, name):
    """Return (user, uid, account): account is the pwd entry to test access with, None for the user who runs this."""
    if not root:
        entry = pwd.getpwuid(os.geteuid())
        return entry.pw_name, entry.pw_uid, None
    try:
        entry = pwd.getpwnam(name)
        return name, entry.pw_uid, entry
    except KeyError:
        # not created yet: nobody is as much a stranger to every private directory
        return name, None, pwd.getpwnam("nobody")


def last_upgrade(data_dir, problems):
    """Return (the journal of the last upgrade, which run upgrades); what cannot be read is added to `problems`."""
    try:
        return upgrade_journal.read(data_dir) or {}, upgrade_journal.read(data_dir, "holder.json") or {}
    except ValueError as error:
        remedy = "mend the file, or remove it if no upgrade is half-way"
        problems.append((f"the journal of the last upgrade cannot be read: {error}", remedy))
        return {}, {}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path"},
            "service_user": {"type": "str", "default": "mlops"},
            "service_manager": {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"},
            "python": {"type": "path"},
            "ports": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                },
            },
            "addresses": {"type": "dict", "default": {}},
            "install_mb": {"type": "int", "default": 3072},
            "reserve_mb": {"type": "int", "default": 5120},
        },
        supports_check_mode=True,
    )
    given = module.params
    root = os.geteuid() == 0
    data_dir = (given["data_dir"] or default_data_dir(root)).rstrip("/") or "/"
    state, unused = host_checks.data_directory_state(data_dir)
    # sd_booted(3): the directory exists exactly where systemd is the init system
    booted = os.path.isdir("/run/systemd/system")
    manager = given["service_manager"]
    problems = []
    if manager == "auto":
        manager = "systemd" if root and booted else "supervisor"
    elif manager == "systemd" and not (root and booted):
        problems.append(
            (
                "mlops_service_manager is systemd, and " + ("systemd did not boot this host" if root else "this user is not root"),
                "set mlops_service_manager to supervisor or auto" + ("" if root else ", or run as root"),
            )
        )
    problems += host_checks.check_programs()
    if manager == "systemd":
        problems += host_checks.check_units(data_dir)
    problems += host_checks.check_manager(manager, data_dir, booted)
    user, uid, account = service_account(root, given["service_user"])
    if root and uid == 0:
        problems.append(("mlops_service_user is root, and PostgreSQL refuses to run as root", "name another account; it is created"))
    python, found = None, []
    if not problems:
        python, found = host_checks.check_python(given["python"], account, root)
    problems += found
    problems += host_checks.check_data_directory(data_dir, uid, account)
    if data_dir.startswith("/"):
        need = given["reserve_mb"] + (0 if state == "ours" else given["install_mb"])
        problems += host_checks.check_space(data_dir, need)
    problems += host_checks.check_addresses(given["addresses"])
    problems += host_checks.check_ports(given["ports"], data_dir)
    upgrade, holder = last_upgrade(data_dir, problems)
    module.exit_json(
        changed=False,
        problems=[{"what": what, "remedy": remedy} for what, remedy in problems],
        host={
            "root": root,
            "user": user,
            "uid": uid,
            "data_dir": data_dir,
            "data_dir_state": state,
            "service_manager": manager,
            "python": python["path"] if python else None,
            "python_version": ".".join(map(str, python["version"])) if python else None,
            "python_complete": bool(python and python["venv"]),
            "environments": host_checks.complete_environments(data_dir),
            "mlflow": mlflow_installed.installed(data_dir),
            "object_store": object_store_installed.version(data_dir),
            "upgrade": upgrade,
            "upgrade_pending": upgrade.get("state") in upgrade_journal.PENDING,
            "upgrade_holder": holder,
            "clients_seen": clients_seen.read(data_dir),
            "cpus": os.cpu_count() or 1,
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        },
    )


if __name__ == "__main__":
    main()
