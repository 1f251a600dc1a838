#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: container images as archives in a bundle."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_images
short_description: Put archives of container images into a bundle
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Fetches, with C(skopeo) or C(podman) and their own settings for registries and logins, those images that the bundle lacks, one archive
    for each and for each architecture.
  - An image that has a digest is refused by these programs where it is another one. What a registry gave for a tag is noted in
    C(images/digests.json) when it is fetched first, and stays until that archive is removed.
requirements: [skopeo or podman]
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  images:
    description: The images, with a registry and a tag or a digest.
    type: list
    elements: str
    required: true
  machines:
    description: The architectures, such as V(x86_64).
    type: list
    elements: str
    required: true
  digests:
    description: Digests by images. They must be these.
    type: dict
    default: {}
  program:
    description: What fetches them. V(auto) takes the first one that is here.
    type: str
    choices: [auto, skopeo, podman]
    default: auto
  required:
    description: Whether an image that cannot be had fails the task, after all others were fetched. Else it is in RV(unavailable).
    type: bool
    default: true
  space_mb:
    description: MiB of free disk that all of the images need. What is there already is taken off.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    details: Nothing is fetched, so an image that cannot be had is not noticed.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Fetch an image
  mlops.platform.airgap_images:
    root: /srv/bundle
    images: [quay.io/metallb/controller:v0.16.1]
    machines: [x86_64]
"""

RETURN = r"""
changed_paths:
  description: The archives that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [images/amd64/quay.io_metallb_controller_v0.16.1.tar]
files:
  description: SHA-256 of all files that are there, by their paths.
  returned: success
  type: dict
components:
  description: What M(mlops.platform.airgap_manifest) writes of them.
  returned: success
  type: list
  elements: dict
unavailable:
  description: The images that the bundle does not have, each with the reason.
  returned: always
  type: list
  elements: str
  sample: []
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_images, checked_file, k3s_release
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file

NOTES = "images/digests.json"


class Images:
    """The images of a bundle, and what is known of them: {path: {image, digest, sha256}}."""

    def __init__(self, module):
        self.module, self.root = module, module.params["root"]
        self.notes = airgap_bundle.place(self.root, NOTES)
        self.known = {}
        if os.path.isfile(self.notes):
            with open(self.notes, encoding="utf-8") as stream:
                self.known = json.load(stream)

    def pinned(self, reference):
        """Return the digest that an image must have, or an empty text."""
        return self.module.params["digests"].get(reference) or airgap_images.split(reference)[2]

    def is_there(self, reference, path):
        """Return whether the archive is the one that was written, of the image that is wanted."""
        note = self.known.get(path, {})
        if note.get("image") != reference or self.pinned(reference) not in ("", note.get("digest")):
            return False
        return digest(airgap_bundle.place(self.root, path)) == note.get("sha256")

    def bring(self, program, reference, architecture, path):
        """Fetch one image into the bundle. Raises checked_file.Failed."""
        ready = airgap_bundle.partial(self.root, os.path.basename(path))
        found = airgap_images.fetch(program, reference, self.pinned(reference), architecture, ready)
        note = {"image": reference, "digest": found, "sha256": digest(ready)}
        airgap_bundle.settle(self.root, ready, path)
        self.known[path] = note
        replace_file(self.notes, (json.dumps(self.known, indent=1, sort_keys=True) + "\n").encode(), 0o644)


def component(path, note):
    """Return an image's entry for the list of components."""
    name, tag, _digest = airgap_images.split(note["image"])
    purl = f"pkg:oci/{name.split('/')[-1].lower()}@{note['digest'].replace(':', '%3A')}?repository_url={name}&tag={tag}"
    return airgap_bundle.component("container", name, tag or note["digest"], purl, path, note["sha256"])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "images": {"type": "list", "elements": "str", "required": True},
            "machines": {"type": "list", "elements": "str", "required": True},
            "digests": {"type": "dict", "default": {}},
            "program": {"type": "str", "choices": ["auto", "skopeo", "podman"], "default": "auto"},
            "required": {"type": "bool", "default": True},
            "space_mb": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given, changed, unavailable = module.params, [], []
    try:
        images = Images(module)
        names = [(one, k3s_release.ARCHITECTURES.get(machine, machine)) for one in given["images"] for machine in given["machines"]]
        wanted = [(one, architecture, airgap_images.archive(one, architecture)) for one, architecture in names]
        missing = [entry for entry in wanted if not images.is_there(entry[0], entry[2])]
        program = airgap_images.program(given["program"])
        if missing and not program:
            needed = "skopeo or podman" if given["program"] == "auto" else given["program"]
            unavailable = [f"{reference} ({architecture}): {needed} is not installed here" for reference, architecture, _path in missing]
        elif missing:
            airgap_bundle.require_space(given["root"], given["space_mb"], len(missing), len(wanted))
            for reference, architecture, path in missing:
                try:
                    if not module.check_mode:
                        images.bring(program, reference, architecture, path)
                    changed.append(path)
                except checked_file.Failed as error:
                    unavailable.append(f"{reference} ({architecture}): {error}")
    except (checked_file.Failed, OSError, ValueError) as error:
        module.fail_json(msg=str(error), unavailable=unavailable)
    if unavailable and given["required"]:
        module.fail_json(
            msg=f"{len(unavailable)} image(s) could not be fetched, and airgap_images asks for them: {'; '.join(unavailable)}."
            " Run it where their registries are reached, or set airgap_images to available, which leaves them out",
            changed=bool(changed),
            unavailable=unavailable,
        )
    there = {path: images.known[path] for reference, _architecture, path in wanted if images.is_there(reference, path)}
    files = {path: note["sha256"] for path, note in there.items()}
    if there:
        files[NOTES] = digest(images.notes)
    module.exit_json(
        changed=bool(changed),
        changed_paths=changed,
        files=files,
        components=[component(path, note) for path, note in sorted(there.items())],
        unavailable=unavailable,
        diff={"before": "", "after": "".join(f"{path}\n" for path in changed)},
    )


if __name__ == "__main__":
    main()
