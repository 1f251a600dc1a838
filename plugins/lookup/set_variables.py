# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup: which variables of roles have another value than their default, without secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
name: set_variables
short_description: Which variables of roles are set to something else than their defaults, without secrets
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns one dictionary of the variables of this collection's roles that have another value than the role's default - what a user has
    set, in the inventory, in a play or with C(-e). Which variables there are, the roles' argument specifications say.
  - A secret is never among them. Left out is what the specification marks with C(no_log); what is encrypted with Ansible Vault, or filled
    in from it; a text with a password in a URL, or a private key; and each variable, and each entry of a dictionary, whose name speaks of
    a password, secret, token, key, login or credential, unless the specification says that it is a boolean.
options:
  _terms:
    description: Names of roles of this collection.
    type: list
    elements: str
    required: true
  leave:
    description: Names of variables to leave out, or how they begin, with C(*) at the end.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what was set for MLflow
  ansible.builtin.debug:
    msg: "{{ lookup('mlops.platform.set_variables', 'mlflow', leave=['mlflow_image']) }}"
    # => {"mlflow_processes": 4, "mlflow_version": "3.17.2"}
"""

RETURN = r"""
_raw:
  description: The variables with their values.
  type: list
  elements: dict
"""

import fnmatch  # noqa: E402
import functools  # noqa: E402
import re  # noqa: E402
from pathlib import Path  # noqa: E402

import yaml  # noqa: E402
from ansible.errors import AnsibleError  # noqa: E402
from ansible.parsing.vault import VaultHelper  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402

ROLES = Path(__file__).resolve().parents[2] / "roles"
# of variables, and of entries in them
SECRET = re.compile(r"passw|passphrase|secret|token|key|login|credential", re.IGNORECASE)
# entries that Kubernetes calls so: of a toleration, a selector, a rule of spreading
KEYS = ("key", "topologyKey")
# in an expression: where it comes from
SOURCE = re.compile(SECRET.pattern + "|vault", re.IGNORECASE)
# in a text: user and password of a URL, and a private key
INSIDE = re.compile(r"://[^/\s@]*:[^/\s@]+@|PRIVATE KEY-----")
GONE = object()


@functools.cache
def options(role):
    """Return {variable: its specification} of all entry points of a role."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    # ten times as fast as safe_load(), and as safe
    entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["argument_specs"].values()  # noqa: S506
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


def secret(name, option):
    """Return whether a variable is never shown, whatever its value."""
    return bool(option.get("no_log") or (option.get("type") != "bool" and SECRET.search(name)))


def clean(value):
    """Return `value` without secrets, GONE where nothing is left of it."""
    if isinstance(value, dict):
        found = {name: clean(one) for name, one in value.items() if name in KEYS or not SECRET.search(str(name))}
        kept = {name: one for name, one in found.items() if one is not GONE}
        return kept if kept or not value else GONE
    if isinstance(value, (list, tuple)):
        kept = [one for one in map(clean, value) if one is not GONE]
        return kept if kept or not value else GONE
    return GONE if isinstance(value, str) and revealing(value) else value


def revealing(text):
    """Return whether a text is a secret, or holds one, or is filled in from one."""
    # an encrypted one is in clear once it is looked at
    return bool(VaultHelper.get_ciphertext(text, with_tags=False) or INSIDE.search(text) or ("{{" in text and SOURCE.search(text)))


def same(one, other):
    """Return whether two values mean the same: on a command line a number or a boolean is a text."""
    if isinstance(one, (dict, list)) or isinstance(other, (dict, list)):
        return one == other
    return str(one).lower() == str(other).lower()


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """Return a list of one dictionary: what is set of the variables of the roles `terms`."""
        self.set_options(var_options=variables, direct=kwargs)
        leave, found = self.get_option("leave"), {}
        for role in terms:
            defaults = self._loader.load_from_file(str(ROLES / role / "defaults" / "main.yml"), trusted_as_template=True) or {}
            for name, option in options(role).items():
                # a role that this play does not have has no defaults here: only what a user has set is there
                if name in variables and not secret(name, option) and not any(fnmatch.fnmatchcase(name, one) for one in leave):
                    value = self._set(variables[name], defaults.get(name))
                    if value is not GONE:
                        found[name] = value
        return [found]

    def _set(self, value, default):
        """Return what `value` says without secrets, GONE where it is the default."""
        # most are, and are not even filled in
        if value == default or (kept := clean(value)) is GONE:
            return GONE
        try:
            kept = clean(self._templar.template(kept))
        except AnsibleError:
            # what cannot be filled in here says so where it is needed
            return GONE
        try:
            return GONE if same(kept, self._templar.template(default)) else kept
        except AnsibleError:
            return kept
