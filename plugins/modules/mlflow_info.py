#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module mlflow_info: options and result; the work is in module_utils/mlflow_server.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_info
short_description: Version, features and counts of an MLflow server
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Asks an MLflow tracking server for its version, which of its features are on, and how much it holds.
  - Needs nine requests, ten for an administrator, and one more for each further thousand experiments or models.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.mlflow
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  gather:
    description: What to ask for. Leave out V(counts) where thousands of experiments make it slow.
    type: list
    elements: str
    choices: [features, counts]
    default: [features, counts]
seealso:
  - module: mlops.platform.mlflow_health
"""

EXAMPLES = r"""
- name: Look at the server
  mlops.platform.mlflow_info:
    tracking_uri: "{{ mlflow_tracking_uri }}"
    username: "{{ mlflow_username }}"
    password: "{{ mlflow_password }}"
    gather: [features]
    timeout: 10
  register: mlflow_server

- name: Stop unless it proxies artifacts
  ansible.builtin.assert:
    that: mlflow_server.features.artifact_proxy

- name: The same with counts, with the connection given once
  module_defaults:
    group/mlops.platform.mlflow:
      tracking_uri: "{{ mlflow_tracking_uri }}"
      username: "{{ mlflow_username }}"
      password: "{{ mlflow_password }}"
  block:
    - name: Look at the server and count what it holds
      mlops.platform.mlflow_info:
"""

RETURN = r"""
version:
  description: MLflow version of the server.
  returned: always
  type: str
  sample: 3.17.2
user:
  description: The user who asked; V(null) where the server has no basic authentication.
  returned: always
  type: dict
  contains:
    id:
      description: Number of the user.
      type: int
    name:
      description: Name of the user.
      type: str
    admin:
      description: Whether it is an administrator.
      type: bool
  sample: {"id": 1, "name": "admin", "admin": true}
features:
  description: What the server can do.
  returned: when O(gather) has V(features)
  type: dict
  contains:
    artifact_proxy:
      description: Whether it passes artifacts on to its store (C(--serve-artifacts)).
      type: bool
    basic_auth:
      description: Whether it runs with C(--app-name basic-auth).
      type: bool
    gateway:
      description: Whether the AI gateway is on.
      type: bool
    job_api:
      description: Whether it has the API of background jobs. Whether it executes them cannot be read from outside.
      type: bool
    logged_models:
      description: Whether it has the logged-models API, which clients from MLflow 3.0 need.
      type: bool
    prometheus_metrics:
      description: Whether C(/metrics) is there (C(--expose-prometheus)).
      type: bool
    static_prefix:
      description: The path before all of its API, as configured here and found to work; empty for none.
      type: str
    workspaces:
      description: Whether workspaces are on.
      type: bool
server_info:
  description: The server's own list of capabilities, as it is; empty from servers before 3.0.
  returned: when O(gather) has V(features)
  type: dict
  sample: {"store_type": "SqlStore", "workspaces_enabled": false}
counts:
  description: How much there is that this user may see.
  returned: when O(gather) has V(counts)
  type: dict
  contains:
    experiments:
      description: Active experiments.
      type: int
    deleted_experiments:
      description: Experiments that are deleted and not yet removed by C(mlflow gc).
      type: int
    registered_models:
      description: Registered models.
      type: int
    users:
      description: Users; V(null) without basic authentication, or if the user is not an administrator.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import mlflow_server
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection, mlflow_argument_spec
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import explain
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec=mlflow_argument_spec(
            gather={"type": "list", "elements": "str", "choices": ["features", "counts"], "default": ["features", "counts"]},
        ),
        supports_check_mode=True,
    )
    try:
        connection = MlflowConnection(module.params)
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    client = MlflowClient(connection)
    gather = module.params["gather"]
    result = {"changed": False}
    try:
        result["version"] = mlflow_server.version(client)
        result["user"] = user = mlflow_server.current_user(client)
        if "features" in gather:
            result["server_info"] = info = mlflow_server.server_info(client)
            result["features"] = mlflow_server.features(client, info, user)
        if "counts" in gather:
            result["counts"] = mlflow_server.counts(client, user)
    except MlflowError as exc:
        module.fail_json(**explain(exc, connection, "Reading the server failed"))
    finally:
        client.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
