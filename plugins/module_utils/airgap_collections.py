# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives of collections, as `ansible-galaxy collection install` takes them, from where they are installed or from a clone."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import subprocess
import tarfile
import tempfile

from ansible_collections.mlops.platform.plugins.module_utils import airgap_tar, checked_file


class Collection:
    """A collection's name, version, licence, and files: {path in the archive: (content, whether it is a program)}."""

    def __init__(self, info, files):
        self.info, self.files = info, files

    @property
    def archive(self):
        """Return the name of its archive, as Galaxy writes it."""
        return f"{self.info['namespace']}-{self.info['name']}-{self.info['version']}.tar.gz"


def encoded(value):
    """Return a manifest's bytes."""
    return json.dumps(value, indent=True).encode()


def find(name, paths):
    """Return the directory of an installed collection. Raises checked_file.Failed."""
    for path in paths:
        for below in ("ansible_collections", ""):
            folder = os.path.join(os.path.expanduser(path), below, *name.split("."))
            if os.path.isfile(os.path.join(folder, "MANIFEST.json")):
                return folder
    raise checked_file.Failed(f"the collection {name} is not installed here: ansible-galaxy collection install -r requirements.yml")


def installed(folder):
    """Return an installed Collection. Raises checked_file.Failed where a file is not what the collection's own list says.

    The package `ansible` leaves out what nobody runs (tests, documentation), so the list is written anew for what is there.
    """
    with open(os.path.join(folder, "MANIFEST.json"), encoding="utf-8") as stream:
        manifest = json.load(stream)
    with open(os.path.join(folder, manifest["file_manifest_file"]["name"]), encoding="utf-8") as stream:
        listed = json.load(stream)
    files, entries = {}, []
    for entry in listed["files"]:
        path = os.path.join(folder, entry["name"])
        if entry["ftype"] == "dir" and os.path.isdir(path):
            entries.append(entry)
        if entry["ftype"] != "file" or not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            content = stream.read()
        if hashlib.sha256(content).hexdigest() != entry["chksum_sha256"]:
            raise checked_file.Failed(f"{path} is not what {folder}/FILES.json says: somebody changed it. Install the collection anew")
        files[entry["name"]] = (content, bool(os.stat(path).st_mode & 0o100))
        entries.append(entry)
    inner = encoded({**listed, "files": entries})
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(inner).hexdigest()
    files["FILES.json"], files["MANIFEST.json"] = (inner, False), (encoded(manifest), False)
    return Collection(manifest["collection_info"], files)


def built(folder, galaxy):
    """Return the Collection that a clone makes, by `ansible-galaxy`, the program `galaxy`. Raises checked_file.Failed."""
    with tempfile.TemporaryDirectory() as output:
        command = [galaxy, "collection", "build", "--output-path", output, folder]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        archives = glob.glob(os.path.join(output, "*.tar.gz"))
        if done.returncode or len(archives) != 1:
            raise checked_file.Failed(f"{' '.join(command)} ended with {done.returncode}: {done.stdout.decode('utf-8', 'replace')[-1000:]}")
        with tarfile.open(archives[0]) as tar:
            files = {one.name: (tar.extractfile(one).read(), bool(one.mode & 0o100)) for one in tar if one.isfile()}
    return Collection(json.loads(files["MANIFEST.json"][0])["collection_info"], files)


def write(collection, path):
    """Write a collection's archive, the same bytes for the same files."""
    # Galaxy reads the manifests first
    names = ["MANIFEST.json", "FILES.json", *sorted(set(collection.files) - {"MANIFEST.json", "FILES.json"})]
    with airgap_tar.compressed(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            content, executable = collection.files[name]
            airgap_tar.add(tar, name, content, executable)
