# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup: ansible.builtin.template without its copy of all variables for each template."""

from __future__ import annotations

DOCUMENTATION = r"""
name: template
short_description: Fill in templates, without a copy of all variables for each
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Does what P(ansible.builtin.template#lookup) does, which copies every variable of the host for each template, to the last text. With the
    variables of all roles of this collection that is most of the time that a template takes.
options:
  _terms:
    description: Files to fill in, looked for as P(ansible.builtin.template#lookup) does.
    type: list
    elements: str
    required: true
  template_vars:
    description: More variables for the templates. They win over those of the host.
    type: dict
    default: {}
notes:
  - A template that changes a variable in place, such as with C({% set _ = a_list.append(1\) %}), changes it for the rest of the task.
seealso:
  - plugin: ansible.builtin.template
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Show a template
  ansible.builtin.debug:
    msg: "{{ lookup('mlops.platform.template', 'motd.j2', template_vars={'place': 'here'}) }}"
"""

RETURN = r"""
_raw:
  description: The text of each template, filled in.
  type: list
  elements: str
"""

from collections import ChainMap  # noqa: E402

from ansible.plugins.loader import lookup_loader  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402


class Shared(ChainMap):
    """Variables whose copy is a place for more of them."""

    def __deepcopy__(self, memo):
        """Return the same variables below an empty dict."""
        return ChainMap({}, *self.maps)


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """Return the text of each of `terms`, filled in. Raises AnsibleError as ansible.builtin.template does."""
        self.set_options(var_options=variables, direct=kwargs)
        upstream = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        # within a template that this lookup fills in, the variables are such a chain already
        maps = variables.maps if isinstance(variables, ChainMap) else [variables or {}]
        return upstream.run(terms, Shared(*maps), template_vars=self.get_option("template_vars"))
