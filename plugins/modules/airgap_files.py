#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the binaries and manifests of a bundle, at the paths that they have below their hosts' names."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_files
short_description: Fetch released files into a bundle
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Fetches those files that the bundle lacks, or has with another checksum than the one that is pinned.
  - Each takes its name when it is whole and verified; what was there before stays until then, and stays where the new one is wrong.
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The path below O(root), which begins with the name of the original host.
        type: str
        required: true
      url:
        description: Where it is fetched from.
        type: str
        required: true
      sha256:
        description: Its checksum.
        type: str
      list:
        description:
          - The path of a checksum list among O(files), before this one, which must have its name.
          - Where there is O(files[].sha256) too, both must agree.
          - A file with neither is such a list, and is what its URL gave when it was fetched first.
        type: str
      name:
        description: What it is, for the list of components. A file without is in the list of checksums alone.
        type: str
      version:
        description: Its version.
        type: str
        default: ""
      purl:
        description: Its package URL.
        type: str
        default: ""
      licence:
        description: Its licence, as an SPDX expression.
        type: str
        default: ""
  space_mb:
    description: MiB of free disk that all of the files need. What is there already is taken off.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    details: Nothing is fetched, so a file that cannot be had is not noticed.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Fetch MetalLB's manifest
  mlops.platform.airgap_files:
    root: /srv/bundle
    files:
      - path: raw.githubusercontent.com/metallb/metallb/v0.16.1/config/manifests/metallb-native.yaml
        url: https://raw.githubusercontent.com/metallb/metallb/v0.16.1/config/manifests/metallb-native.yaml
        sha256: bf25feebb7582ca7df845efd52ffbc2960d6cbf4cfc972f47fded9f788b67f0b
        name: metallb
        version: 0.16.1
        purl: pkg:github/metallb/metallb@v0.16.1
        licence: Apache-2.0
"""

RETURN = r"""
changed_paths:
  description: The files that were fetched, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [raw.githubusercontent.com/metallb/metallb/v0.16.1/config/manifests/metallb-native.yaml]
files:
  description: SHA-256 of all files that are there, by their paths.
  returned: success
  type: dict
components:
  description: What M(mlops.platform.airgap_manifest) writes of them.
  returned: success
  type: list
  elements: dict
"""

import hashlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, checked_file
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest

FILE = {
    "path": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "sha256": {"type": "str"},
    "list": {"type": "str"},
    "name": {"type": "str"},
    "version": {"type": "str", "default": ""},
    "purl": {"type": "str", "default": ""},
    "licence": {"type": "str", "default": ""},
}


def pinned(root, entry):
    """Return the checksum that a file must have; None where a list is not there yet, or the file is one. Raises checked_file.Failed."""
    if not entry["list"]:
        return entry["sha256"]
    where = airgap_bundle.place(root, entry["list"])
    if not os.path.isfile(where):
        return entry["sha256"]
    name = os.path.basename(entry["path"])
    listed = checked_file.parse_checksums(checked_file.read(where)).get(name)
    if not listed:
        raise checked_file.Failed(f"{where} has no checksum of {name}")
    if entry["sha256"] and entry["sha256"] != listed:
        raise checked_file.Failed(
            f"{where} says {listed} of {name}, and {entry['sha256']} is pinned. Remove that list if it is not the release's own"
        )
    return listed


def is_there(root, entry):
    """Return whether the bundle has the file as it should be."""
    total = digest(airgap_bundle.place(root, entry["path"]))
    if total is None or not (entry["list"] or entry["sha256"]):
        return total is not None
    return total == pinned(root, entry)


def bring(root, entry):
    """Fetch one file into the bundle. Raises checked_file.Failed, and leaves what is there as it is."""
    wanted = pinned(root, entry)
    if wanted is None:
        content = checked_file.read(entry["url"])
        if not checked_file.parse_checksums(content):
            raise checked_file.Failed(f"{entry['url']} is no list of checksums")
        ready = airgap_bundle.partial(root, "list")
        with open(ready, "w", encoding="utf-8") as stream:
            stream.write(content)
    else:
        ready = airgap_bundle.partial(root, hashlib.sha256(entry["path"].encode()).hexdigest()[:16])
        checked_file.fetch(entry["url"], ready, wanted)
    airgap_bundle.settle(root, ready, entry["path"])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "required": True, "options": FILE},
            "space_mb": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    root, files = module.params["root"], module.params["files"]
    fetched = []
    try:
        missing = [entry for entry in files if not is_there(root, entry)]
        airgap_bundle.require_space(root, module.params["space_mb"] if missing else 0, len(missing), len(files))
        for entry in missing:
            if not module.check_mode:
                bring(root, entry)
            fetched.append(entry["path"])
    except (checked_file.Failed, OSError) as error:
        module.fail_json(msg=str(error), changed=bool(fetched), changed_paths=fetched)
    found = {entry["path"]: total for entry in files for total in [digest(airgap_bundle.place(root, entry["path"]))] if total}
    module.exit_json(
        changed=bool(fetched),
        changed_paths=fetched,
        files=found,
        components=[
            airgap_bundle.component(
                "application", entry["name"], entry["version"], entry["purl"], entry["path"], found[entry["path"]], entry["licence"]
            )
            for entry in files
            if entry["name"] and entry["path"] in found
        ],
        diff={"before": "", "after": "".join(f"{path}\n" for path in fetched)},
    )


if __name__ == "__main__":
    main()
