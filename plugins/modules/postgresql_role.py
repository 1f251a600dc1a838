#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or remove a PostgreSQL role."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_role
short_description: Create, change or remove a PostgreSQL role
version_added: 0.1.0
description:
  - Creates, changes or removes one role (user or group) of a PostgreSQL server.
  - An option that is not set leaves that property of an existing role as it is, and gives a new role the server's default.
  - The state is read with one statement; all changes are made in one transaction.
  - Runs that create the same role at the same time do not fail each other.
author:
  - The mlops.platform maintainers (@mlops-platform)
options:
  name:
    description:
      - Name of the role.
    type: str
    required: true
  state:
    description:
      - V(present) creates the role or changes what differs.
      - V(absent) removes it. The server refuses that while the role owns anything or has been granted anything.
    type: str
    choices: [present, absent]
    default: present
  password:
    description:
      - Password of the role, or a whole SCRAM-SHA-256 verifier (C(SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey)).
      - It is held against the stored verifier. A role that has the password already is unchanged, whatever the verifier's salt and
        iterations; one with an MD5 hash gets a SCRAM-SHA-256 verifier.
      - It never leaves the host that runs the module. The verifier is computed there, with the server's C(scram_iterations) (PostgreSQL 16
        and later, else 4096), and RETV(queries) masks it.
      - Where C(pg_authid) cannot be read, as on managed servers, the module tries to log in to O(login_db) as the role. If that works
        with the password, the role is unchanged; if the server calls the password wrong, it is set; if it proves nothing (a role that may
        not log in, a server that asks for no password, a verifier instead of a password), it is set on every run, with a warning.
      - An empty password and an MD5 hash are refused.
    type: str
  login:
    description: Whether the role may log in.
    type: bool
  superuser:
    description: Whether the role is a superuser.
    type: bool
  createdb:
    description: Whether the role may create databases.
    type: bool
  createrole:
    description: Whether the role may create roles.
    type: bool
  inherit:
    description: Whether the role has the privileges of the roles that it is a member of without C(SET ROLE).
    type: bool
  replication:
    description: Whether the role may start replication.
    type: bool
  bypassrls:
    description: Whether row-level security does not apply to the role.
    type: bool
  connection_limit:
    description: Number of connections that the role may have at once, or V(-1) for no limit.
    type: int
  valid_until:
    description:
      - Time after which the password is no longer accepted, as PostgreSQL writes times, or V(infinity).
      - It is compared as an instant. Name the time zone, or the server's is meant. A role that never had a limit counts as V(infinity).
    type: str
  member_of:
    description:
      - Roles that this role is a member of.
      - Further memberships stay unless O(member_of_purge=true).
    type: list
    elements: str
  member_of_options:
    description:
      - Options of every membership of O(member_of). One that is not set stays as it is.
    type: dict
    suboptions:
      admin:
        description: Whether the role may grant the membership to others.
        type: bool
      inherit:
        description: Whether the role has the other's privileges without C(SET ROLE). PostgreSQL 16 and later.
        type: bool
      set:
        description: Whether the role may C(SET ROLE) to the other. Before PostgreSQL 16 every member may, so that only V(true) is accepted.
        type: bool
  member_of_purge:
    description:
      - Whether memberships that O(member_of) does not list are revoked, whoever granted them. Without O(member_of) it has no effect.
    type: bool
    default: false
  settings:
    description:
      - Parameters that a session of the role starts with (C(ALTER ROLE ... SET)), each with its value; V(null) removes one.
      - Parameters that are not named stay. Lists are written as lists (C(search_path)); true and false are C(on) and C(off).
      - The value is compared as it was written, so write V(64MB) always the same way.
    type: dict
  comment:
    description: Comment on the role. An empty one removes it.
    type: str
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.postgresql
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Of a password the diff says only that it changes.
  idempotent:
    support: full
    details: But for a password that cannot be verified; see O(password).
seealso:
  - module: mlops.platform.postgresql_database
"""

EXAMPLES = r"""
- name: A role to grant to others, with the connection given in full
  mlops.platform.postgresql_role:
    login_host: "{{ postgresql_login_host }}"
    login_port: "{{ postgresql_login_port }}"
    login_user: "{{ postgresql_login_user }}"
    login_password: "{{ postgresql_login_password }}"
    login_db: postgres
    name: example_readers

- name: Roles of one server, with the connection given once
  module_defaults:
    group/mlops.platform.postgresql:
      login_host: "{{ postgresql_login_host }}"
      login_port: "{{ postgresql_login_port }}"
      login_user: "{{ postgresql_login_user }}"
      login_password: "{{ postgresql_login_password }}"
  block:
    - name: The role that an application logs in as
      mlops.platform.postgresql_role:
        name: example_app
        password: "{{ example_app_password }}"
        login: true

    - name: An analyst's role, with everything said
      mlops.platform.postgresql_role:
        name: example_analyst
        state: present
        password: "{{ example_analyst_password }}"
        login: true
        superuser: false
        createdb: false
        createrole: false
        inherit: true
        replication: false
        bypassrls: false
        connection_limit: 5
        valid_until: "2100-01-01 00:00:00+00"
        member_of: [example_readers]
        member_of_options:
          admin: false
        member_of_purge: true
        settings:
          statement_timeout: 5min
          search_path: [analytics, public]
        comment: Reads what the application writes

    - name: No comment, no member of anything, and the server's own time-out
      mlops.platform.postgresql_role:
        name: example_analyst
        member_of: []
        member_of_purge: true
        settings:
          statement_timeout:
        comment: ""

    - name: Remove the roles
      mlops.platform.postgresql_role:
        name: "{{ item }}"
        state: absent
      loop: [example_analyst, example_app, example_readers]
"""

RETURN = r"""
queries:
  description:
    - The statements that changed the role, or would have in check mode, in order. A password's verifier is masked.
  returned: always
  type: list
  elements: str
  sample:
    - CREATE ROLE "example_app" LOGIN PASSWORD '********'
    - GRANT "example_readers" TO "example_app"
"""

from ansible_collections.mlops.platform.plugins.module_utils import postgresql, postgresql_role  # noqa: E402


def main():
    """Run the module."""
    flag = {"type": "bool"}
    postgresql.run(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "password": {"type": "str", "no_log": True},
            "login": flag,
            "superuser": flag,
            "createdb": flag,
            "createrole": flag,
            "inherit": flag,
            "replication": flag,
            "bypassrls": flag,
            "connection_limit": {"type": "int"},
            "valid_until": {"type": "str"},
            "member_of": {"type": "list", "elements": "str"},
            "member_of_options": {"type": "dict", "options": {"admin": flag, "inherit": flag, "set": flag}},
            "member_of_purge": {"type": "bool", "default": False},
            "settings": {"type": "dict"},
            "comment": {"type": "str"},
        },
        postgresql_role.ensure,
    )


if __name__ == "__main__":
    main()
