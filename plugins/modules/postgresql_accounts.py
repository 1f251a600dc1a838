#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The accounts of some components, and the databases that each owns, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_accounts
short_description: Accounts of components, and the databases that they own
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Makes one account for each component, which may log in and nothing else, and the databases that it owns, which are closed to everybody
    else.
  - This is what M(mlops.platform.postgresql_role) does for each account, and M(mlops.platform.postgresql_database) for each database with
    the encoding UTF8 and O(mlops.platform.postgresql_database#module:lock_public=true), in one call.
options:
  accounts:
    description: The accounts by name, each with the list of the databases that it owns.
    type: dict
    required: true
  passwords:
    description: The accounts' passwords by name.
    type: dict
    required: true
  join:
    description:
      - Makes O(login_user) a member of each account. Who is no superuser makes databases only for roles that it belongs to.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.postgresql
  - mlops.platform.attributes
seealso:
  - module: mlops.platform.postgresql_role
  - module: mlops.platform.postgresql_database
"""

EXAMPLES = r"""
- name: Accounts of one server, with the connection given once
  module_defaults:
    group/mlops.platform.postgresql:
      login_host: "{{ postgresql_login_host }}"
      login_port: "{{ postgresql_login_port }}"
      login_user: "{{ postgresql_login_user }}"
      login_password: "{{ postgresql_login_password }}"
  block:
    - name: An account with two databases, and one with none
      mlops.platform.postgresql_accounts:
        accounts:
          example_component: [example_rows, example_users]
          example_watcher: []
        passwords:
          example_component: "{{ example_app_password }}"
          example_watcher: "{{ example_analyst_password }}"

    - name: Remove the databases
      mlops.platform.postgresql_database:
        name: "{{ item }}"
        state: absent
      loop: [example_rows, example_users]

    - name: Remove the accounts
      mlops.platform.postgresql_role:
        name: "{{ item }}"
        state: absent
      loop: [example_component, example_watcher]
"""

RETURN = r"""
queries:
  description: The statements that changed something, or would have in check mode, in order. A password's verifier is masked.
  returned: always
  type: list
  elements: str
  sample:
    - CREATE ROLE "example_component" LOGIN PASSWORD '********'
    - CREATE DATABASE "example_rows" OWNER "example_component" ENCODING 'UTF8' TEMPLATE "template0"
"""

from ansible_collections.mlops.platform.plugins.module_utils import (  # noqa: E402
    postgresql,
    postgresql_database,
    postgresql_role,
)

NOTHING_ELSE = dict.fromkeys(("superuser", "createdb", "createrole", "replication", "bypassrls"), False)


class Options(dict):
    """The options of one of the other modules; those that are not there are unset."""

    def __missing__(self, _option):
        """Give None, which is what an unset option has."""


class Part:
    """Stands for the AnsibleModule of one of the other modules, with options of its own."""

    def __init__(self, module, options):
        """Take the connection, check mode and warnings of `module`."""
        connection = {option: module.params[option] for option in postgresql.connection_argument_spec()}
        self.params = Options({**connection, "state": "present", **options})
        self.check_mode, self.warn = module.check_mode, module.warn


def parts(params):
    """Return (ensure, options) for each call that is to be made, in order. Raises PostgresqlError."""
    accounts, found = params["accounts"], []
    for name, databases in accounts.items():
        if not isinstance(databases, list) or not all(isinstance(database, str) for database in databases):
            raise postgresql.PostgresqlError(f"accounts: {name} needs the list of its databases' names.")
        if not params["passwords"].get(name):
            raise postgresql.PostgresqlError(f"passwords: there is none of {name}.")
        found.append((postgresql_role.ensure, {"name": name, "password": params["passwords"][name], "login": True, **NOTHING_ELSE}))
    if params["join"]:
        member = {"name": params["login_user"], "member_of": list(accounts), "member_of_options": {"set": True}}
        found.append((postgresql_role.ensure, member))
    for name, databases in accounts.items():
        options = {"owner": name, "encoding": "UTF8", "template": "template0", "lock_public": True}
        found += [(postgresql_database.ensure, {"name": database, **options}) for database in databases]
    return found


def ensure(module):
    """Make accounts and databases what the module's parameters say; return the module's result. Raises PostgresqlError."""
    result = {"changed": False, "queries": [], "diff": []}
    for one, options in parts(module.params):
        try:
            done = one(Part(module, options))
        except postgresql.PostgresqlError as error:
            error.queries = result["queries"] + error.queries
            raise
        result["changed"] |= done["changed"]
        result["queries"] += done["queries"]
        result["diff"].append(done["diff"])
    return result


def main():
    """Run the module."""
    postgresql.run(
        {
            "accounts": {"type": "dict", "required": True},
            "passwords": {"type": "dict", "required": True, "no_log": True},
            "join": {"type": "bool", "default": False},
        },
        ensure,
    )


if __name__ == "__main__":
    main()
