#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the cluster's token, made once on the first server and read back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_token
short_description: Read the token of a K3s cluster, or make the one of a new cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns the token that the servers of a cluster share. Where the host has none it is generated from the operating system's random
    source, or taken from O(given), and kept in V(/etc/rancher/k3s/token), readable by root alone.
  - A token that is there is never replaced, since the datastore is bound to it.
options:
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  given:
    description: The token of a new cluster. Unset means to generate one.
    type: str
attributes:
  check_mode:
    support: full
    details: A token that does not exist yet is another one than a real run generates.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
notes:
  - Set C(no_log) on the task.
"""

EXAMPLES = r"""
- name: Read the token on the first server
  mlops.platform.k3s_token:
  register: cluster_token
  no_log: true
"""

RETURN = r"""
token:
  description: The token without the hash of the cluster's authority.
  returned: success
  type: str
"""

import os
import secrets

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3s_files
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"}, "given": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )
    given = k3s_files.parse_token(module.params["given"] or "")["password"]
    there = k3s_files.token(module.params["data_dir"])["password"] or k3s_files.parse_token(k3s_files.text(k3s_files.TOKEN))["password"]
    if there and given and given != there:
        module.fail_json(
            msg="k3s_token is another one than the cluster was made with, and the datastore is bound to that one. Leave k3s_token unset; to"
            " change the token run `k3s token rotate` on a server, then set k3s_token to the new one"
        )
    token = there or given or secrets.token_hex(32)
    if not there and not module.check_mode:
        os.makedirs(os.path.dirname(k3s_files.TOKEN), mode=0o755, exist_ok=True)
        try:
            replace_file(k3s_files.TOKEN, (token + "\n").encode(), 0o600, 0, 0)
        except OSError as error:
            module.fail_json(msg=f"{k3s_files.TOKEN}: {error}")
    module.exit_json(changed=not there, token=token)


if __name__ == "__main__":
    main()
