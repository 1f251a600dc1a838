#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: which versions of MLflow's client a platform in a cluster has answered."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_clients
short_description: Tell which versions of MLflow's client a platform in a cluster has answered
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Reads the ends of the logs of MLflow's pods, in which each version of MLflow's Python client is written down that was let in, once in
    an hour.
  - A pod that is no more has taken its log along, and the kubelet keeps the last 10 MiB of a log or so.
options:
  namespace:
    description: The namespace of the platform.
    type: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
notes:
  - The user of the connection needs C(list) on C(pods) and C(get) on C(pods/log).
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
"""

EXAMPLES = r"""
- name: See who connects
  mlops.platform.cluster_clients:
    namespace: mlops
  register: clients
"""

RETURN = r"""
clients_seen:
  description: By each version, when it was last answered, in seconds since 1970, to an hour.
  returned: always
  type: dict
  sample: {3.16.0: 1796060000}
"""

from ansible_collections.mlops.platform.plugins.module_utils import cluster_clients
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster

OPTIONS = {"namespace": {"type": "str", "required": True}}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    try:
        found = cluster_clients.of_namespace(Cluster(module.params), module.params["namespace"])
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, clients_seen=found)


if __name__ == "__main__":
    main()
