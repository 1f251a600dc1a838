#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: secrets of one installation in a Secret of a cluster, generated once and read back afterwards."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_secret
short_description: Keep the secrets of an installation in a Kubernetes Secret, generated once
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Makes sure that every named secret exists as one key of the Secret O(name), and returns all of them.
  - A secret that is stored is read back. One that is not is generated from the operating system's random source, or taken from O(given).
  - Two runs at the same time agree on one value, because the server refuses to write over what a run has not read.
  - Keys that are not in O(secrets) are left alone, and so are labels that are not in O(labels).
options:
  name:
    description: Name of the Secret.
    type: str
    required: true
  namespace:
    description: Namespace of the Secret. In check mode it need not exist.
    type: str
    required: true
  secrets:
    description:
      - The secrets by name. A name is letters, digits, V(_), V(-) and V(.), and does not end in V(.previous).
      - Each value is a dictionary with the optional keys C(length) (characters to generate, 16 to 512, default 40), C(charset)
        (V(alphanumeric), the default, or V(hex)), C(min_length) (a given value must have at least so many characters, default 1) and
        C(keep_previous) (whether a replaced value is kept under C(NAME.previous), default false).
    type: dict
    required: true
  given:
    description:
      - Values by name of a secret, which replace what is stored. An empty one means to keep or generate.
    type: dict
    default: {}
  forget_previous:
    description:
      - Names of secrets whose earlier values are not needed any more, as every server has been told the new one.
      - What this run itself replaces is kept.
    type: list
    elements: str
    default: []
  labels:
    description: Labels that the Secret has to have.
    type: dict
    default: {}
  type:
    description:
      - Type of the Secret. Unset means V(Opaque) for a new one and any type for one that is there.
    type: str
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
  - mlops.platform.cluster
notes:
  - Set C(no_log) on the task. Without it the values are masked in the result as well, so that nothing can show them.
  - The user of the connection needs the verbs C(get), C(create) and C(patch) on C(secrets) in the namespace.
seealso:
  - module: mlops.platform.secret_files
"""

EXAMPLES = r"""
- name: Keep the secrets of a service
  mlops.platform.cluster_secret:
    name: mlops-service-secrets
    namespace: mlops
    secrets:
      database_password: {keep_previous: true}
      signing_key:
        charset: hex
        length: 64
      admin_password:
        min_length: 12
    given:
      admin_password: "{{ admin_password | default('') }}"
    labels:
      app.kubernetes.io/part-of: mlops
  register: service_secrets
  no_log: true

- name: Forget what the database knew before, once it knows the new password
  mlops.platform.cluster_secret:
    name: mlops-service-secrets
    namespace: mlops
    secrets:
      database_password: {keep_previous: true}
    forget_previous: [database_password]
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
    - What given values replaced, by name of the secrets with C(keep_previous), newest first, until O(forget_previous) names the secret.
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
forgotten:
  description: Names of the secrets whose earlier values were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_secret import PREVIOUS, SecretKeeper
from ansible_collections.mlops.platform.plugins.module_utils.secret_values import SecretError, all_wanted, exit_with

OPTIONS = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    # names and lengths only: masking them would mask the result's keys
    "secrets": {"type": "dict", "required": True, "no_log": False},
    "given": {"type": "dict", "default": {}, "no_log": True},
    "forget_previous": {"type": "list", "elements": "str", "default": []},
    "labels": {"type": "dict", "default": {}},
    "type": {"type": "str"},
}


def specifications(params):
    """Return the checked specification of every secret. Raises SecretError."""
    names = params["secrets"]
    unknown = sorted(set(params["forget_previous"]) - set(names))
    if unknown:
        raise SecretError(f"forget_previous: {unknown} are not among the secrets {sorted(names)}")
    for name in names:
        if name.endswith(PREVIOUS):
            raise SecretError(f"secret {name}: names that end in {PREVIOUS} are taken by earlier values; choose another")
    return all_wanted(names, params["given"])


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params
    try:
        specs = specifications(given)
        keeper = SecretKeeper(Cluster(given), given["namespace"], given["name"])
        result = keeper.keep(specs, given["forget_previous"], given["labels"], given["type"], module.check_mode)
    except SecretError as error:
        module.fail_json(msg=str(error))
    except ClusterError as error:
        module.fail_json(msg=str(error))
    more = [f"{name}: earlier values removed" for name in result["forgotten"]]
    more += [f"label {name}: set" for name in result.pop("labels_changed")]
    exit_with(module, result, more)


if __name__ == "__main__":
    main()
