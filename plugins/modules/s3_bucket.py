#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: an S3 bucket and its settings."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket
short_description: Manage an S3 bucket, its versioning, lifecycle, tags, policy and Object Lock
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Creates, changes and deletes a bucket on AWS or on any server that speaks its protocol (SeaweedFS, MinIO, Ceph and others).
  - An option that is not set is neither read nor changed. Each option that is set costs one request when nothing has to change.
  - Settings are compared by meaning, not by how a server writes them down.
  - After a change the module reads the setting back and fails when the server shows something else.
options:
  name:
    description:
      - Name of the bucket. It is checked against the rules of S3 before any request.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that the bucket exists with the settings that are given.
      - V(absent) makes sure that there is no such bucket. All settings are then ignored. See O(force).
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - With O(state=absent), delete a bucket that is not empty, with every object, all their versions, the delete markers and the
        unfinished multipart uploads.
      - Without it a bucket with any of these is left as it is and the module fails, and says what it found.
    type: bool
    default: false
  versioning:
    description:
      - Whether the bucket keeps old versions of its objects. Once enabled, versioning can only be suspended, not removed.
    type: str
    choices: [enabled, suspended]
  object_lock:
    description:
      - Whether the bucket has Object Lock. It belongs to the creation of a bucket, and enables versioning.
      - V(true) for a bucket that exists without it works only where its versioning is enabled, or with O(versioning=enabled), and
        where the server can do that.
      - V(false) for a bucket that has it is refused, as Object Lock cannot be switched off.
    type: bool
  object_lock_retention:
    description:
      - The retention that new objects get. Needs O(object_lock=true).
    type: dict
    suboptions:
      mode:
        description:
          - V(governance) lets identities with a special permission end it early, V(compliance) nobody.
          - V(none) removes the default retention; objects keep theirs.
        type: str
        choices: [governance, compliance, none]
        required: true
      days:
        description: How many days. Either this or O(object_lock_retention.years), unless the mode is V(none).
        type: int
      years:
        description: How many years.
        type: int
  tags:
    description:
      - Tags of the bucket. Numbers and booleans become text (V(true), V(false)).
      - An empty dictionary removes all tags when O(purge_tags=true).
    type: dict
  purge_tags:
    description:
      - Whether tags that are not in O(tags) are removed. Only counts when O(tags) is set. Tags of AWS itself (C(aws:...)) stay.
    type: bool
    default: true
  policy:
    description:
      - The bucket's policy, as a dictionary or JSON text. An empty text or dictionary removes it.
      - Two policies are the same when they mean the same. The order of keys, statements and list items does not count, one item is
        a list of one, the case of actions does not count, and an account's number is its root.
    type: json
  lifecycle_rules:
    description:
      - All lifecycle rules of the bucket; others on the server are removed. An empty list removes all. Their order does not count.
    type: list
    elements: dict
    suboptions:
      id:
        description: Name of the rule, unique in the bucket.
        type: str
        required: true
      enabled:
        description: Whether the rule is in force.
        type: bool
        default: true
      prefix:
        description: Limits the rule to objects whose key begins with this.
        type: str
      tags:
        description: Limits the rule to objects that have all of these tags.
        type: dict
      expiration_days:
        description: Delete an object so many days after its creation (a versioned bucket then gets a delete marker).
        type: int
      expired_object_delete_marker:
        description:
          - Remove delete markers that have no older version behind them. Not together with
            O(lifecycle_rules[].expiration_days) or O(lifecycle_rules[].tags).
        type: bool
      noncurrent_version_expiration_days:
        description: Delete an old version so many days after a newer one replaced it.
        type: int
      newer_noncurrent_versions:
        description: Keep so many of the newest old versions in any case. Needs O(lifecycle_rules[].noncurrent_version_expiration_days).
        type: int
      abort_incomplete_multipart_days:
        description: Abort a multipart upload that is unfinished so many days after its start. Not together with O(lifecycle_rules[].tags).
        type: int
attributes:
  check_mode:
    support: full
    details: A server can still refuse in the real run what it does not support; this shows only then.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.s3
seealso:
  - module: mlops.platform.s3_bucket_info
"""

EXAMPLES = r"""
- name: A bucket, with the connection given in full
  mlops.platform.s3_bucket:
    name: example-artifacts
    endpoint_url: "{{ s3_endpoint_url }}"
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    region: us-east-1
    addressing_style: path
    versioning: enabled

