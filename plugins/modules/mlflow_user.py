#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module mlflow_user: options and result; the work is in module_utils/mlflow_user.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_user
short_description: A user of an MLflow server's basic authentication
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Creates, changes or deletes a user of an MLflow server that runs with C(--app-name basic-auth).
  - It is also how the administrator's password is rotated, since C(MLFLOW_AUTH_ADMIN_PASSWORD) counts only at the server's first start.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.mlflow
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - A password shows only as set or changed.
  idempotent:
    support: full
options:
  name:
    description:
      - The user to manage. O(username) is the administrator that does it.
      - Both may be the same, to rotate a user's own password. O(password) is then the password until now; when the server takes
        O(user_password) already, nothing is changed and O(password) is not used.
      - A name with a colon is refused, as such a user could never log in.
    type: str
    required: true
  state:
    description: Whether the user exists.
    type: str
    choices: [present, absent]
    default: present
  user_password:
    description:
      - Password of the user, at least 12 characters. Required to create one; if unset, an existing password is left alone.
      - Whether it differs is found by logging in with it. With C(auth_cache_ttl_seconds) on the server, a password that was changed
        within that time may still be taken by some of its processes.
    type: str
  update_password:
    description: V(always) changes a password that differs; V(on_create) sets it for new users only.
    type: str
    choices: [always, on_create]
    default: always
  admin:
    description: Whether the user is an administrator. If unset, it is left alone; a new user is none then.
    type: bool
seealso:
  - module: mlops.platform.mlflow_health
"""

EXAMPLES = r"""
- name: A user for the training pipeline, with the connection given in full
  mlops.platform.mlflow_user:
    tracking_uri: "{{ mlflow_tracking_uri }}"
    username: "{{ mlflow_username }}"
    password: "{{ mlflow_password }}"
    name: pipeline
    user_password: "{{ mlflow_pipeline_password }}"
    admin: false

- name: More users of one server, with the connection given once
  module_defaults:
    group/mlops.platform.mlflow:
      tracking_uri: "{{ mlflow_tracking_uri }}"
      username: "{{ mlflow_username }}"
      password: "{{ mlflow_password }}"
  block:
    - name: Another administrator, whose password is set once and is its own matter then
      mlops.platform.mlflow_user:
        name: second-admin
        user_password: "{{ mlflow_second_admin_password }}"
        update_password: on_create
        admin: true

    - name: Let that one rotate its own password
      mlops.platform.mlflow_user:
        username: second-admin
        password: "{{ mlflow_second_admin_password }}"
        name: second-admin
        user_password: "{{ mlflow_second_admin_new_password }}"

    - name: Delete both
      mlops.platform.mlflow_user:
        name: "{{ item }}"
        state: absent
      loop: [pipeline, second-admin]
"""

RETURN = r"""
user:
  description: The user as it is now; in check mode, as it would be. V(null) when it does not exist.
  returned: success
  type: dict
  contains:
    id:
      description: Number of the user; V(null) in check mode for a new one.
      type: int
    name:
      description: Name of the user.
      type: str
    admin:
      description: Whether it is an administrator.
      type: bool
  sample: {"id": 2, "name": "pipeline", "admin": false}
changes:
  description: What was done, in its order; in check mode, what would be.
  returned: success
  type: list
  elements: str
  sample: [create, grant admin]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection, mlflow_argument_spec
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import explain
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_user import UserManager


def _after(before, changes, name):
    """Return the user as the changes leave it, for check mode."""
    if "delete" in changes:
        return None
    user = dict(before or {"id": None, "name": name, "admin": False})
    if "grant admin" in changes or "revoke admin" in changes:
        user["admin"] = "grant admin" in changes
    return user if before or changes else None


def _shown(user, password):
    """Return the user for a diff."""
    return {"state": "absent"} if user is None else {"state": "present", "name": user["name"], "admin": user["admin"], "password": password}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec=mlflow_argument_spec(
            name={"type": "str", "required": True},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            user_password={"type": "str", "no_log": True},
            update_password={"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
            admin={"type": "bool"},
        ),
        supports_check_mode=True,
    )
    params = module.params
    name, password = params["name"], params["user_password"]
    problems = []
    if not name or ":" in name:
        problems.append("name: must not be empty, and a colon in it would keep the user from ever logging in")
    try:
        connection = MlflowConnection(params)
    except ValueError as exc:
        problems.append(str(exc))
    if problems:
        module.fail_json(msg="; ".join(problems))

    manager = UserManager(connection, name, check_mode=module.check_mode)
    try:
        if params["state"] == "present":
            manager.adopt_new_password(password)
        before = manager.find()
        if params["state"] == "present":
            manager.ensure_present(before, password, params["admin"], params["update_password"] == "on_create")  # noqa: S105
        else:
            manager.ensure_absent(before)
        after = _after(before, manager.changes, name) if module.check_mode else manager.find()
    except ValueError as exc:
        module.fail_json(msg=str(exc), changes=manager.changes)
    except MlflowError as exc:
        module.fail_json(changes=manager.changes, **explain(exc, connection, f"Managing user {name} failed"))
    finally:
        manager.close()

    if params["state"] == "present" and password and not (name + password).isascii():
        module.warn(
            f"user {name}: MLflow reads credentials as ASCII on its artifact routes, so with this name or password uploads and downloads "
            "are refused with 401 unless the server has a static prefix"
        )
    result = {"changed": bool(manager.changes), "user": after, "changes": manager.changes}
    if module._diff:
        changed = "create" in manager.changes or "update password" in manager.changes
        result["diff"] = {"before": _shown(before, "set"), "after": _shown(after, "changed" if changed and before else "set")}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
