#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the K3s binary and the images of its release, verified before they replace anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_release
short_description: Install the binary and the images of a K3s release
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Fetches the checksum list of a release, and then those files that the host does not have. Each is verified, and the binary is run
    once to say
    its version, before any of them takes the place of another one.
  - Notes what was installed in V(/usr/local/share/mlops-k3s/release.json). Where the files are still those, nothing is fetched.
  - It starts and restarts nothing.
options:
  version:
    description: The version, such as V(v1.33.5+k3s1).
    type: str
    required: true
  root:
    description: The URL that stands for V(https://github.com), with the same layout below it.
    type: str
    default: https://github.com
  directory:
    description: A directory on the host with the files of the release, instead of O(root). Files that were installed are removed from it.
    type: path
  images:
    description: The ending of the archive of images to install, such as V(tar.zst). Unset means none.
    type: str
    choices: [tar, tar.gz, tar.zst]
  checksums:
    description:
      - SHA-256 of files by their names in the release, such as C(k3s). What stands here must also be what the release's own list says.
    type: dict
    default: {}
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
  environment:
    description: Variables such as C(HTTPS_PROXY) for the download. What a task's own C(environment) holds can be read in the list of
      processes; this cannot.
    type: dict
    default: {}
  environment_files:
    description: Files on the host with such variables, a line C(NAME=VALUE) each, as systemd's C(EnvironmentFile) reads them.
      O(environment) wins over them. One that is missing is passed over.
    type: list
    elements: path
    default: []
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
- name: Install K3s with its images
  mlops.platform.k3s_release:
    version: v1.33.5+k3s1
    root: https://mirror.example.org/github.com
    images: tar.zst
"""

RETURN = r"""
changed_paths:
  description: The files that were installed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/bin/k3s]
"""

import json
import os
import platform
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import checked_file, k3s_files, k3s_lock, k3s_release
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file

LINKS = ("kubectl", "crictl", "ctr")


def unchanged(record, version, targets):
    """Return whether the files are those that the record of the last installation of `version` names."""
    if record.get("version") != version:
        return False
    for what, path in targets.items():
        known = record.get("files", {}).get(path)
        if not known or not os.path.isfile(path):
            return False
        status = os.stat(path)
        # an archive of images is large; its size and time will do, as they do for K3s
        if what == "binary" and digest(path) != known["sha256"]:
            return False
        if what != "binary" and (status.st_size, int(status.st_mtime)) != (known["size"], known["mtime"]):
            return False
    return True


def environment(given):
    """Return the variables for the download that the options name."""
    lines = [line for path in given["environment_files"] for line in k3s_files.text(path).splitlines()]
    named = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {**named, **{name: str(value) for name, value in given["environment"].items()}}


def said_version(path):
    """Return the version that a binary says it is. Raises checked_file.Failed."""
    try:
        done = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise checked_file.Failed(f"the binary cannot be run on this host: {error}") from error
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode or words[:2] != ["k3s", "version"]:
        raise checked_file.Failed(f"the binary cannot be run on this host: {' '.join(words)[:300]}")
    return words[2]


def install(module, files, targets, source):
    """Fetch and verify what differs, then put all of it in place; return the changed paths. Raises checked_file.Failed, OSError."""
    given = module.params
    sums = checked_file.parse_checksums(checked_file.read(source(files["checksums"])))
    wanted = {what: sums.get(files[what]) for what in targets}
    for what, total in wanted.items():
        if not total:
            raise checked_file.Failed(f"{source(files['checksums'])} has no checksum of {files[what]}")
        pinned = given["checksums"].get(files[what])
        if pinned and pinned != total:
            raise checked_file.Failed(f"{source(files['checksums'])} says {total} of {files[what]}, and k3s_checksums says {pinned}")
    differing = [what for what, path in targets.items() if digest(path) != wanted[what]]
    ready = {}
    try:
        for what in differing:
            path = targets[what]
            os.makedirs(os.path.dirname(path), exist_ok=True)
            # hidden, and without the ending of an archive: K3s would import half of one
            ready[what] = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.mlops-new")
            checked_file.fetch(source(files[what]), ready[what], wanted[what])
            os.chmod(ready[what], 0o755 if what == "binary" else 0o644)
        if "binary" in ready and said_version(ready["binary"]) != given["version"]:
            raise checked_file.Failed(
                f"{source(files['binary'])} says that it is {said_version(ready['binary'])}, and not {given['version']}"
            )
        for what in differing:
            os.rename(ready[what], targets[what])
            # does nothing where SELinux is off
            module.set_default_selinux_context(targets[what], False)
    finally:
        for path in ready.values():
            checked_file.remove(path)
    known = {}
    for what, path in targets.items():
        status = os.stat(path)
        known[path] = {"sha256": wanted[what], "size": status.st_size, "mtime": int(status.st_mtime)}
    os.makedirs(os.path.dirname(k3s_files.RECORD), exist_ok=True)
    replace_file(k3s_files.RECORD, json.dumps({"version": given["version"], "files": known}, indent=1).encode(), 0o644)
    return [targets[what] for what in differing]


def link(check):
    """Give the binary its other names, where no other program has them; return what was made."""
    made = []
    for name in LINKS:
        path = os.path.join(os.path.dirname(k3s_files.BINARY), name)
        if not os.path.lexists(path):
            if not check:
                os.symlink("k3s", path)
            made.append(path)
    return made


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "root": {"type": "str", "default": "https://github.com"},
            "directory": {"type": "path"},
            "images": {"type": "str", "choices": ["tar", "tar.gz", "tar.zst"]},
            "checksums": {"type": "dict", "default": {}},
            "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "environment_files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    # urllib looks for its proxies there
    os.environ.update(environment(given))
    machine = platform.machine()
    if machine not in k3s_release.ARCHITECTURES:
        module.fail_json(msg=f"K3s has no release for {machine}; it has them for {', '.join(k3s_release.ARCHITECTURES)}")
    files = k3s_release.names(k3s_release.ARCHITECTURES[machine], given["images"])
    targets = {"binary": k3s_files.BINARY}
    if given["images"]:
        targets["images"] = os.path.join(given["data_dir"], "agent", "images", files["images"])

    def source(name):
        if given["directory"]:
            return os.path.join(given["directory"], name)
        return k3s_release.address(given["root"], given["version"], name)

    before = k3s_files.record()
    changed = []
    try:
        with k3s_lock.alone(not module.check_mode):
            if not unchanged(k3s_files.record(), given["version"], targets):
                changed = list(targets.values()) if module.check_mode else install(module, files, targets, source)
            if given["directory"] and not module.check_mode:
                checked_file.remove(given["directory"])
            changed += link(module.check_mode)
    except (checked_file.Failed, OSError) as error:
        module.fail_json(msg=f"K3s {given['version']} was not installed. {error}")
    after = f"K3s {given['version']}: {', '.join(changed)}\n" if changed else ""
    module.exit_json(
        changed=bool(changed),
        changed_paths=changed,
        diff={"before": f"K3s {before['version']}\n" if before and after else "", "after": after},
    )


if __name__ == "__main__":
    main()
