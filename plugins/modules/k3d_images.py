#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: images of Docker, and archives of images, in the nodes of a cluster of k3d."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3d_images
short_description: Bring images into the nodes of a cluster in containers
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Imports images with C(k3d image import). As k3d does not tell which a cluster has, what was imported is noted in O(directory), with
    the identity of the image or archive and of the cluster; another one of either is imported again.
options:
  name:
    description: The cluster's name.
    type: str
    required: true
  images:
    description: Names of images that Docker has here, or paths of archives.
    type: list
    elements: str
    required: true
  directory:
    description: Where it is noted.
    type: path
    required: true
  program:
    description: The program C(k3d).
    type: path
    default: k3d
  docker:
    description: The program C(docker).
    type: str
    default: docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
    details: An image that somebody removed from a node is not missed.
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Bring an image of our own into the cluster
  mlops.platform.k3d_images:
    name: mlops
    images: [registry.example.org/mlops/mlflow:3.17.2]
    directory: ~/.config/mlops-k3d
"""

RETURN = r"""
imported:
  description: The images that were imported, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [registry.example.org/mlops/mlflow:3.17.2]
"""

import json
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3d
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file


def identity(docker, image):
    """Return what tells an archive or an image of Docker from another one of the same name. Raises k3d.Failed."""
    if os.path.isfile(image):
        return digest(image)
    try:
        return k3d.run(docker, "image", "inspect", "--format", "{{.Id}}", image).strip()
    except k3d.Failed as error:
        raise k3d.Failed(f"{image} is neither an archive nor an image that Docker has here; pull or build it first. {error}") from error


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "images": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "program": {"type": "path", "default": "k3d"},
            "docker": {"type": "str", "default": "docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    note = os.path.join(given["directory"], f"{given['name']}.images.json")
    try:
        found = k3d.clusters(given["program"]).get(given["name"]) if shutil.which(given["program"]) else None
        if found is None and not module.check_mode:
            raise k3d.Failed(f"there is no cluster {given['name']}")
        cluster, known = k3d.created(found or {}), {}
        if os.path.isfile(note):
            with open(note, encoding="utf-8") as stream:
                noted = json.load(stream)
            known = noted["images"] if noted["cluster"] == cluster else {}
        now = {image: identity(given["docker"], image) for image in given["images"]}
        missing = [image for image, total in now.items() if known.get(image) != total]
        if missing and not module.check_mode:
            k3d.run(given["program"], "image", "import", "--cluster", given["name"], *missing)
            content = {"cluster": cluster, "images": {**known, **{image: now[image] for image in missing}}}
            os.makedirs(given["directory"], mode=0o700, exist_ok=True)
            replace_file(note, (json.dumps(content, indent=1) + "\n").encode(), 0o600)
    except (k3d.Failed, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(missing), imported=missing, diff={"before": "", "after": "".join(f"{image}\n" for image in missing)})


if __name__ == "__main__":
    main()
