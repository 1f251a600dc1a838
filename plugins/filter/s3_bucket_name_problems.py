# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what S3 forbids in the name of a bucket, as the modules of this collection say it."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3_names import bucket_name_problems

DOCUMENTATION = r"""
name: s3_bucket_name_problems
short_description: What S3 forbids in the name of a bucket
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Returns the rules of S3 that a name breaks, each in words. M(mlops.platform.s3_bucket) holds names against the same rules.
options:
  _input:
    description: The name.
    type: str
    required: true
seealso:
  - module: mlops.platform.s3_bucket
"""

EXAMPLES = r"""
- name: Refuse a name that S3 forbids
  ansible.builtin.assert:
    that: bucket_name | mlops.platform.s3_bucket_name_problems | length == 0
"""

RETURN = r"""
_value:
  description: The broken rules; empty for a good name.
  type: list
  elements: str
  sample: ["it has two dots in a row"]
"""


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"s3_bucket_name_problems": bucket_name_problems}
