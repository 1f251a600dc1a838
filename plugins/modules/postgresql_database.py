#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or remove a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_database
short_description: Create, change or remove a PostgreSQL database
version_added: 0.1.0
description:
  - Creates, changes or removes one database of a PostgreSQL server, with its extensions and privileges.
  - An option that is not set leaves that property of an existing database as it is, and gives a new one the server's default.
  - The state is read with one statement. C(CREATE DATABASE) runs on its own, as the server demands; all else in one transaction.
  - Runs that create the same database at the same time do not fail each other.
author:
  - The mlops.platform maintainers (@mlops-platform)
options:
  name:
    description:
      - Name of the database.
    type: str
    required: true
  state:
    description:
      - V(present) creates the database or changes what differs.
      - V(absent) drops it with all that is in it. C(postgres) and templates are never dropped.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description:
      - Role that owns the database.
    type: str
  encoding:
    description:
      - Character set encoding. Only a creation can set it; for an existing database with another one the module fails.
    type: str
  locale:
    description:
      - Locale for sorting and for character classes, in place of O(lc_collate) and O(lc_ctype).
      - Only a creation can set it; for an existing database with another one the module fails.
    type: str
  lc_collate:
    description:
      - Locale for sorting. Only a creation can set it; for an existing database with another one the module fails.
    type: str
  lc_ctype:
    description:
      - Locale for character classes. Only a creation can set it; for an existing database with another one the module fails.
    type: str
  template:
    description:
      - Database to copy. It has an effect only on a creation. V(template0) allows another encoding and locale than the server's own.
    type: str
  extensions:
    description:
      - Extensions that the database has. Further ones stay.
    type: list
    elements: str
  lock_public:
    description:
      - With V(true), takes from C(PUBLIC), that is from every role that is not granted it otherwise, all privileges on the database
        (C(CONNECT), C(TEMPORARY)) and on its schema C(public) (C(USAGE), C(CREATE)).
      - Where the schema belongs neither to the database's owner nor to C(pg_database_owner) (databases made before PostgreSQL 15),
        the owner is granted C(USAGE) and C(CREATE) on it in the same transaction, because that is what it had through C(PUBLIC).
      - V(false) changes nothing, as if the option were not set.
    type: bool
  grants:
    description:
      - Privileges that roles have on the database and on its schema C(public), granted directly to them.
      - The owner has all privileges on the database and needs no entry.
    type: list
    elements: dict
    suboptions:
      role:
        description: Name of the role, or C(PUBLIC).
        type: str
        required: true
      privileges:
        description: Privileges on the database. Unset, those that the role has on the database stay.
        type: list
        elements: str
        choices: [CONNECT, TEMPORARY, CREATE]
      schema_privileges:
        description: Privileges on the schema C(public). Unset, those that the role has on the schema stay.
        type: list
        elements: str
        choices: [USAGE, CREATE]
  grants_purge:
    description:
      - Whether privileges on the database and on its schema C(public) that O(grants) does not name are revoked, from every role.
      - It does not touch the owners of the database and of the schema, nor C(PUBLIC) unless O(grants) has an entry for it.
      - Without O(grants) it has no effect; with an empty list, all direct grants are revoked.
    type: bool
    default: false
  connection_limit:
    description:
      - Number of connections that the database accepts at once, or V(-1) for no limit.
    type: int
  comment:
    description:
      - Comment on the database. An empty one removes it.
    type: str
  force:
    description:
      - With O(state=absent), terminates the sessions that use the database. Without it, the server refuses to drop a database in use.
    type: bool
    default: false
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.postgresql
attributes:
  check_mode:
    support: full
    details: >-
      The content of the template is not looked at. Where its schema C(public) does not belong to the stock owner, a real run of
      O(lock_public) may need one grant more or less.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: mlops.platform.postgresql_role
"""

EXAMPLES = r"""
- name: A database, with the connection given in full
  mlops.platform.postgresql_database:
    login_host: "{{ postgresql_login_host }}"
    login_port: "{{ postgresql_login_port }}"
    login_user: "{{ postgresql_login_user }}"
    login_password: "{{ postgresql_login_password }}"
    login_db: postgres
    name: example_scratch

- name: Databases of one server, with the connection given once
  module_defaults:
    group/mlops.platform.postgresql:
      login_host: "{{ postgresql_login_host }}"
      login_port: "{{ postgresql_login_port }}"
      login_user: "{{ postgresql_login_user }}"
      login_password: "{{ postgresql_login_password }}"
  block:
    - name: The roles that own and read
      mlops.platform.postgresql_role:
        name: "{{ item }}"
      loop: [example_owner, example_reader]

    - name: A database that only its owner can use
      mlops.platform.postgresql_database:
        name: example_tracking
        owner: example_owner
        lock_public: true

    - name: A database, with everything said
      mlops.platform.postgresql_database:
        name: example_features
        state: present
        owner: example_owner
        template: template0
        encoding: UTF8
        locale: C
        connection_limit: 50
        extensions: [plpgsql]
        lock_public: true
        grants:
          - role: example_reader
            privileges: [CONNECT]
            schema_privileges: [USAGE]
        grants_purge: true
        comment: Features, read by many and written by their owner

    - name: Remove the databases, and end the sessions that use them
      mlops.platform.postgresql_database:
        name: "{{ item }}"
        state: absent
        force: true
      loop: [example_features, example_tracking, example_scratch]

    - name: Remove their roles
      mlops.platform.postgresql_role:
        name: "{{ item }}"
        state: absent
      loop: [example_reader, example_owner]
"""

RETURN = r"""
queries:
  description:
    - The statements that changed the database, or would have in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - CREATE DATABASE "example_tracking" OWNER "example_owner"
    - REVOKE ALL ON DATABASE "example_tracking" FROM PUBLIC
    - REVOKE ALL ON SCHEMA public FROM PUBLIC
"""

from ansible_collections.mlops.platform.plugins.module_utils import postgresql, postgresql_database  # noqa: E402


def main():
    """Run the module."""
    postgresql.run(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "encoding": {"type": "str"},
            "locale": {"type": "str"},
            "lc_collate": {"type": "str"},
            "lc_ctype": {"type": "str"},
            "template": {"type": "str"},
            "extensions": {"type": "list", "elements": "str"},
            "lock_public": {"type": "bool"},
            "grants": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "role": {"type": "str", "required": True},
                    "privileges": {"type": "list", "elements": "str", "choices": ["CONNECT", "TEMPORARY", "CREATE"]},
                    "schema_privileges": {"type": "list", "elements": "str", "choices": ["USAGE", "CREATE"]},
                },
            },
            "grants_purge": {"type": "bool", "default": False},
            "connection_limit": {"type": "int"},
            "comment": {"type": "str"},
            "force": {"type": "bool", "default": False},
        },
        postgresql_database.ensure,
        mutually_exclusive=[("locale", "lc_collate"), ("locale", "lc_ctype")],
    )


if __name__ == "__main__":
    main()
