#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: everything that can be wrong with a platform on a host, in one pass over all of its layers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_doctor
short_description: Find what is wrong with a platform on a host
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Looks at host, files, services, network, TLS, PostgreSQL, object store, MLflow and backups, and returns what is wrong, each finding with
    the command or the variable that mends it. It changes nothing.
  - Each check stands on its own, so that it works on a platform that is half dead. A finding that follows from another says so.
  - Secrets are read on the host, from the platform's own files, and taken out of everything that is returned.
  - With a Python that has no psycopg2, boto3 or cryptography, the checks that need them say that they were not made. Where I(bundle) is
    given, what a maintainer needs besides is returned too.
options:
  data_dir:
    description: The data directory of the platform.
    type: path
    required: true
  plan:
    description:
      - What the platform should be, as the role C(doctor) makes it of the variables of the other roles.
      - It holds no secret.
    type: dict
    required: true
  bundle:
    description:
      - For a bundle for support, C(log_bytes), how much of the end of each log is wanted, and C(files), more texts by their names, such as
        the variables. Empty means that no files are returned.
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
"""

EXAMPLES = r"""
# playbooks/doctor.yml does this with the whole plan
- name: Look for what is wrong
  ansible.builtin.import_role:
    name: mlops.platform.doctor

- name: Look at a platform whose plan is in a file
  mlops.platform.host_doctor:
    data_dir: /var/lib/mlops
    plan: "{{ lookup('ansible.builtin.file', 'plan.json') | from_json }}"
"""

RETURN = r"""
report:
  description: What was found.
  returned: always
  type: dict
  contains:
    findings:
      description: What is wrong, errors first, causes before their effects.
      type: list
      elements: dict
      contains:
        id:
          description: What kind of finding it is; it stays the same from one version to the next.
          type: str
          sample: postgresql-unreachable
        severity:
          description: V(error) or V(warning).
          type: str
        layer:
          description: Where it was found.
          type: str
        subject:
          description: Which one of several, such as a service or a name.
          type: str
        what:
          description: What is wrong.
          type: str
        said:
          description: The server's own words.
          type: str
        remedy:
          description: The command or the variable that mends it.
          type: str
        because:
          description: The findings that it follows from.
          type: list
          elements: str
    checks:
      description: Each check, with C(state) V(ok), V(found), V(not applicable) or V(not checked), and the reason of the last two.
      type: list
      elements: dict
    summary:
      description: How many C(errors) and C(warnings) there are, and how many checks in each other state.
      type: dict
    clients_seen:
      description: Versions of MLflow's client that the server has answered in the last C(client_seen_days) of O(plan), the latest first.
      type: list
      elements: dict
      contains:
        version:
          description: The version.
          type: str
          sample: 3.16.0
        last_seen:
          description: When it was last answered, in UTC, to ten minutes.
          type: str
          sample: "2026-11-30T16:40:00Z"
        verdict:
          description: V(works), V(limited) or V(fails) with this server, empty where it does not tell its version.
          type: str
          sample: works
    seconds:
      description: How long it took.
      type: float
files:
  description: Texts by their names, without secrets.
  returned: when I(bundle) is given
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_local, doctor_redact, doctor_support


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "plan": {"type": "dict", "required": True},
            "bundle": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    plan = {**module.params["plan"], "data_dir": module.params["data_dir"].rstrip("/")}
    wanted = doctor_redact.needles(doctor_redact.read_secrets(f"{plan['data_dir']}/secrets"), plan["mlflow"]["username"])
    result = {"report": doctor.examine(plan, doctor_local.LOOKS, doctor_local.CHECKS, doctor_local.CAUSES, doctor_local.SHOWN)}
    if module.params["bundle"]:
        result["files"] = doctor_support.collect(plan, module.params["bundle"])
        result["files"]["doctor.json"] = doctor_support.as_json(result["report"])
    result = doctor_redact.redacted(result, wanted)
    # held once more against what is handed over: a form that stands over the border of two would have escaped
    escaped = doctor_redact.left(doctor_support.as_json(result), wanted)
    if escaped:
        module.fail_json(msg=f"nothing is handed over: it would hold the secrets {', '.join(escaped)}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
