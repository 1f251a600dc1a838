#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module minio_user: options and result; the work is in module_utils/minio_user.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_user
short_description: A user of a MinIO server, its secret key and its policies
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Creates, changes or deletes a user of a MinIO server through its admin API. Other S3 servers do not have that.
  - A user's name is its access key for S3.
  - An option that is not set is not changed.
options:
  name:
    description: The user, and its access key. At least 3 characters, without C(=) and commas.
    type: str
    required: true
  state:
    description: Whether the user exists.
    type: str
    choices: [present, absent]
    default: present
  user_secret_key:
    description:
      - Secret key of the user, at least 8 characters. Required to create one; if unset, an existing one is left alone.
      - Whether it differs is found by signing an S3 request with it. Of a disabled user that cannot be known; the module then leaves the
        secret key alone and warns.
    type: str
  update_secret_key:
    description: V(always) changes a secret key that differs; V(on_create) sets it for new users only.
    type: str
    choices: [always, on_create]
    default: always
  enabled:
    description: Whether the user may log in. If unset, it is left alone; a new user may.
    type: bool
  policies:
    description:
      - The names of all policies that are attached to the user itself; others are detached. An empty list detaches all.
      - What the user has through its groups is not touched.
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    details: A server can still refuse in the real run, such as a policy that is not there; this shows only then.
  diff_mode:
    support: full
    details: A secret key shows only as set or changed.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.minio
seealso:
  - module: mlops.platform.minio_policy
"""

EXAMPLES = r"""
- name: Users of one server, with the connection given once
  module_defaults:
    group/mlops.platform.minio:
      endpoint_url: "{{ minio_endpoint_url }}"
      access_key: "{{ minio_access_key }}"
      secret_key: "{{ minio_secret_key }}"
  block:
    - name: A user that may only read
      mlops.platform.minio_user:
        name: example-reader
        user_secret_key: "{{ minio_user_secret_key }}"
        policies: [readonly]

    - name: It may not log in for now
      mlops.platform.minio_user:
        name: example-reader
        enabled: false

    - name: It is gone
      mlops.platform.minio_user:
        name: example-reader
        state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, in order. Empty when nothing had to change. On a failure what was done before it.
  returned: always after the first request
  type: list
  elements: str
  sample: ["create", "attach policies readonly"]
user:
  description: The user as it is after the run, or would be. Null when there is none.
  returned: success
  type: dict
  contains:
    name:
      description: Name and access key of the user.
      type: str
      returned: always
      sample: example-reader
    enabled:
      description: Whether the user may log in.
      type: bool
      returned: always
      sample: true
    policies:
      description: Names of the policies that are attached to the user itself.
      type: list
      elements: str
      returned: always
      sample: ["readonly"]
    groups:
      description: Names of the groups that the user is a member of.
      type: list
      elements: str
      returned: always
      sample: []
"""

from ansible_collections.mlops.platform.plugins.module_utils.minio import Connection, MinioError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.minio_user import UserManager

OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "user_secret_key": {"type": "str", "no_log": True},
    "update_secret_key": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
    "enabled": {"type": "bool"},
    "policies": {"type": "list", "elements": "str"},
}


def _shown(user, secret_key):
    """Return the user for a diff."""
    return {"state": "absent"} if user is None else {"state": "present", **user, "secret_key": secret_key}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    params, manager = module.params, None
    try:
        connection = Connection(module)
        manager = UserManager(connection, params["name"], module.check_mode)
        before = manager.find()
        if params["state"] == "present":
            after = manager.ensure_present(
                before,
                params["user_secret_key"],
                params["enabled"],
                params["policies"],
                params["update_secret_key"] == "on_create",  # noqa: S105
            )
        else:
            manager.ensure_absent(before)
            after = None
    except MinioError as error:
        done = {} if manager is None else {"changes": manager.changes, "changed": bool(manager.changes)}
        module.fail_json(msg=str(error), **done)
    for warning in manager.warnings:
        module.warn(warning)
    result = {"changed": bool(manager.changes), "changes": manager.changes, "user": after}
    if module._diff:
        new_key = "changed" if "update secret key" in manager.changes else "set"
        result["diff"] = {"before": _shown(before, "set"), "after": _shown(after, new_key)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
