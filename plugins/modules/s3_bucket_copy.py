#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: copies a bucket from one S3 server to another, with its history."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_copy
short_description: Copy the objects of an S3 bucket to another server, with all versions
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Copies what the target does not have yet, each key from its oldest to its newest version, delete markers included.
  - Content, content type and the other headers of a reader, metadata and tags are kept. Versions get new ids, and the time of the copy as
    their time. Access lists, locks and storage classes are not copied.
  - A run that ended half-way can be repeated; what is at the target is recognised by the order of sizes and ETags of a key, and where
    servers form ETags differently, by O(state_file) or by reading both.
  - An object that was stored in parts is stored in the same parts, if none is larger than 512 MiB. Parts above 32 MiB go through
    temporary files.
options: {}
attributes:
  check_mode:
    support: full
    details: Lists both ends, and reads objects whose ETags do not tell whether they are the same.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: As long as nobody writes to the source.
notes:
  - Both lists are held in memory, about half a gigabyte for a million versions at each end.
  - With O(versions=current), an object that an earlier run with the same O(state_file) copied and that is gone from the source is
    deleted at the target. Keys that the source never had are left alone.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.s3
  - mlops.platform.s3_source
seealso:
  - module: mlops.platform.s3_bucket_compare
"""

EXAMPLES = r"""
- name: Copy a bucket with its history
  mlops.platform.s3_bucket_copy:
    source:
      endpoint_url: "{{ s3_source_url }}"
      access_key: "{{ s3_source_access_key }}"
      secret_key: "{{ s3_source_secret_key }}"
      bucket: example-old
    name: example-new
    endpoint_url: "{{ s3_endpoint_url }}"
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    state_file: /var/tmp/example-copy.jsonl
"""

RETURN = r"""
counts:
  description: What was copied, or would be, as numbers of C(keys), C(versions), C(delete_markers) and C(bytes).
  returned: always
  type: dict
  sample: {"keys": 1, "versions": 2, "delete_markers": 1, "bytes": 1024}
source:
  description: What the source holds, counted in the same way.
  returned: success
  type: dict
  sample: {"keys": 1, "versions": 2, "delete_markers": 1, "bytes": 1024}
target:
  description: What the target held before.
  returned: success
  type: dict
  sample: {"keys": 0, "versions": 0, "delete_markers": 0, "bytes": 0}
moved:
  description: How many keys were written to at an unversioned source while they were copied. Another run copies them.
  returned: success
  type: int
  sample: 0
changes:
  description: What was copied for each key, or would be, for the first 100 keys.
  returned: always
  type: list
  elements: str
  sample: ["artifacts/1/model.bin: 2 version(s), 1024 bytes, 1 delete marker(s)"]
"""

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error, new_module
from ansible_collections.mlops.platform.plugins.module_utils.s3_copy import Copy
from ansible_collections.mlops.platform.plugins.module_utils.s3_copy_state import Progress
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import SHOWN, Ends
from ansible_collections.mlops.platform.plugins.module_utils.s3_facts import read_fact
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import totals
from ansible_collections.mlops.platform.plugins.module_utils.s3_source import OPTIONS, two_ends


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    params, copy = module.params, None
    try:
        source, target = two_ends(module)
        if params["versions"] == "all" and read_fact(*target, "versioning") != "enabled":
            raise S3Error(
                f"bucket {params['name']} at {target[0].where} does not keep versions: enable them (s3_bucket), or copy versions: current"
            )
        ends = Ends(module, source, target)
        before = {"source": totals(ends.wanted), "target": totals(ends.there)}
        copy = Copy(ends, Progress(params["progress_file"]), params["workers"], module.check_mode)
        try:
            copy.run()
        finally:
            ends.state.close()
    except (S3Error, OSError, ValueError) as error:
        done = {"counts": copy.counts, "changes": sorted(copy.changes)[:SHOWN]} if copy else {}
        module.fail_json(msg=str(error), changed=bool(copy and any(copy.counts.values()) and not module.check_mode), **done)
    changes = sorted(copy.changes)
    result = {"changed": bool(changes), "counts": copy.counts, "changes": changes[:SHOWN], "moved": copy.moved, **before}
    if module._diff:
        result["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in changes[:SHOWN])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
