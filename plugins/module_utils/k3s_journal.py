# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the journal of K3s says about a failure, without its secrets, and what to do about it."""

from __future__ import annotations

import re
import subprocess

# (what is said, what to do); waiting mends none of them
CAUSES = (
    (
        r"token CA hash does not match|CA cert.* does not match|different token|401 Unauthorized|: 401\b|not authorized|Unauthorized",
        "the token is not the cluster's: leave k3s_token unset to take it from the first server, or set it to what `cat"
        " /var/lib/rancher/k3s/server/token` says on a server of this cluster. A host of another cluster is reset first"
        " (playbooks/cluster_reset.yml)",
    ),
    (
        r"Node password rejected|duplicate hostname",
        "a node of this name was made by another machine: delete it with `kubectl delete node NAME` if that machine is gone, or give"
        " this one"
        " another k3s_node_name",
    ),
    (
        r"duplicate node name found",
        "an etcd member of this name is still known: remove the node with playbooks/cluster_remove.yml, then run again",
    ),
    (
        r"permanently removed from the cluster|removed from etcd cluster|member has been removed",
        "this server was taken out of the cluster: remove its data with playbooks/cluster_reset.yml, --limit and k3s_reset_data, then"
        " run again",
    ),
    (
        r"critical configuration value mismatch|critical configuration mismatched",
        "this server's networks, DNS, flannel backend or encryption differ from the other servers': they are the same for all, so set"
        " them for the"
        " group and not for a host",
    ),
    (
        r"certificate has expired or is not yet valid|certificate is not yet valid|clock difference|clock skew",
        "the clocks differ: see that time synchronisation runs on every host (`timedatectl`), then run again",
    ),
    (
        r"flag provided but not defined|unknown flag|invalid value .* for flag",
        "this version of K3s does not know a setting: see k3s_extra_config, k3s_kubelet_args and the other arguments",
    ),
    (
        r"address already in use",
        "another program has the port: stop it, such as another Kubernetes on this host",
    ),
    (
        r"no space left on device",
        "free some space, or set k3s_data_dir to another file system",
    ),
    (
        r"bootstrap data already found",
        "the datastore was made with another token: set k3s_token to that one",
    ),
)
SECRET = (
    (re.compile(r"K10[0-9a-f]{64}::\S+?(?=[\s\"',]|$)"), "K10…"),
    (re.compile(r"(://[^\s:/@\"]*:)[^\s@\"]+@"), r"\1…@"),
    (re.compile(r"((?:token|password|secret-key|access-key)[=:] ?)[^\s\"',]+", re.IGNORECASE), r"\1…"),
)
MESSAGE = re.compile(r'level=(?P<level>\w+) .*?msg="(?P<text>(?:[^"\\]|\\.)*)"')


def clean(line):
    """Return a line without secrets."""
    for pattern, instead in SECRET:
        line = pattern.sub(instead, line)
    return line


def read(unit, since, lines=500):
    """Return the last lines of a unit's journal since a time in seconds, as a list."""
    command = ["journalctl", "--unit", unit, "--since", f"@{int(since)}", "--output", "cat", "--no-pager", "--lines", str(lines)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace").splitlines()


def telling(lines, count=8):
    """Return the last `count` different lines that say what is wrong, or the last ones where none does."""
    wrong, seen = [], set()
    for line in reversed(lines):
        found = MESSAGE.search(line)
        text = clean(found["text"].replace('\\"', '"') if found else line.strip())
        serious = found["level"] in ("fatal", "error", "panic") if found else re.match(r"[EF]\d{4} |panic:|Error:", line)
        if serious and text not in seen:
            seen.add(text)
            wrong.append(text[:400])
        if len(wrong) == count:
            break
    return list(reversed(wrong)) or [clean(line)[:400] for line in lines[-count:]]


def cause(lines):
    """Return (the line that tells the cause, what to do), of the last one that does, or None."""
    for line in reversed(telling(lines, 20)):
        for pattern, remedy in CAUSES:
            if re.search(pattern, line):
                return line, remedy
    return None
