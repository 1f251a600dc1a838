#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: secrets of one installation, one file each, generated once and read back afterwards."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_files
short_description: Keep the secrets of an installation in files, generated once
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Makes sure that every named secret exists as one file below O(directory), readable by its owner alone, and returns all of them.
  - A secret that has a file is read back. One that has none is generated from the operating system's random source, or taken from
    O(given).
  - A file is written whole beside its place and renamed, so that a run that is killed leaves the old secret or the new one.
options:
  directory:
    description:
      - Where the files stand. It is created with mode V(0700) when it is missing.
    type: path
    required: true
  owner:
    description:
      - The user who owns the directory and the files. Needs root where it is not the user who runs the module.
      - Unset means the user who runs the module.
    type: str
  secrets:
    description:
      - The secrets by name. A name is a file name of letters, digits, V(_), V(-) and V(.).
      - Each value is a dictionary with the optional keys C(length) (characters to generate, 16 to 512, default 40), C(charset)
        (V(alphanumeric), the default, or V(hex)), C(min_length) (a given value must have at least so many characters, default 1) and
        C(keep_previous) (whether a replaced value is kept in C(NAME.previous), default false).
    type: dict
    required: true
  given:
    description:
      - Values by name of a secret, which replace what is stored. An empty one means to keep or generate.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    details: Secrets that do not exist yet are returned as a real run would, but are other ones than a real run generates.
  diff_mode:
    support: full
    details: The diff names the secrets that are generated or replaced and shows none of them.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
notes:
  - Set C(no_log) on the task. Without it the values are masked in the result as well, so that nothing can show them.
seealso:
  - plugin: ansible.builtin.password
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Keep the secrets of a service
  mlops.platform.secret_files:
    directory: "{{ secrets_directory }}"
    secrets:
      database_password: {}
      signing_key:
        charset: hex
        length: 64
      admin_password:
        min_length: 12
    given:
      admin_password: "{{ admin_password | default('') }}"
  register: service_secrets
  no_log: true
"""

RETURN = r"""
secrets:
  description: Every secret by name, as it is in effect after the run.
  returned: success
  type: dict
  sample: {"database_password": "k3vQ..."}
previous:
  description:
    - What given values replaced, by name of the secrets with C(keep_previous), newest first, until the file C(NAME.previous) is removed.
    - A server that still has an old password is told the new one with it, also when earlier runs were killed in between. Which of several
      it has is not known here.
  returned: success
  type: dict
  sample: {}
generated:
  description: Names of the secrets that were generated, or would be.
  returned: success
  type: list
  elements: str
  sample: [signing_key]
replaced:
  description: Names of the secrets that got a given value in place of another one, or would.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import hold, replace_file
from ansible_collections.mlops.platform.plugins.module_utils.secret_values import SecretError, all_wanted, exit_with, generate


def read(path):
    """Return the secret in the file `path`, or None where there is no such file. Raises OSError when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().rstrip("\n") or None
    except FileNotFoundError:
        return None


def write(path, value, uid):
    """Write `value` to `path`, for the user `uid` alone (-1: who runs this). Raises OSError."""
    replace_file(path, f"{value}\n".encode(), 0o600, uid)


def replaced_values(path, newest=None):
    """Return the values that the secret in the file `path` had before, newest first, with `newest` in front if it is given.

    Raises OSError.
    """
    values = (read(path + ".previous") or "").split("\n")
    return [value for value in dict.fromkeys([newest, *values]) if value]


def keep(directory, specs, uid, check):
    """Bring the files of all `specs` below `directory` to their state; return the result's values. Raises OSError."""
    result = {"changed": False, "secrets": {}, "previous": {}, "generated": [], "replaced": []}
    if not os.path.isdir(directory):
        result["changed"] = True
        if not check:
            os.makedirs(directory, mode=0o700)
    if os.path.isdir(directory):
        result["changed"] |= hold(directory, 0o700, uid, check=check)
    for name, spec in sorted(specs.items()):
        path = os.path.join(directory, name)
        old = read(path)
        new = spec["value"] or old
        if new is None:
            new = generate(spec)
            result["generated"].append(name)
        elif old is not None and new != old:
            result["replaced"].append(name)
        if new != old:
            result["changed"] = True
            if not check:
                if old is not None and spec["keep_previous"]:
                    write(path + ".previous", "\n".join(replaced_values(path, old)), uid)
                write(path, new, uid)
        if os.path.lexists(path):
            result["changed"] |= hold(path, 0o600, uid, check=check)
        if spec["keep_previous"]:
            # in check mode the file does not have the newest of them
            previous = replaced_values(path, old) if check and name in result["replaced"] else replaced_values(path)
            if previous:
                result["previous"][name] = previous
        result["secrets"][name] = new
    return result


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "owner": {"type": "str"},
            # names and lengths only: masking them would mask the result's keys
            "secrets": {"type": "dict", "required": True, "no_log": False},
            "given": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    owner = module.params["owner"]
    try:
        specs = all_wanted(module.params["secrets"], module.params["given"])
        uid = pwd.getpwnam(owner).pw_uid if owner else -1
        result = keep(module.params["directory"], specs, uid, module.check_mode)
    except SecretError as error:
        module.fail_json(msg=str(error))
    except KeyError:
        module.fail_json(msg=f"owner: there is no user {owner!r} on this host; create it first")
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(msg=f"cannot keep the secrets in {module.params['directory']}: {error}")
    exit_with(module, result)


if __name__ == "__main__":
    main()
