#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: whose turn it is to upgrade an installation, and how far that is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_upgrade
short_description: Keep the journal of an upgrade of the platform on a host
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - One run at a time upgrades an installation. It writes down who it is, and how far it has come, in the directory C(upgrade) of the data
    directory, so that a run that was killed can be taken up by the next one.
options:
  data_dir:
    description: The data directory of the installation.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    details: Nothing is claimed or recorded in check mode.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: The journal holds times.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.upgrade_journal
seealso:
  - module: mlops.platform.cluster_upgrade
  - plugin: mlops.platform.controller_run
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Be the only one
  mlops.platform.host_upgrade:
    data_dir: /srv/mlops
    state: claimed
    run: "{{ lookup('mlops.platform.controller_run') }}"
  register: claim

- name: Write down how far it is
  mlops.platform.host_upgrade:
    data_dir: /srv/mlops
    state: recorded
    run: "{{ lookup('mlops.platform.controller_run') }}"
    entry: {state: preparing}
    anew: true
  when: not claim.held_by
"""

RETURN = r"""
held_by:
  description: The run whose turn it is, empty where it is this one's.
  returned: always
  type: dict
holder:
  description: The same in words, with the time since when.
  returned: always
  type: str
  sample: alice on laptop, process 4711, since 2026-11-29T04:00:00Z
journal:
  description: The journal as it is now, empty where there is none.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"data_dir": {"type": "path", "required": True}, **upgrade_journal.OPTIONS}, supports_check_mode=True
    )
    given = module.params
    try:
        result = upgrade_journal.act(upgrade_journal, given["data_dir"], given, module.check_mode)
    except upgrade_journal.Lost as error:
        module.fail_json(msg=upgrade_journal.lost(error))
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"the journal of the upgrade: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
