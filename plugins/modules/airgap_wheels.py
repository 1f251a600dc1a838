#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the wheels of lock files, as an index in the layout of pypi.org."""

from __future__ import annotations

DOCUMENTATION = r"""
module: airgap_wheels
short_description: Fetch the wheels of lock files into a bundle
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Fetches, with C(pip download), those wheels that the bundle lacks, or has with a checksum that no lock file names. C(pip)'s own settings
    hold for the index, certificates and proxies.
  - A wheel takes its name when it is whole and verified. A run that was killed has lost ten of them at most.
  - Writes the pages of an index, C(pypi.org/simple/NAME/index.html), which C(pip) reads from a directory as well as from a server.
requirements: [packaging, pip]
options:
  root:
    description: The directory of the bundle.
    type: path
    required: true
  locks:
    description: Lock files with the SHA-256 of every package.
    type: list
    elements: path
    required: true
  pythons:
    description: The versions of Python, such as V(3.13). A lock file has no wheels for one that is older than O(oldest) says of it.
    type: list
    elements: str
    required: true
  oldest:
    description: The oldest version of Python by the path of a lock file.
    type: dict
    default: {}
  machines:
    description: The architectures, such as V(x86_64).
    type: list
    elements: str
    required: true
  glibc:
    description: The oldest version of the C library that the wheels must run with.
    type: str
    default: "2.28"
  pip_args:
    description: More arguments of C(pip download), such as C(--index-url).
    type: list
    elements: str
    default: []
  space_mb:
    description: MiB of free disk that all of the wheels need. What is there already is taken off.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    details: Nothing is fetched, so a wheel that cannot be had is not noticed.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Fetch the wheels of one lock file
  mlops.platform.airgap_wheels:
    root: /srv/bundle
    locks: [/srv/requirements.txt]
    pythons: ["3.12", "3.13"]
    machines: [x86_64, aarch64]
"""

RETURN = r"""
changed_paths:
  description: What was fetched or written; in check mode the packages that would be, with their Python and architecture.
  returned: success
  type: list
  elements: str
  sample: [pypi.org/simple/boto3/boto3-1.44.5-py3-none-any.whl]
files:
  description: SHA-256 of all files of the index that are there, by their paths.
  returned: success
  type: dict
components:
  description: What M(mlops.platform.airgap_manifest) writes of them.
  returned: success
  type: list
  elements: dict
"""

import os
import subprocess
import sys

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_wheels, checked_file
from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file

INDEX = "pypi.org/simple"
# wheels that one pip fetches: it keeps them only when it has all of them
BATCH = 10


class Index:
    """The wheels that a bundle has: what of it a lock file means, and what is missing."""

    def __init__(self, root):
        self.root = root
        # {project: {file name: (version, tags, SHA-256)}}
        self.wheels = {}
        folder = os.path.join(root, INDEX)
        for project in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            for name in sorted(os.listdir(os.path.join(folder, project))):
                self.add(project, name)

    def add(self, project, name):
        """Take in a file of the index, if it is a wheel."""
        found = airgap_wheels.parts(name)
        if found and found[0] == project:
            total = digest(os.path.join(self.root, INDEX, project, name))
            self.wheels.setdefault(project, {})[name] = (found[1], found[2], total)

    def find(self, package, tags):
        """Return the path of the wheel of a package for a system with those tags, or None."""
        for name, (version, own, total) in self.wheels.get(package.name, {}).items():
            if version == package.version and total in package.hashes and own & tags:
                return f"{INDEX}/{package.name}/{name}"
        return None


def targets(given):
    """Return [(package, Python, architecture, tags)] of everything that the lock files mean."""
    found, systems = [], {}
    for lock in given["locks"]:
        with open(lock, encoding="utf-8") as stream:
            text = stream.read()
        for version in given["pythons"]:
            if [int(part) for part in version.split(".")] < [int(part) for part in given["oldest"].get(lock, "3.0").split(".")]:
                continue
            for machine in given["machines"]:
                key = (version, machine)
                tags = systems.setdefault(key, airgap_wheels.tags(version, machine, given["glibc"]))
                found += [(package, version, machine, tags) for package in airgap_wheels.wanted(text, version, machine)]
    return found