- name: Buckets of one server, with the connection given once
  module_defaults:
    group/mlops.platform.s3:
      endpoint_url: "{{ s3_endpoint_url }}"
      access_key: "{{ s3_access_key }}"
      secret_key: "{{ s3_secret_key }}"
  block:
    - name: Versions that clean up after themselves
      mlops.platform.s3_bucket:
        name: example-artifacts
        versioning: enabled
        tags:
          platform: mlops
          stage: "{{ s3_stage }}"
        lifecycle_rules:
          - id: old-versions
            noncurrent_version_expiration_days: 30
            newer_noncurrent_versions: 3
            abort_incomplete_multipart_days: 7
          - id: delete-markers
            expired_object_delete_marker: true
          - id: scratch
            prefix: tmp/
            tags:
              keep: "no"
            expiration_days: 2

    - name: Nobody but the owner of the rule changes the versioning
      mlops.platform.s3_bucket:
        name: example-artifacts
        policy:
          Version: "2012-10-17"
          Statement:
            - Sid: KeepVersioning
              Effect: Deny
              Principal: "*"
              Action: s3:PutBucketVersioning
              Resource: arn:aws:s3:::example-artifacts

    - name: No policy, no lifecycle rules and no tags
      mlops.platform.s3_bucket:
        name: example-artifacts
        policy: {}
        lifecycle_rules: []
        tags: {}

    - name: A bucket whose new objects stay for 30 days
      mlops.platform.s3_bucket:
        name: example-backup
        object_lock: true
        object_lock_retention:
          mode: governance
          days: 30

    - name: Remove a bucket with all of its content
      mlops.platform.s3_bucket:
        name: example-artifacts
        state: absent
        force: true

    - name: Remove a bucket that must be empty
      mlops.platform.s3_bucket:
        name: example-backup
        state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, in order. Empty when nothing had to change. On a failure what was done before it.
  returned: always after the first request
  type: list
  elements: str
  sample: ["create bucket", "versioning: disabled -> enabled", "tags: add platform, stage"]
bucket:
  description:
    - The bucket as it is after the run, or would be. Only the settings that were asked for are in it.
    - A setting that the server does not implement is null.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the bucket.
      type: str
      returned: always
      sample: example-artifacts
    state:
      description: V(present) or V(absent).
      type: str
      returned: always
      sample: present
    versioning:
      description: V(enabled), V(suspended), or V(disabled) for a bucket that never had it.
      type: str
      returned: when asked for
      sample: enabled
    object_lock:
      description: C(enabled), C(mode) of the default retention (V(governance), V(compliance), V(none)) and its C(days) or C(years).
      type: dict
      returned: when asked for
      sample: {"enabled": true, "mode": "governance", "days": 30}
    tags:
      description: Tags of the bucket.
      type: dict
      returned: when asked for
      sample: {"platform": "mlops"}
    policy:
      description: The policy as the server shows it.
      type: dict
      returned: when asked for
      sample: {}
    lifecycle_rules:
      description:
        - The rules in the form of the option, sorted by id, without what is unset.
        - What a rule on the server says beyond the option stands under C(other), in S3's own words.
      type: list
      elements: dict
      returned: when asked for
      sample: [{"id": "old-versions", "enabled": true, "noncurrent_version_expiration_days": 30}]
removed:
  description: How much of the bucket's content was removed with O(force), or would be. On a failure how much was removed before it.
  returned: when an existing bucket is to be deleted
  type: dict
  contains:
    versions:
      description: Versions of objects, the current ones included. An object of a bucket without versioning has one.
      type: int
      returned: always
      sample: 12
    delete_markers:
      description: Delete markers.
      type: int
      returned: always
      sample: 1
    multipart_uploads:
      description: Unfinished multipart uploads.
      type: int
      returned: always
      sample: 0
"""

from ansible_collections.mlops.platform.plugins.module_utils.s3 import Connection, S3Error, new_module
from ansible_collections.mlops.platform.plugins.module_utils.s3_bucket import Bucket
from ansible_collections.mlops.platform.plugins.module_utils.s3_lifecycle import RULE_SPEC
from ansible_collections.mlops.platform.plugins.module_utils.s3_wishes import checked_wishes

OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
    "versioning": {"type": "str", "choices": ["enabled", "suspended"]},
    "object_lock": {"type": "bool"},
    "object_lock_retention": {
        "type": "dict",
        "options": {
            "mode": {"type": "str", "choices": ["governance", "compliance", "none"], "required": True},
            "days": {"type": "int"},
            "years": {"type": "int"},
        },
    },
    "tags": {"type": "dict"},
    "purge_tags": {"type": "bool", "default": True},
    "policy": {"type": "json"},
    "lifecycle_rules": {"type": "list", "elements": "dict", "options": RULE_SPEC},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS, required_by={"object_lock_retention": ["object_lock"]})
    params, bucket = module.params, None
    try:
        wishes = checked_wishes(params)
        bucket = Bucket(Connection(module), params["name"], module.check_mode)
        if params["state"] == "present":
            bucket.present(wishes, object_lock=params["object_lock"])
        else:
            bucket.absent(params["force"])
    except S3Error as error:
        done = {} if bucket is None else {"changes": bucket.changes, "changed": bool(bucket.changes)}
        if bucket is not None and bucket.removed is not None:
            done["removed"] = bucket.removed
        module.fail_json(msg=str(error), **done)
    result = {"changed": bool(bucket.changes), "changes": bucket.changes, "bucket": bucket.after}
    if bucket.removed is not None:
        result["removed"] = bucket.removed
    if module._diff:
        result["diff"] = {"before": bucket.before, "after": bucket.after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
