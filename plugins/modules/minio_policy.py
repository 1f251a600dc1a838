#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module minio_policy: options and result; the work is in module_utils/minio_policy.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_policy
short_description: A policy of a MinIO server, for users and groups
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Creates, replaces or removes a policy that users and groups of a MinIO server can be attached to, with M(mlops.platform.minio_user).
  - Two policies are the same when they mean the same. The order of keys, statements and list items does not count.
options:
  name:
    description: Name of the policy.
    type: str
    required: true
  state:
    description:
      - Whether the policy exists. The server refuses to remove one that a user or group has.
    type: str
    choices: [present, absent]
    default: present
  policy:
    description:
      - The policy, as a dictionary or JSON text. Required with O(state=present).
      - MinIO refuses the deletion of a version only where a statement denies C(s3:DeleteObjectVersion). To allow C(s3:DeleteObject) alone
        does not keep anybody from it.
    type: json
attributes:
  check_mode:
    support: full
    details: A server can still refuse a policy in the real run, for an action that it does not know; this shows only then.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.minio
seealso:
  - module: mlops.platform.minio_user
"""

EXAMPLES = r"""
- name: Read, write and delete in one bucket, and keep the versions
  mlops.platform.minio_policy:
    endpoint_url: "{{ minio_endpoint_url }}"
    access_key: "{{ minio_access_key }}"
    secret_key: "{{ minio_secret_key }}"
    name: example-artifacts
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Action: [s3:ListBucket, s3:GetBucketLocation]
          Resource: arn:aws:s3:::example-artifacts
        - Effect: Allow
          Action: [s3:GetObject, s3:PutObject, s3:DeleteObject]
          Resource: arn:aws:s3:::example-artifacts/*
        - Effect: Deny
          Action: s3:DeleteObjectVersion
          Resource: arn:aws:s3:::example-artifacts/*
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, in order. Empty when nothing had to change. On a failure what was done before it.
  returned: always after the first request
  type: list
  elements: str
  sample: ["create"]
policy:
  description: The policy as it is after the run, or would be. Null when there is none.
  returned: success
  type: dict
  sample: {"Version": "2012-10-17", "Statement": []}
"""

from ansible_collections.mlops.platform.plugins.module_utils.minio import Connection, MinioError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.minio_policy import PolicyManager
from ansible_collections.mlops.platform.plugins.module_utils.s3_policy import parse_policy

OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "policy": {"type": "json"},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS, required_if=[("state", "present", ["policy"])])
    params, manager, wanted = module.params, None, None
    try:
        if params["state"] == "present":
            wanted = parse_policy(params["policy"])
            if not wanted:
                module.fail_json(msg="policy: it is empty; to remove the policy, set state to absent")
        manager = PolicyManager(Connection(module), params["name"], module.check_mode)
        before = manager.find()
        if params["state"] == "present":
            after = manager.ensure_present(before, wanted)
        else:
            manager.ensure_absent(before)
            after = None
    except ValueError as error:
        module.fail_json(msg=f"policy: {error}")
    except MinioError as error:
        done = {} if manager is None else {"changes": manager.changes, "changed": bool(manager.changes)}
        module.fail_json(msg=str(error), **done)
    result = {"changed": bool(manager.changes), "changes": manager.changes, "policy": after}
    if module._diff:
        result["diff"] = {"before": before or {}, "after": after or {}}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
