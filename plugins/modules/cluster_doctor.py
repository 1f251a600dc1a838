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
  - Reads nodes, workloads, pods, claims, Jobs and certificates of one namespace and what its backups have said, and returns what is wrong,
    each finding with the command or the variable that mends it. It changes nothing.
  - What may not be read is told, and stops nothing else.
options:
  namespace:
    description: The namespace of the platform.
    type: str
    required: true
  certificate_days:
    description: Days before its end from which a certificate is a warning.
    type: int
    default: 21
  backup:
    description: Whether backups are scheduled.
    type: bool
    default: false
  backup_hours:
    description: Hours after which the last backup of a schedule is too old.
    type: int
    default: 26
  backup_days:
    description: Days after which the last backup is too old where none is scheduled.
    type: int
    default: 7
  drill_days:
    description: Days after which the last drill is too old where backups are scheduled.
    type: int
    default: 35
  clients:
    description:
      - What is known of the clients, as the role C(doctor) makes it of the result of M(mlops.platform.client_pins), which runs where the
        files are. C(asked), whether there was anything to look at, C(failed), why it could not be, and C(findings).
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
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
"""

EXAMPLES = r"""
- name: Look for what is wrong
  mlops.platform.cluster_doctor:
    namespace: mlops
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
    seconds:
      description: How long it took.
      type: float
"""

from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster

OPTIONS = {
    "namespace": {"type": "str", "required": True},
    "certificate_days": {"type": "int", "default": 21},
    "backup": {"type": "bool", "default": False},
    "backup_hours": {"type": "int", "default": 26},
    "backup_days": {"type": "int", "default": 7},
    "drill_days": {"type": "int", "default": 35},
    "clients": {"type": "dict", "default": {}},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)

    def look(plan):
        try:
            return doctor_cluster.look(Cluster(module.params), plan["namespace"])
        except ClusterError as error:
            return {"unreachable": error.what, "remedy": error.remedy}

    report = doctor.examine(module.params, {"cluster": look}, doctor_cluster.CHECKS, doctor_cluster.CAUSES)
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
