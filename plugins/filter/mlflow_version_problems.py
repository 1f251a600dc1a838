# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what is wrong with a wanted version of MLflow, before anything is touched."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import mlflow_versions

DOCUMENTATION = r"""
name: mlflow_version_problems
short_description: What is wrong with a wanted version of MLflow
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Holds a wanted version of MLflow against the one that is installed and those that can be installed. A downgrade is a problem, as
    MLflow's databases have no way down, and so is a step that is not a tested one.
positional: present, supported
options:
  _input:
    description: The version that is wanted.
    type: str
    required: true
  present:
    description: The version that is installed. Null where there is none, or nobody knows.
    type: str
    required: true
  supported:
    description: The versions that can be installed.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ '3.16.0' | mlops.platform.mlflow_version_problems('3.17.2', ['3.16.0', '3.17.2']) }}"
    # => [{"what": "mlflow_version is 3.16.0, and the platform runs MLflow 3.17.2, ...", "remedy": "set it to 3.17.2, ..."}]
"""

RETURN = r"""
_value:
  description: The problems, each with C(what) and C(remedy).
  type: list
  elements: dict
  sample: []
"""


def mlflow_version_problems(wanted, present, supported):
    """Return what is wrong with going from `present` to `wanted`, where `supported` can be installed."""
    return [{"what": what, "remedy": remedy} for what, remedy in mlflow_versions.problems(wanted, present, supported)]


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"mlflow_version_problems": mlflow_version_problems}
