# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a line of an htpasswd file, the same for the same password."""

from __future__ import annotations

import base64
import hashlib

DOCUMENTATION = r"""
name: htpasswd
short_description: A line of an htpasswd file
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns C(USER:{SHA}HASH), the unsalted form of htpasswd. Unlike C(password_hash) it needs no library and gives the same line for the
    same password, so that a file that holds it does not change from run to run.
  - An unsalted fast hash is safe for long random passwords, such as those that M(mlops.platform.secret_files) generates, and for no
    others.
positional: user
options:
  _input:
    description: The password.
    type: str
    required: true
  user:
    description: The user's name, without a colon.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write a file of users
  ansible.builtin.copy:
    content: "{{ generated_password | mlops.platform.htpasswd('ops') }}\n"
    dest: /etc/proxy/users
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The line, without a line break.
  type: str
  sample: "ops:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
"""


def htpasswd(password, user):
    """Return the htpasswd line of `user` with `password`."""
    digest = hashlib.sha1(password.encode("utf-8"), usedforsecurity=False).digest()
    return f"{user}:{{SHA}}{base64.b64encode(digest).decode('ascii')}"


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"htpasswd": htpasswd}
