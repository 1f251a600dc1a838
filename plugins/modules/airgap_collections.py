#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: this collection and those that it calls, as archives in a bundle."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_collections
short_description: Put archives of collections into a bundle
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Packs collections that are installed on this machine, after it has held every file of them against their own lists of checksums, and a
    clone through C(ansible-galaxy collection build). No Galaxy server is asked.
  - The same files make the same archive.
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  own:
    description: The directory of a collection, a clone with a C(galaxy.yml) or an installed one.
    type: path
    required: true
  names:
    description: Installed collections.
    type: list
    elements: str
    default: []
  paths:
    description: Where they are looked for, besides in the Python that runs this.
    type: list
    elements: path
    default: []
  galaxy:
    description: The program C(ansible-galaxy).
    type: str
    default: ansible-galaxy
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
- name: Pack the collections
  mlops.platform.airgap_collections:
    root: /srv/bundle
    own: "{{ playbook_dir }}/.."
    names: [kubernetes.core]
"""

RETURN = r"""
changed_paths:
  description: The archives that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [collections/kubernetes-core-6.2.0.tar.gz]
files:
  description: SHA-256 of all archives that are there, by their paths.
  returned: success
  type: dict
components:
  description: What M(mlops.platform.airgap_manifest) writes of them.
  returned: success
  type: list
  elements: dict
version:
  description: The version of the collection O(own).
  returned: success
  type: str
  sample: 0.1.0
"""

import os
import sysconfig

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_collections, checked_file
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "own": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "galaxy": {"type": "str", "default": "ansible-galaxy"},
        },
        supports_check_mode=True,
    )
    given = module.params
    root, changed, files, components = given["root"], [], {}, []
    try:
        clone = os.path.isfile(os.path.join(given["own"], "galaxy.yml"))
        own = airgap_collections.built(given["own"], given["galaxy"]) if clone else airgap_collections.installed(given["own"])
        paths = [*given["paths"], sysconfig.get_paths()["purelib"]]
        others = [airgap_collections.installed(airgap_collections.find(name, paths)) for name in given["names"]]
        for collection in [own, *others]:
            path = f"collections/{collection.archive}"
            target, ready = airgap_bundle.place(root, path), os.path.join(module.tmpdir, collection.archive)
            airgap_collections.write(collection, ready)
            files[path] = digest(ready)
            if digest(target) != files[path]:
                changed.append(path)
                if not module.check_mode:
                    # from another file system it would not be one step
                    whole = airgap_bundle.partial(root, collection.archive)
                    module.atomic_move(ready, whole)
                    airgap_bundle.settle(root, whole, path)
            info = collection.info
            components.append(
                airgap_bundle.component(
                    "library",
                    f"{info['namespace']}.{info['name']}",
                    info["version"],
                    f"pkg:generic/{info['namespace']}.{info['name']}@{info['version']}",
                    path,
                    files[path],
                    " AND ".join(info.get("license") or []),
                )
            )
    except (checked_file.Failed, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changed),
        changed_paths=changed,
        files=files,
        components=components,
        version=own.info["version"],
        diff={"before": "", "after": "".join(f"{path}\n" for path in changed)},
    )


if __name__ == "__main__":
    main()