def fetch(module, index, packages, version, machine):
    """Fetch the wheels of some packages into the bundle; return their paths. Raises checked_file.Failed."""
    given = module.params
    folder = airgap_bundle.partial(index.root, f"wheels-{version}-{machine}")
    os.makedirs(folder)
    requirements = os.path.join(folder, "requirements.txt")
    with open(requirements, "w", encoding="utf-8") as stream:
        stream.write("".join(f"{package.line}\n" for package in packages))
    command = airgap_wheels.download(sys.executable, version, machine, given["glibc"], folder, requirements) + given["pip_args"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        said = "\n".join(done.stdout.decode("utf-8", "replace").splitlines()[-15:])
        raise checked_file.Failed(
            f"pip could not fetch the wheels of {', '.join(f'{package.name} {package.version}' for package in packages)}"
            f" for Python {version} on {machine} with glibc {given['glibc']}; what the bundle has was left as it is. It said:\n{said}"
        )
    fetched = []
    for name in sorted(os.listdir(folder)):
        found = airgap_wheels.parts(name)
        if found:
            path = f"{INDEX}/{found[0]}/{name}"
            airgap_bundle.settle(index.root, os.path.join(folder, name), path)
            index.add(found[0], name)
            fetched.append(path)
    checked_file.remove(folder)
    return fetched


def fill(module, index, wanted):
    """Fetch what is missing; return the paths, or in check mode what it would be. Raises checked_file.Failed."""
    missing = [entry for entry in wanted if not index.find(entry[0], entry[3])]
    airgap_bundle.require_space(index.root, module.params["space_mb"] if missing else 0, len(missing), len(wanted))
    if module.check_mode:
        return sorted(
            {f"{package.name} {package.version} for Python {version} on {machine}" for package, version, machine, _tags in missing}
        )
    fetched = []
    for version, machine in sorted({entry[1:3] for entry in missing}):
        # a wheel for one version of Python may be for the others, too
        mine = {entry[0].line: entry[0] for entry in missing if entry[1:3] == (version, machine) and not index.find(entry[0], entry[3])}
        packages = list(mine.values())
        for start in range(0, len(packages), BATCH):
            fetched += fetch(module, index, packages[start : start + BATCH], version, machine)
    left = [f"{entry[0].name} {entry[0].version}" for entry in missing if not index.find(entry[0], entry[3])]
    if left:
        raise checked_file.Failed(f"pip fetched other files than wheels for {', '.join(left)}")
    return fetched


def write_pages(root, used, check):
    """Write the pages of the index for the wheels `used`, {path: SHA-256}; return (what changed, {path: SHA-256} of all pages)."""
    projects, changed, pages = {}, [], {}
    for path, total in used.items():
        projects.setdefault(path.split("/")[-2], {})[path.rpartition("/")[2]] = total
    for project, files in projects.items():
        path = f"{INDEX}/{project}/index.html"
        target, content = airgap_bundle.place(root, path), airgap_wheels.page(project, files).encode()
        before = None
        if os.path.isfile(target):
            with open(target, "rb") as stream:
                before = stream.read()
        if before != content:
            changed.append(path)
            if not check:
                replace_file(target, content, 0o644)
        pages[path] = digest(target)
    return changed, pages


def component(root, path, total):
    """Return a wheel's entry for the list of components."""
    name, version, _tags = airgap_wheels.parts(path.rpartition("/")[2])
    expression, licence = airgap_wheels.licences(airgap_bundle.place(root, path))
    purl = f"pkg:pypi/{name}@{version.replace('+', '%2B')}?file_name={path.split('/')[-1].replace('+', '%2B')}"
    return airgap_bundle.component("library", name, version, purl, path, total, expression, licence)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "locks": {"type": "list", "elements": "path", "required": True},
            "pythons": {"type": "list", "elements": "str", "required": True},
            "oldest": {"type": "dict", "default": {}},
            "machines": {"type": "list", "elements": "str", "required": True},
            "glibc": {"type": "str", "default": "2.28"},
            "pip_args": {"type": "list", "elements": "str", "default": []},
            "space_mb": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    if not airgap_wheels.HAS_PACKAGING:
        module.fail_json(msg=missing_required_lib("packaging"))
    given, changed = module.params, []
    try:
        index = Index(given["root"])
        wanted = targets(given)
        changed += fill(module, index, wanted)
        used = {}
        for package, _version, _machine, tags in wanted:
            path = index.find(package, tags)
            if path:
                used[path] = index.wheels[package.name][path.rpartition("/")[2]][2]
        written, pages = write_pages(given["root"], used, module.check_mode)
        changed += written
    except (checked_file.Failed, OSError) as error:
        module.fail_json(msg=str(error), changed=bool(changed), changed_paths=changed)
    module.exit_json(
        changed=bool(changed),
        changed_paths=changed,
        files={**used, **{path: total for path, total in pages.items() if total}},
        components=[component(given["root"], path, total) for path, total in sorted(used.items())],
        diff={"before": "", "after": "".join(f"{path}\n" for path in changed)},
    )


if __name__ == "__main__":
    main()
