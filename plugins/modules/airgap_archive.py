#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: a bundle as one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_archive
short_description: Write a bundle as one tar archive
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Writes what C(SHA256SUMS) of a bundle names into one archive, that list first. The archive is not compressed, as its files are.
  - Each file is held against its checksum while it is written.
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  path:
    description: The archive.
    type: path
    required: true
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
- name: Write the bundle as one file
  mlops.platform.airgap_archive:
    root: /srv/bundle
    path: /media/stick/bundle.tar
"""

RETURN = r""" # """

import hashlib
import os
import shutil
import tarfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_tar, checked_file


class Hashed:
    """A stream that knows the SHA-256 of what was read."""

    def __init__(self, stream):
        self.stream, self.total = stream, hashlib.sha256()

    def read(self, size=-1):
        """Read on."""
        part = self.stream.read(size)
        self.total.update(part)
        return part


def is_current(path, sums, files):
    """Return whether the archive was made of these checksums, and is whole."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
            if first is None or first.name != airgap_bundle.SUMS or tar.extractfile(first).read() != sums:
                return False
            last = tar.getmembers()[-1]
            # one that was cut off fails there, or has less than its last file
            return tar.getnames() == [airgap_bundle.SUMS, *sorted(files)] and last.offset_data + last.size <= os.path.getsize(path)
    except (tarfile.TarError, OSError):
        return False


def write(root, sums, files, path):
    """Write the archive. Raises checked_file.Failed for a file that is not what its checksum says."""
    with tarfile.open(path, "w") as tar:
        airgap_tar.add(tar, airgap_bundle.SUMS, sums)
        for name, total in sorted(files.items()):
            where = airgap_bundle.place(root, name)
            with open(where, "rb") as stream:
                hashed = Hashed(stream)
                tar.addfile(airgap_tar.head(name, os.fstat(stream.fileno()).st_size), hashed)
            if hashed.total.hexdigest() != total:
                raise checked_file.Failed(f"{where} is not what {airgap_bundle.SUMS} says: run playbooks/airgap.yml again")


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "required": True}, "path": {"type": "path", "required": True}}, supports_check_mode=True
    )
    root, path = module.params["root"], module.params["path"]
    ready, changed = f"{path}.mlops-new", False
    try:
        where = os.path.join(root, airgap_bundle.SUMS)
        if not os.path.isfile(where):
            if not module.check_mode:
                raise checked_file.Failed(f"{root} is no bundle: it has no {airgap_bundle.SUMS}")
            # a real run makes the bundle first
            module.exit_json(changed=True, diff={"before": "", "after": f"{path}\n"})
        with open(where, "rb") as stream:
            sums = stream.read()
        files = checked_file.parse_checksums(sums.decode())
        changed = not is_current(path, sums, files)
        if changed and not module.check_mode:
            size = sum(os.path.getsize(airgap_bundle.place(root, name)) for name in files)
            free = shutil.disk_usage(os.path.dirname(path) or ".").free
            if free < size:
                raise checked_file.Failed(f"the file system of {path} has {free >> 20} MiB free, and the archive needs {size >> 20}")
            write(root, sums, files, ready)
            os.rename(ready, path)
    except (checked_file.Failed, OSError) as error:
        checked_file.remove(ready)
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, diff={"before": "", "after": f"{path}\n" if changed else ""})


if __name__ == "__main__":
    main()
