#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what an S3 server says of its buckets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_info
short_description: Read S3 buckets and their settings
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns one bucket, or all buckets of an identity, with the settings that are asked for.
  - Each setting costs one request per bucket.
options:
  name:
    description:
      - Return only this bucket. A bucket that does not exist is no failure; RV(buckets) is empty then.
      - When unset, all buckets that belong to the identity are returned.
    type: str
  prefix:
    description:
      - Return only the buckets whose name begins with this.
    type: str
  gather:
    description:
      - Which settings are read. V(all) means all of them, an empty list none.
    type: list
    elements: str
    choices: [all, versioning, object_lock, tags, lifecycle_rules, policy, encryption, public_access, location]
    default: [versioning]
attributes:
  check_mode:
    support: full
    details: Changes nothing in any mode.
  diff_mode:
    support: N/A
    details: Changes nothing, so that there is no difference.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.s3
seealso:
  - module: mlops.platform.s3_bucket
"""

EXAMPLES = r"""
- name: Read buckets of one server, with the connection given once
  module_defaults:
    group/mlops.platform.s3:
      endpoint_url: "{{ s3_endpoint_url }}"
      access_key: "{{ s3_access_key }}"
      secret_key: "{{ s3_secret_key }}"
  block:
    - name: The names of all buckets, in one request
      mlops.platform.s3_bucket_info:
        gather: []
      register: names

    - name: All that the server says of one bucket
      mlops.platform.s3_bucket_info:
        name: example-artifacts
        gather: [all]
      register: artifacts

- name: Which buckets keep versions, with the connection given in full
  mlops.platform.s3_bucket_info:
    prefix: example-
    endpoint_url: "{{ s3_endpoint_url }}"
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    region: us-east-1
    addressing_style: path
"""

RETURN = r"""
buckets:
  description: The buckets that were found, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the bucket.
      returned: always
      type: str
      sample: example-artifacts
    creation_date:
      description: When the bucket was created, in UTC. Null when O(name) was given, as only the list of all buckets has it.
      returned: always
      type: str
      sample: "2026-01-31T12:00:00+00:00"
    unavailable:
      description:
        - Settings that could not be read, each with the reason. They are null in the bucket.
        - V(not_implemented) means that the server does not have the feature. Everything else is the server's own words, for example
          when the identity may not read it.
      returned: always
      type: dict
      sample: {"public_access": "not_implemented"}
    versioning:
      description: V(enabled), V(suspended), or V(disabled) for a bucket that never had it.
      returned: when gathered
      type: str
      sample: enabled
    object_lock:
      description: C(enabled), C(mode) of the default retention (V(governance), V(compliance), V(none)) and its C(days) or C(years).
      returned: when gathered
      type: dict
      sample: {"enabled": true, "mode": "governance", "days": 30}
    tags:
      description: Tags of the bucket.
      returned: when gathered
      type: dict
      sample: {"platform": "mlops"}
    lifecycle_rules:
      description:
        - The rules in the form of the option of M(mlops.platform.s3_bucket), sorted by id, without what is unset.
        - What a rule says beyond that option stands under C(other), in S3's own words.
      returned: when gathered
      type: list
      elements: dict
      sample: [{"id": "old-versions", "enabled": true, "noncurrent_version_expiration_days": 30}]
    policy:
      description: The policy as the server shows it, empty when there is none.
      returned: when gathered
      type: dict
      sample: {}
    encryption:
      description: Default encryption with C(algorithm), C(kms_key_id) and C(bucket_key_enabled), empty when there is none.
      returned: when gathered
      type: dict
      sample: {"algorithm": "AES256", "kms_key_id": null, "bucket_key_enabled": false}
    public_access:
      description:
        - What the public access block forbids, with C(block_public_acls), C(ignore_public_acls), C(block_public_policy) and
          C(restrict_public_buckets). Empty when there is none.
      returned: when gathered
      type: dict
      sample: {}
    location:
      description: Region of the bucket.
      returned: when gathered
      type: str
      sample: us-east-1
"""

from ansible_collections.mlops.platform.plugins.module_utils.s3 import NOT_IMPLEMENTED, Connection, S3Error, new_module
from ansible_collections.mlops.platform.plugins.module_utils.s3_facts import FACTS, bucket_exists, read_fact
from ansible_collections.mlops.platform.plugins.module_utils.s3_names import bucket_name_problems

OPTIONS = {
    "name": {"type": "str"},
    "prefix": {"type": "str"},
    "gather": {"type": "list", "elements": "str", "choices": ["all", *FACTS], "default": ["versioning"]},
}
# an identity may own a bucket and not be allowed to read all of its settings
DENIED = {"AccessDenied", "Forbidden", "403"}


def find(connection, name, prefix):
    """Return {name: creation date or None} of the buckets that are asked for. Raises S3Error."""
    if name:
        return {name: None} if bucket_exists(connection, name) else {}
    listed = connection.call("list buckets", "list_buckets").get("Buckets", [])
    found = {entry["Name"]: entry.get("CreationDate") for entry in listed if entry["Name"].startswith(prefix or "")}
    return {key: date and date.isoformat() for key, date in found.items()}


def describe(connection, name, date, facts):
    """Return what the server says of the bucket `name`, or None when it is gone. Raises S3Error."""
    bucket = {"name": name, "creation_date": date, "unavailable": {}}
    for fact in facts:
        try:
            bucket[fact] = read_fact(connection, name, fact)
        except S3Error as error:
            if error.code == "NoSuchBucket":  # deleted since the list was read
                return None
            if error.code not in NOT_IMPLEMENTED | DENIED:
                raise
            bucket[fact] = None
            bucket["unavailable"][fact] = "not_implemented" if error.code in NOT_IMPLEMENTED else str(error)
    return bucket


def main():
    """Run the module."""
    module = new_module(OPTIONS, mutually_exclusive=[["name", "prefix"]])
    name, gather = module.params["name"], module.params["gather"]
    facts = [fact for fact in FACTS if fact in gather or "all" in gather]
    try:
        problems = bucket_name_problems(name) if name else []
        if problems:
            raise S3Error(f"name {name!r} is no S3 bucket name: " + "; ".join(problems))
        connection = Connection(module)
        found = find(connection, name, module.params["prefix"])
        buckets = [describe(connection, key, found[key], facts) for key in sorted(found)]
    except S3Error as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, buckets=[bucket for bucket in buckets if bucket is not None])


if __name__ == "__main__":
    main()
