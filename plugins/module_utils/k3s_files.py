# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What K3s, and this collection for it, has written on a host."""

from __future__ import annotations

import json
import os
import re

TOKEN = "/etc/rancher/k3s/token"  # noqa: S105
CONFIG = "/etc/rancher/k3s/config.yaml"
BINARY = "/usr/local/bin/k3s"
# what was installed from where: a later run compares with it, and needs no network
RECORD = "/usr/local/share/mlops-k3s/release.json"
# what cannot be changed later, or is needed to keep a server as it joined
KEYS = (
    "cluster-init",
    "server",
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "secrets-encryption",
)


def text(path):
    """Return the content of a file, empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def parse_token(value):
    """Return a token's parts as {hash, password}. Its long form carries the hash of the authority that the server must have."""
    match = re.fullmatch(r"K10([0-9a-f]{64})::(?:[^:\s]+:)?(\S+)", value.strip())
    return {"hash": match.group(1), "password": match.group(2)} if match else {"hash": "", "password": value.strip()}


def token(data_dir):
    """Return the cluster's token as a server of it has it: {hash, password}, both empty where there is none."""
    return parse_token(text(os.path.join(data_dir, "server", "token")))


def config():
    """Return the settings of KEYS in K3s's configuration, as texts. Only lines of the form `key: value` are understood."""
    found = {}
    for line in text(CONFIG).splitlines():
        match = re.fullmatch(r"""([a-z-]+): *["']?([^"'#\s][^"'#]*?)["']?\s*(?:#.*)?""", line)
        if match and match.group(1) in KEYS:
            found[match.group(1)] = match.group(2)
    return found


def record():
    """Return what was installed as {version, files: {path: {sha256, size, mtime}}}, or an empty dictionary."""
    try:
        return json.loads(text(RECORD))
    except ValueError:
        return {}


def data(data_dir):
    """Return whose data lies here: server, agent or an empty text. A server is an agent, too."""
    if any(os.path.exists(os.path.join(data_dir, "server", part)) for part in ("db/etcd", "db/state.db", "db/kine", "tls/server-ca.key")):
        return "server"
    return "agent" if os.path.exists(os.path.join(data_dir, "agent", "client-kubelet.key")) else ""


def member(data_dir):
    """Return whether a datastore of a server lies here. Without one it begins a cluster, or joins one, however much else it has."""
    return any(os.path.exists(os.path.join(data_dir, "server", "db", part)) for part in ("etcd/member", "state.db", "kine"))


def aside(data_dir):
    """Return where the etcd of a server lies while the cluster is taken back to a snapshot (k3s_restore)."""
    return os.path.join(data_dir, "server", "db", "etcd-before-restore")
