#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what is wrong with a platform in a cluster, in one pass over what its API says."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_doctor
short_description: Find what is wrong with a platform in a cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Reads nodes, workloads, pods, claims, Jobs, Secrets and certificates of one namespace and what its backups have said, opens a way to a
    pod of each server for a moment to ask PostgreSQL, the object store and MLflow, and returns what is wrong, each finding with the command
    or the variable that mends it. It changes nothing, but for an upload in parts that is begun and dropped.
  - What may not be read or opened is told, and stops nothing else.
options:
  namespace:
    description: The namespace of the platform.
    type: str
    required: true
  plan:
    description:
      - What the platform should be, without secrets, as the role C(doctor) makes it. C(secrets), the names that there have to be;
        C(postgresql), C(object_store) and C(mlflow), how each is reached and what it should have; the ages and days that are told.
      - Secrets are read from the platform's Secrets.
    type: dict
    required: true
  given:
    description: Secrets by their names that no Secret of the platform has, as those of a server outside.
    type: dict
    default: {}
  bundle:
    description:
      - Given, the result has also the texts of a bundle for support. C(files) of it, texts by their names, are among them; C(log_bytes) is
        how much of the end of each log is.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
requirements:
  - psycopg2, boto3 and websocket-client on the host that runs the module; without them what needs them is not checked
notes:
  - The user of the connection needs what the platform's installation does; besides C(get) on C(pods/log), and C(get) and C(create) on
    C(pods/exec) to hold MLflow's schemas against its image.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
"""

EXAMPLES = r"""
- name: Look for what is wrong
  mlops.platform.cluster_doctor:
    namespace: mlops
    plan: "{{ doctor_cluster_plan }}"
  register: doctor

- name: Stop where something is
  ansible.builtin.assert:
    that: doctor.report.summary.errors == 0
    fail_msg: "{{ doctor.report.findings }}"
"""

RETURN = r"""
report:
  description: What was found, in the form of M(mlops.platform.host_doctor).
  returned: always
  type: dict
  contains:
    findings:
      description: What is wrong, errors first, causes before their effects.
      type: list
      elements: dict
    checks:
      description: Each check, with its state.
      type: list
      elements: dict
    summary:
      description: How many C(errors) and C(warnings) there are, and how many checks in each other state.
      type: dict
    clients_seen:
      description: Versions of MLflow's client in the logs of its pods in the last C(client_seen_days) of O(plan), the latest first.
      type: list
      elements: dict
    seconds:
      description: How long it took.
      type: float
files:
  description: Texts by their names, without secrets.
  returned: when I(bundle) is given
  type: dict
"""

import os

from ansible_collections.mlops.platform.plugins.module_utils import (
    doctor,
    doctor_cluster_checks,
    doctor_cluster_support,
    doctor_redact,
    doctor_support,
)
from ansible_collections.mlops.platform.plugins.module_utils.cluster import new_module
from ansible_collections.mlops.platform.plugins.module_utils.doctor_cluster_reach import Behind

OPTIONS = {
    "namespace": {"type": "str", "required": True},
    "plan": {"type": "dict", "required": True},
    # each of its values is secret; the names are not
    "given": {"type": "dict", "default": {}, "no_log": True},
    "bundle": {"type": "dict", "default": {}},
}


# the files of authorities that servers outside are checked with: whose, and what reads the path
AUTHORITIES = (("postgresql", "sslrootcert"), ("object_store", "ca"))


def with_authorities(plan, directory):
    """Return the plan with the texts of authorities (C(ca_text)) as files in `directory`."""
    placed = dict(plan)
    for server, option in AUTHORITIES:
        text = plan[server].get("ca_text")
        if text:
            path = os.path.join(directory, f"{server}.crt")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            placed[server] = {**plan[server], option: path}
    return placed


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params["given"]
    plan = with_authorities({**module.params["plan"], "namespace": module.params["namespace"]}, module.tmpdir)
    behind = Behind(module.params, given)
    checks = doctor_cluster_checks
    result = {"report": doctor.examine(plan, checks.looks(behind), checks.CHECKS, checks.causes(plan), checks.SHOWN)}
    if module.params["bundle"]:
        result["files"] = doctor_cluster_support.collect(behind, plan, module.params["bundle"])
        result["files"]["doctor.json"] = doctor_support.as_json(result["report"])
    wanted = doctor_cluster_support.hidden(behind.lists(plan), given, plan["mlflow"]["username"])
    result = doctor_redact.redacted(result, wanted)
    # held once more against what is handed over: a form that stands over the border of two would have escaped
    escaped = doctor_redact.left(doctor_support.as_json(result), wanted)
    if escaped:
        module.fail_json(msg=f"nothing is handed over: it would hold the secrets {', '.join(escaped)}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
