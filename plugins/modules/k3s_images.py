#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: archives of images where K3s imports them, whole or not at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_images
short_description: Put archives of images where K3s imports them
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Moves archives from a directory on the same file system, and gives them the time that they have on the controller, by which the next
    run knows them. K3s watches the place that they come to, and would import half an archive.
  - It starts and restarts nothing.
options:
  archives:
    description: The archives that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the file.
        type: str
        required: true
      size:
        description: Its size in bytes. A file of another size was not copied whole, and is refused.
        type: int
        required: true
      mtime:
        description: The time of its last change, in seconds since 1970.
        type: int
        required: true
  directory:
    description: Where they were copied to. It is removed at the end, with what is left in it.
    type: path
    required: true
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Let K3s import an archive that was copied before
  mlops.platform.k3s_images:
    directory: /var/lib/rancher/k3s/agent/.mlops-images
    archives:
      - {name: mlflow.tar.zst, size: 396361728, mtime: 1790000000}
"""

RETURN = r"""
changed_paths:
  description: The archives that were put in place, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/rancher/k3s/agent/images/mlflow.tar.zst]
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3s_archives, k3s_lock


def place(module, archive, path):
    """Move one archive to `path`. Fails the module where it is not whole. Raises OSError."""
    source = os.path.join(module.params["directory"], archive["name"])
    size = k3s_archives.facts(source)["size"]
    if size != archive["size"]:
        module.fail_json(msg=f"{source} has {size} bytes and should have {archive['size']}: the file on the controller changed. Run again")
    os.chown(source, 0 if os.geteuid() == 0 else -1, 0 if os.geteuid() == 0 else -1)
    os.chmod(source, 0o644)
    os.utime(source, (archive["mtime"], archive["mtime"]))
    os.rename(source, path)
    # does nothing where SELinux is off
    module.set_default_selinux_context(path, False)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "archives": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "size": {"type": "int", "required": True},
                    "mtime": {"type": "int", "required": True},
                },
            },
            "directory": {"type": "path", "required": True},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
        },
        supports_check_mode=True,
    )
    given = module.params
    target = k3s_archives.folder(given["data_dir"])
    changed = []
    try:
        with k3s_lock.alone(not module.check_mode):
            there = k3s_archives.present(given["data_dir"])
            for archive in given["archives"]:
                path = os.path.join(target, archive["name"])
                if there.get(archive["name"]) != {"size": archive["size"], "mtime": archive["mtime"]}:
                    if not module.check_mode:
                        os.makedirs(target, mode=0o755, exist_ok=True)
                        place(module, archive, path)
                    changed.append(path)
            if not module.check_mode:
                shutil.rmtree(given["directory"], ignore_errors=True)
    except OSError as error:
        module.fail_json(msg=f"the archives of images were not put in place. {error}")
    module.exit_json(changed=bool(changed), changed_paths=changed)


if __name__ == "__main__":
    main()
