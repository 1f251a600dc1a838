# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes from a host what K3s has made there at run time: processes, mounts, namespaces, control groups, links, rules of iptables."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

LINKS = re.compile(r"(cni0|flannel\.1|flannel-v6\.1|flannel-wg|flannel-wg-v6|kube-ipvs0|kube-bridge|kube-dummy-if)$")
RULES = re.compile(r"KUBE-|CNI-|flannel|kube-router|cni0", re.IGNORECASE)
# each may hold rules of its own; iptables is one of the other two
TABLES = ("iptables", "iptables-legacy", "iptables-nft", "ip6tables", "ip6tables-legacy", "ip6tables-nft")


# what the kubelet makes for all pods, by itself or through systemd
GROUPS = ("kubepods", "kubepods.slice")
# where runc and the shims of every containerd keep what they know of a container
CONTAINERD = "/run/containerd"
# What K3s's programs make for whoever comes, the deepest first: it goes where nothing of others is in it. The last ones are the kubelet's.
SHARED = (
    f"{CONTAINERD}/runc/k8s.io",
    f"{CONTAINERD}/runc",
    f"{CONTAINERD}/s",
    CONTAINERD,
    "/run/netns",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
)


class Failed(Exception):
    """Something that could not be taken away."""


def run(*command, data=None):
    """Return (code, output) of a command; code 127 where there is none of that name."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    except OSError:
        return 127, ""
    return done.returncode, done.stdout.decode("utf-8", "replace")


def processes():
    """Return {process id: (parent, command line)} of all processes."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/stat", encoding="utf-8", errors="replace") as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
            with open(f"{path}/cmdline", "rb") as stream:
                line = stream.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, ValueError, IndexError):
            continue
        found[int(os.path.basename(path))] = (parent, line)
    return found


def leftovers(data_dir, table=None):
    """Return the ids of the shims of K3s's containers, and of all that they have started."""
    table = processes() if table is None else table
    chosen = {pid for pid, (_parent, line) in table.items() if re.match(rf"{re.escape(data_dir)}/data/[^/]+/bin/containerd-shim", line)}
    while True:
        more = {pid for pid, (parent, _line) in table.items() if parent in chosen} - chosen
        if not more:
            return sorted(chosen)
        chosen |= more


def kill(data_dir):
    """Kill the containers; return how many processes there were. Raises Failed."""
    count = 0
    for _attempt in range(20):
        found = leftovers(data_dir)
        if not found:
            return count
        count = max(count, len(found))
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.5)
    raise Failed(f"the processes {', '.join(map(str, leftovers(data_dir)))} of K3s's containers do not end")


def mounts(roots):
    """Return the places of all mounts at or below one of `roots`, the deepest first."""
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as stream:
        places = [line.split()[1].encode().decode("unicode_escape") for line in stream]
    return sorted((one for one in places if any((one + "/").startswith(root.rstrip("/") + "/") for root in roots)), reverse=True)


def unmount(roots):
    """Unmount all that is mounted below `roots`; return the places. Raises Failed."""
    found = mounts(roots)
    for place in found:
        if run("umount", place)[0]:
            run("umount", "--lazy", place)
    left = mounts(roots)
    if left:
        raise Failed(f"{', '.join(left[:5])} cannot be unmounted, and what is below may be on another machine: nothing there was removed")
    return found


def namespaces():
    """Return the names of the pods' network namespaces."""
    return sorted(os.path.basename(path) for path in glob.glob("/run/netns/cni-*"))


def remove_namespaces():
    """Remove the pods' network namespaces."""
    for name in namespaces():
        run("ip", "netns", "delete", name)


def empty(group):
    """Return whether no process is in a control group, or in one below it."""
    for place, _folders, _names in os.walk(group):
        try:
            with open(os.path.join(place, "cgroup.procs"), encoding="utf-8") as stream:
                if stream.read().strip():
                    return False
        except OSError:
            return False
    return True


def groups(root="/sys/fs/cgroup"):
    """Return the paths of the control groups for pods in which no process is, of one hierarchy (version 2) or many (version 1)."""
    # cpu and cpuacct may be two names of one
    places = sorted({os.path.realpath(place) for place in (root, *glob.glob(f"{root}/*/"))})
    found = [os.path.join(place, name) for place in places for name in GROUPS]
    return [path for path in found if os.path.isdir(path) and empty(path)]


def remove_groups():
    """Remove the control groups for pods in which no process is."""
    for path in groups():
        name = os.path.basename(path)
        if name.endswith(".slice"):
            # else systemd would still have the unit
            run("systemctl", "stop", name)
        for place, _folders, _names in os.walk(path, topdown=False):
            # a process that came meanwhile keeps its own
            with contextlib.suppress(OSError):
                os.rmdir(place)


def remains(root=CONTAINERD, sockets="/proc/net/unix"):
    """Return the paths of what runc has kept of K3s's containers, known by their bundles, and of shims' sockets on which nobody listens."""
    found = []
    for path in glob.glob(f"{root}/runc/*/*/state.json"):
        try:
            with open(path, encoding="utf-8") as stream:
                labels = json.load(stream)["config"]["labels"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if any(label.startswith("bundle=/run/k3s/") for label in labels or []):
            found.append(os.path.dirname(path))
    try:
        with open(sockets, encoding="utf-8", errors="replace") as stream:
            used = {line.split()[-1] for line in stream if line.strip()}
    except OSError:
        return sorted(found)
    return sorted(found) + sorted(path for path in glob.glob(f"{root}/s/*") if path not in used)


def folders(shared=SHARED):
    """Return those of the directories `shared`, the deepest first, in which nothing is but others of them."""
    gone = []
    for path in shared:
        if os.path.isdir(path) and not os.path.ismount(path) and all(os.path.join(path, name) in gone for name in os.listdir(path)):
            gone.append(path)
    return gone


def remove_folders():
    """Remove the directories in which nothing is."""
    for path in folders():
        # somebody may use it again
        with contextlib.suppress(OSError):
            os.rmdir(path)


def links():
    """Return the names of the links that K3s has made."""
    code, text = run("ip", "-j", "link", "show")
    try:
        rows = json.loads(text) if code == 0 else []
    except ValueError:
        rows = []
    return [row["ifname"] for row in rows if row and (LINKS.match(row["ifname"]) or row.get("master") == "cni0")]


def remove_links():
    """Remove the links that K3s has made."""
    # the bridge last: what hangs on it is found by it
    for name in sorted(links(), key=lambda one: one == "cni0"):
        run("ip", "link", "delete", name)


def without_rules(saved):
    """Return the output of iptables-save without K3s's chains and rules."""
    return "".join(line + "\n" for line in saved.splitlines() if not RULES.search(line))


def rules():
    """Return {program: what iptables-save says} of those that hold rules of K3s."""
    found = {}
    for program in TABLES:
        code, saved = run(f"{program}-save")
        if code == 0 and RULES.search(saved):
            found[program] = saved
    return found


def remove_rules():
    """Remove K3s's rules of iptables, and no others. Raises Failed."""
    # not all at once: iptables is another name of one of the two
    for program in TABLES:
        saved = rules().get(program)
        if saved and run(f"{program}-restore", data=without_rules(saved).encode())[0]:
            raise Failed(f"{program}-restore does not take the rules without those of K3s; see `{program}-save`")


def remove(path):
    """Remove a file, a link or a directory in which nothing is mounted; return whether it was there. Raises OSError."""
    if not os.path.lexists(path):
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    return True
