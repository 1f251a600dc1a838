#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what a bundle holds: its checksums and its bill of materials."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_manifest
short_description: Write the checksums and the bill of materials of a bundle
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Writes C(SHA256SUMS), which C(sha256sum --check) reads, and C(sbom.cdx.json), a software bill of materials in CycloneDX's JSON.
  - Files that an earlier C(SHA256SUMS) named and this one does not are left over from older versions or other settings.
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  version:
    description: The version of the collection.
    type: str
    required: true
  files:
    description: SHA-256 of every file of the bundle by its path below O(root).
    type: dict
    required: true
  components:
    description: What the other modules of this family say of those files.
    type: list
    elements: dict
    required: true
  prune:
    description: Whether what is left over is removed.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Write what the bundle holds
  mlops.platform.airgap_manifest:
    root: /srv/bundle
    version: 0.1.0
    files: "{{ fetched.files }}"
    components: "{{ fetched.components }}"
"""

RETURN = r"""
left_over:
  description: Files of an earlier bundle that this one does not have any more; with O(prune) they were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_sbom, checked_file
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file


def sums(files):
    """Return the text of a list of checksums."""
    return "".join(f"{total}  {path}\n" for path, total in sorted(files.items()))


def read(path):
    """Return the text of a file; an empty one where there is none."""
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def left_over(root, before, files):
    """Return {path: checksum} of what the old list `before` names, the new one does not, and that is there."""
    old = {path: total for path, total in before.items() if path not in files and path != airgap_bundle.SBOM}
    return {path: total for path, total in old.items() if os.path.isfile(airgap_bundle.place(root, path))}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "files": {"type": "dict", "required": True},
            "components": {"type": "list", "elements": "dict", "required": True},
            "prune": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    root, where = given["root"], os.path.join(given["root"], airgap_bundle.SUMS)
    bom = airgap_sbom.text(given["version"], given["components"])
    wanted = {airgap_bundle.SBOM: bom}
    before = {name: read(os.path.join(root, name)) for name in (airgap_bundle.SBOM, airgap_bundle.SUMS)}
    try:
        old = left_over(root, checked_file.parse_checksums(before[airgap_bundle.SUMS]), given["files"])
        # what is not pruned stays known, so that a later run can
        kept = {} if given["prune"] else old
        wanted[airgap_bundle.SUMS] = sums({**given["files"], **kept, airgap_bundle.SBOM: airgap_bundle.digest_of(bom)})
        changed = [name for name in wanted if before[name] != wanted[name]]
        if not module.check_mode:
            os.makedirs(root, exist_ok=True)
            for name in wanted:
                if name in changed:
                    replace_file(os.path.join(root, name), wanted[name].encode(), 0o644)
            for path in old if given["prune"] else []:
                os.unlink(airgap_bundle.place(root, path))
            checked_file.remove(os.path.join(root, airgap_bundle.PARTIAL))
    except (checked_file.Failed, OSError) as error:
        module.fail_json(msg=f"{where}: {error}")
    module.exit_json(
        changed=bool(changed),
        left_over=list(old),
        # the list of components has thousands of lines for the same files
        diff={"before": before[airgap_bundle.SUMS], "after": wanted[airgap_bundle.SUMS]},
    )


if __name__ == "__main__":
    main()
