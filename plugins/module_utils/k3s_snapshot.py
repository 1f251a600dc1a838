# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of K3s's etcd on a server: which there are, whether one is whole, and which K3s its nodes ran."""

from __future__ import annotations

import hashlib
import os
import re
import time
import zipfile

from ansible_collections.mlops.platform.plugins.module_utils import k3s_versions

# A Node object tells its kubelet's version and, right behind it, that of kube-proxy: fields 7 and 8 of what is stored of it.
NODE_VERSION = re.compile(rb"\x3a.(v\d+\.\d+\.\d+(?:-rc\d+)?\+k3s\d+)\x42", re.DOTALL)
CHUNK = 1 << 20
# longer than what NODE_VERSION finds, and than the digest
OVERLAP = 64
# etcd writes the SHA-256 of a snapshot behind its pages
DIGEST = 32
PAGE = 512


def folder(data_dir, given=""):
    """Return the directory in which a server keeps its snapshots."""
    return given or os.path.join(data_dir, "server", "db", "snapshots")


def listed(directory):
    """Return [{name, size, time}] of the snapshots in a directory, the newest first."""
    try:
        found = [entry for entry in os.scandir(directory) if entry.is_file() and not entry.name.startswith(".")]
    except OSError:
        return []
    found.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    return [
        {
            "name": entry.name,
            "size": entry.stat().st_size,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.stat().st_mtime)),
        }
        for entry in found
    ]


def chunks(path):
    """Yield the snapshot's bytes. Raises OSError, zipfile.BadZipFile."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
        return
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def read(path):
    """Return (whole, version): whether the bytes are those that etcd wrote, and the newest K3s of the nodes, or an empty text."""
    total, tail, newest, size = hashlib.sha256(), b"", "", 0
    try:
        for chunk in chunks(path):
            size += len(chunk)
            seen = tail + chunk
            for match in NODE_VERSION.finditer(seen):
                version = match.group(1).decode("ascii")
                if k3s_versions.parse(version) > (k3s_versions.parse(newest) or ()):
                    newest = version
            # what may be the digest, or the beginning of a version, waits for the next chunk
            total.update(seen[:-OVERLAP])
            tail = seen[-OVERLAP:]
    except (OSError, zipfile.BadZipFile, IndexError):
        return False, ""
    total.update(tail[:-DIGEST])
    return size % PAGE == DIGEST and total.digest() == tail[-DIGEST:], newest


def problems(wish, found, installed):
    """Return what forbids to restore a snapshot.

    wish: {name, bucket: whether it is in one, wanted: k3s_version}. found: {there, listed, in_bucket: names or None where they cannot be
    told, whole, version}. installed: the version of K3s on the server.
    """
    names = [f"{one['name']} ({one['time']}, {one['size'] // 1024} KiB)" for one in found["listed"]]
    if not wish["name"]:
        there = "; there are: " + ", ".join(names) if names else ", and there is none on this server"
        return [f"k3s_restore_snapshot names no snapshot{there}"]
    said = []
    if wish["bucket"]:
        if "/" in wish["name"]:
            said.append(f"k3s_restore_snapshot {wish['name']} is a path, and in a bucket a snapshot has a name: pass that alone")
        elif found["in_bucket"] is not None and wish["name"] not in found["in_bucket"]:
            said.append(f"the bucket has no snapshot {wish['name']}; it has: {', '.join(found['in_bucket']) or 'none'}")
    elif not found["there"]:
        said.append(f"there is no snapshot {wish['name']} on this server; there are: {', '.join(names) or 'none'}")
    elif not found["whole"]:
        said.append(f"the snapshot {wish['name']} is not what etcd wrote, its checksum is another one: take another snapshot")
    newest, own = k3s_versions.parse(found["version"]), k3s_versions.parse(installed)
    if newest and own and newest[:2] > own[:2]:
        said.append(f"the snapshot has nodes of K3s {found['version']}, and {installed} is installed, which may not read it: upgrade first")
    if not installed:
        said.append("K3s is not installed on this server: run playbooks/cluster.yml first, with the k3s_token of the old cluster")
    elif wish["wanted"] and wish["wanted"] != installed:
        said.append(f"k3s_version is {wish['wanted']}, and {installed} is installed: restore with that one, and upgrade afterwards")
    return said
