#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: texts as one archive that its owner alone can read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_archive
short_description: Write texts as one compressed archive
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Writes texts as files of one C(tar.gz), which its owner alone can read. It appears as a whole or not at all.
  - The module C(host_doctor) has taken the secrets out of what it returns; this one knows none.
options:
  path:
    description: The archive. One that is there is replaced.
    type: path
    required: true
  files:
    description: The texts by their names in the archive, below one directory that is named after it.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each call writes a new archive.
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Write what was gathered
  mlops.platform.doctor_archive:
    path: /root/mlops-support.tar.gz
    files:
      doctor.json: "{{ report | to_json }}"
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The archive's absolute path.
  returned: always
  type: str
"""

import io
import os
import tarfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file


def packed(folder, files):
    """Return the bytes of an archive with `files` ({name: text}) below `folder`. Raises ValueError for a name that leads out of it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            if os.path.isabs(name) or ".." in name.split("/"):
                raise ValueError(f"{name!r} leads out of the archive")
            content = str(text).encode("utf-8", "surrogateescape")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "files": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    path = os.path.abspath(module.params["path"])
    folder = os.path.basename(path)
    for end in (".gz", ".tgz", ".tar"):
        folder = folder[: -len(end)] if folder.endswith(end) and folder != end else folder
    try:
        content = packed(folder, module.params["files"])
        if not module.check_mode:
            replace_file(path, content, 0o600)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"path: cannot write {path}: {error}")
    module.exit_json(changed=True, path=path)


if __name__ == "__main__":
    main()
