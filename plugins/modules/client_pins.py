#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module client_pins: options and result; the work is in module_utils/client_pins.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: client_pins
short_description: Tell which pinned MLflow clients cannot work with a server
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Finds the requirements on C(mlflow), C(mlflow-skinny) and C(mlflow-tracing) in the files with which Airflow, a serving image, a frontend
    or a team pins its packages, and says whether every version that they admit works with an MLflow server.
  - An C(mlflow) without a version, or C(mlflow>=2), also admits the next major version, which today's server does not know.
  - No server and no index of packages is asked, nothing is fetched, and nothing in a file is run.
  - It reads requirements and constraints files of pip, with the files that they include, markers, extras, hashes and URLs,
    C(pyproject.toml) (PEP 621, dependency groups, Poetry, PDM, uv, Hatch), C(Pipfile), environment files of conda, and the lock files
    C(poetry.lock), C(uv.lock), C(pdm.lock), C(pylock.toml), C(Pipfile.lock) and those of conda-lock.
  - Environment markers are not evaluated, as the clients run elsewhere. Each line counts as one that applies somewhere.
extends_documentation_fragment:
  - mlops.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
options:
  paths:
    description:
      - Files, or patterns with C(*), C(?), C([...]) and C(**), on the host on which the module runs. On the machine that runs Ansible,
        relative ones begin where it was started.
      - A file without a requirement on MLflow is no finding. One that cannot be read is.
    type: list
    elements: path
    default: []
  constraints:
    description: Constraints files that are given to pip beside each of O(paths), as C(pip install -c) takes them.
    type: list
    elements: path
    default: []
  versions:
    description: Versions of MLflow that clients are known to have.
    type: list
    elements: str
    default: []
  seen:
    description:
      - Versions of MLflow that clients were seen with, each with the seconds since 1970 at which it last was, such as
        RV(mlops.platform.host_preflight#module:host.clients_seen).
    type: dict
    default: {}
  server_version:
    description: The version of the server, such as RV(mlops.platform.mlflow_health#module:server_version).
    type: str
    required: true
  previous_server_version:
    description:
      - The version from which the server comes, where an upgrade is planned. RV(lost) tells what works with it and not with
        O(server_version).
    type: str
requirements:
  - packaging, which ansible-core brings; so on the machine that runs Ansible it is there
  - Python 3.11 for TOML, PyYAML for the files of conda
notes:
  - It fails on no finding. Use RV(findings) or RV(lost) for that, as in the examples.
seealso:
  - module: mlops.platform.mlflow_health
    description: C(client_version) asks a server instead.
"""

EXAMPLES = r"""
- name: Hold the pins of everything on the platform against its server
  mlops.platform.client_pins:
    paths:
      - airflow/requirements.txt
      - serving/**/requirements*.txt
      - frontend/pyproject.toml
      - training/environment.yml
    constraints: [airflow/constraints.txt]
    server_version: "3.17.2"
  delegate_to: localhost
  register: pins

- name: Stop where one cannot work
  ansible.builtin.assert:
    that: pins.findings | selectattr('severity', 'eq', 'error') | length == 0
    fail_msg: "{{ pins.findings }}"

- name: Which clients would not survive an upgrade
  mlops.platform.client_pins:
    paths: [requirements.txt]
    versions: ["2.22.0", "3.16.0"]
    previous_server_version: "3.16.0"
    server_version: "3.17.2"
"""

RETURN = r"""
pins:
  description: Each requirement that was found.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file that holds it.
      type: str
      sample: airflow/requirements.txt
    line:
      description: Its line there.
      type: int
      sample: 12
    name:
      description: The distribution.
      type: str
      sample: mlflow
    text:
      description: The requirement as it is written, without users and passwords of URLs.
      type: str
      sample: mlflow[extras]>=2
    specifier:
      description: What it admits together with constraints and other lines; alternatives are separated by C(||). Empty means any version.
      type: str
      sample: ">=2"
    marker:
      description: Its environment marker.
      type: str
      sample: python_version >= "3.10"
    constrained_by:
      description: The lines that hold together with it.
      type: list
      elements: str
      sample: ["airflow/constraints.txt:40"]
    verdict:
      description:
        - V(works) - every admitted version does, but for what only a newer minor version has, where newer ones are admitted too.
        - V(limited) - all are newer than the server, of its major version.
        - V(open) - some work and some do not.
        - V(fails) - none works.
        - V(unknown) - it cannot be told which versions are admitted.
      type: str
      sample: open
    example:
      description: A version that the verdict is true of, such as one that does not work, or why it is V(unknown).
      type: str
      sample: "4.0.0"
    remedy_specifier:
      description: The requirement that admits only what works.
      type: str
      sample: mlflow>=2,<4
findings:
  description: What is wrong, in the form of M(mlops.platform.host_doctor).
  returned: always
  type: list
  elements: dict
  sample: []
lost:
  description: Those of RV(findings) that the server of O(previous_server_version) does not have.
  returned: when O(previous_server_version) is given
  type: list
  elements: dict
  sample: []
files:
  description: The files that O(paths) led to, without those that they include.
  returned: always
  type: list
  elements: str
  sample: ["airflow/requirements.txt"]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.platform.plugins.module_utils.client_pins import Clients
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import release
from ansible_collections.mlops.platform.plugins.module_utils.client_specifiers import HAS_PACKAGING
from ansible_collections.mlops.platform.plugins.module_utils.doctor_clients import findings


def _problems(params):
    """Return what is wrong with the module's own options."""
    for name in ("server_version", "previous_server_version"):
        if params[name] is not None and release(params[name]) is None:
            yield f"{name}: {params[name]!r} is not a version such as 3.17.2"
    for name in ("versions", "seen"):
        for version in params[name]:
            if release(version) is None:
                yield f"{name}: {version!r} is not a version such as 3.17.2"
    for version, when in params["seen"].items():
        if not isinstance(when, int):
            yield f"seen: {version}: {when!r} is no whole number of seconds"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "constraints": {"type": "list", "elements": "path", "default": []},
            "versions": {"type": "list", "elements": "str", "default": []},
            "seen": {"type": "dict", "default": {}},
            "server_version": {"type": "str", "required": True},
            "previous_server_version": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not HAS_PACKAGING:
        there = "on the machine that runs Ansible, with its own Python, it is there (delegate_to: localhost)"
        module.fail_json(msg=f"{missing_required_lib('packaging')} Or run it where it is: {there}")
    problems = list(_problems(params))
    if problems:
        module.fail_json(msg="; ".join(problems))
    clients = Clients(params["paths"], params["constraints"], params["versions"], params["seen"])
    found = findings(clients, params["server_version"])
    result = {"pins": clients.pins(params["server_version"]), "findings": found, "files": clients.files}
    if params["previous_server_version"]:
        before = [(one["id"], one["subject"], one["severity"]) for one in findings(clients, params["previous_server_version"])]
        result["lost"] = [one for one in found if (one["id"], one["subject"], one["severity"]) not in before]
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
