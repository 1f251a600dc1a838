#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: holds two S3 buckets against each other."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_compare
short_description: Compare two S3 buckets, version by version
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Counts what both ends hold, compares the order of versions and delete markers of every key, and reads every version at both ends to
    compare the contents.
  - Older versions that the target has beyond the source's are no difference, as the source's lifecycle rules may have removed them there.
options:
  contents:
    description:
      - Whether contents are read and compared. V(false) compares keys, order and sizes alone.
      - A version that O(state_file) says was compared already is not read again. Without that file everything is.
    type: bool
    default: true
  ignore_extra:
    description: Whether keys that the source does not have are no difference.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: Changes neither end in any mode.
  diff_mode:
    support: N/A
    details: Changes nothing; RV(differences) says how the ends differ.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.s3
  - mlops.platform.s3_source
seealso:
  - module: mlops.platform.s3_bucket_copy
"""

EXAMPLES = r"""
- name: Compare a copied bucket with the original
  mlops.platform.s3_bucket_compare:
    source:
      endpoint_url: "{{ s3_source_url }}"
      access_key: "{{ s3_source_access_key }}"
      secret_key: "{{ s3_source_secret_key }}"
      bucket: example-old
    name: example-new
    endpoint_url: "{{ s3_endpoint_url }}"
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
  register: comparison
  failed_when: comparison.msg is defined or not comparison.equal
"""

RETURN = r"""
equal:
  description: Whether the target holds all that the source does.
  returned: success
  type: bool
  sample: true
differences:
  description: In which keys the ends differ, and how; the first 100.
  returned: success
  type: list
  elements: str
  sample: ["artifacts/1/model.bin: the contents differ"]
difference_count:
  description: How many keys differ.
  returned: success
  type: int
  sample: 1
source:
  description: What the source holds, as numbers of C(keys), C(versions), C(delete_markers) and C(bytes).
  returned: success
  type: dict
  sample: {"keys": 1, "versions": 2, "delete_markers": 1, "bytes": 1024}
target:
  description: What the target holds.
  returned: success
  type: dict
  sample: {"keys": 1, "versions": 2, "delete_markers": 1, "bytes": 1024}
folders:
  description:
    - The same counts by the first two parts of the keys, as C(source) and C(target), for the folders in which they differ.
    - Older versions and extra keys at the target are counted too.
  returned: success
  type: dict
  sample: {}
read:
  description: How many versions were read at both ends for this result.
  returned: success
  type: int
  sample: 2
extra:
  description: How many keys the target has that the source does not.
  returned: success
  type: int
  sample: 0
older:
  description: How many older versions the target has beyond the source's.
  returned: success
  type: int
  sample: 0
"""

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error, new_module
from ansible_collections.mlops.platform.plugins.module_utils.s3_compare import Comparison, by_folder
from ansible_collections.mlops.platform.plugins.module_utils.s3_copy_state import Progress
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import SHOWN, Ends
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import totals
from ansible_collections.mlops.platform.plugins.module_utils.s3_source import OPTIONS as SOURCE_OPTIONS
from ansible_collections.mlops.platform.plugins.module_utils.s3_source import two_ends

OPTIONS = {
    **SOURCE_OPTIONS,
    "contents": {"type": "bool", "default": True},
    "ignore_extra": {"type": "bool", "default": False},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    params = module.params
    try:
        ends = Ends(module, *two_ends(module))
        comparison = Comparison(ends, Progress(params["progress_file"]), params["workers"], params["contents"], params["ignore_extra"])
        try:
            comparison.run()
        finally:
            ends.state.close()
    except (S3Error, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    folders = by_folder(ends.wanted), by_folder(ends.there)
    differing = sorted(name for name in {*folders[0], *folders[1]} if folders[0].get(name) != folders[1].get(name))
    module.exit_json(
        changed=False,
        equal=not comparison.differences,
        differences=comparison.differences[:SHOWN],
        difference_count=len(comparison.differences),
        source=totals(ends.wanted),
        target=totals(ends.there),
        folders={name: {"source": folders[0].get(name, {}), "target": folders[1].get(name, {})} for name in differing[:SHOWN]},
        read=comparison.read,
        extra=comparison.extra,
        older=comparison.older,
    )


if __name__ == "__main__":
    main()
