#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: whose turn it is to upgrade an installation in a cluster, and how far that is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_upgrade
short_description: Keep the journal of an upgrade of the platform in a cluster
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - One run at a time upgrades an installation. It writes down who it is, and how far it has come, in a ConfigMap of the namespace, so that
    a run that was killed can be taken up by the next one.
  - The server refuses to write over what a run has not read, so two runs at the same time never have the turn both.
options:
  name:
    description: Name of the ConfigMap.
    type: str
    default: mlops-upgrade
  namespace:
    description: Namespace of the installation.
    type: str
    required: true
  labels:
    description: Labels that the ConfigMap gets where it is made.
    type: dict
    default: {}
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
  - mlops.platform.cluster
  - mlops.platform.upgrade_journal
notes:
  - The user of the connection needs the verbs C(get), C(create) and C(patch) on C(configmaps) in the namespace.
seealso:
  - module: mlops.platform.host_upgrade
  - plugin: mlops.platform.controller_run
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Be the only one
  mlops.platform.cluster_upgrade:
    namespace: mlops
    state: claimed
    run: "{{ lookup('mlops.platform.controller_run') }}"
  register: claim

- name: Write down how far it is
  mlops.platform.cluster_upgrade:
    namespace: mlops
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

from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal, upgrade_journal_cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster

OPTIONS = {
    "name": {"type": "str", "default": "mlops-upgrade"},
    "namespace": {"type": "str", "required": True},
    "labels": {"type": "dict", "default": {}},
    **upgrade_journal.OPTIONS,
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params
    try:
        notes = upgrade_journal_cluster.Notes(Cluster(given), given["namespace"], given["name"], given["labels"])
        result = upgrade_journal.act(upgrade_journal_cluster, notes, given, module.check_mode)
    except upgrade_journal.Lost as error:
        module.fail_json(msg=upgrade_journal.lost(error))
    except (ClusterError, ValueError) as error:
        module.fail_json(msg=f"the journal of the upgrade: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
