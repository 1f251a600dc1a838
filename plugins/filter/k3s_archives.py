# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: which archives of images a host does not have."""

from __future__ import annotations

DOCUMENTATION = r"""
name: k3s_archives
short_description: The archives of images that must be sent to a host
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Compares files of the controller with those of a host by name, size and time. Nothing is read of them, so that a run in which nothing
    is to be sent costs nothing.
positional: there
options:
  _input:
    description: Paths on the controller.
    type: list
    elements: path
    required: true
  there:
    description: What the host has, RV(mlops.platform.k3s_info#module:node.images).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what would be sent
  ansible.builtin.debug:
    msg: "{{ ['/srv/images/mlflow.tar.zst'] | mlops.platform.k3s_archives(looked.node.images) | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The path, name, size and mtime of each.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError  # noqa: E402
from ansible_collections.mlops.platform.plugins.module_utils import k3s_archives  # noqa: E402


def k3s_archives_filter(paths, there):
    """Return what `there` lacks of `paths`."""
    try:
        return k3s_archives.differing(paths, there)
    except OSError as error:
        raise AnsibleFilterError(f"k3s_image_archives: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"k3s_archives": k3s_archives_filter}
