"""Records what a host is: processes, mounts, links, rules, files, units, control groups. Later it says what is another than it was.

Usage: record.py take FILE      writes the record
       record.py compare FILE   prints the differences as JSON, {kind: [lines]}, each line with + (new) or - (gone); {} where there are none

A file is another one where its kind, mode, owner, link target or content differ. Its times do not count, nor do counters of rules. What is
left out is named below, and why; packages are to be installed before the record is taken. Runs as root, with Python 3.9.
"""

from __future__ import annotations

import collections
import glob
import hashlib
import json
import os
import re
import stat
import subprocess
import sys

# --- what is left out ---------------------------------------------------------------------------------------------------------------------

# Files that a system which only runs, is logged into over ssh and is looked at by Ansible writes by itself. Whole paths.
FILES = {
    # no file systems on a disk: what matters of them is recorded in other ways
    "/proc": "the kernel's",
    "/sys": "the kernel's; control groups are recorded by name",
    "/dev": "the kernel's",
    # the log
    "/var/log/journal": "the journal",
    "/run/log/journal": "the journal",
    "/run/systemd/journal": "journald's streams, one for each unit that writes",
    "/var/log/wtmp": "logins",
    "/var/log/btmp": "logins",
    "/var/log/lastlog": "logins",
    "/run/utmp": "logins",
    "/run/motd.dynamic": "logins",
    # logins of Ansible and of this record
    "/run/systemd/sessions": "logins",
    "/run/systemd/users": "logins",
    "/run/systemd/inhibit": "logins",
    "/run/systemd/transient": "the units of logins",
    "/run/user": "logins",
    "/run/sudo": "logins",
    "/var/lib/sudo": "logins",
    # what systemd knows of the units that run; states of units are recorded
    "/run/systemd/units": "an invocation's number for each unit",
    "/run/systemd/propagate": "a directory for each unit that has run with a file system of its own",
    "/var/lib/systemd/timers": "when each timer was last due",
    "/run/systemd/timesync": "the clock",
    "/var/lib/systemd/timesync": "the clock",
    "/var/lib/systemd/random-seed": "random numbers",
    # what neither the roles nor K3s make
    "/run/xtables.lock": "whoever calls iptables makes it, this record too",
    # what the stand-in for K3s does and K3s does not
    "/opt/k3s-standin": "the stand-in's own programs, which Python compiles",
    "/opt/containerd": "containerd's default for its plugins; K3s's containerd has them below its data",
    "/.kube": "the cache of kubectl, which the stand-in calls without a home",
}
# homes of the users that Ansible is: the directory of its temporary files, which stays empty
FILES.update({f"{home}/.ansible": "Ansible's own" for home in ("/root", *glob.glob("/home/*"))})

# Processes that come and go with a login, or with a question over D-Bus; these end by themselves after half a minute.
PROCESSES = re.compile(r"sshd: |/lib/systemd/systemd --user|\(sd-pam\)")
MOUNTS = ("/run/user/",)
CGROUPS = re.compile(r"/user\.slice(/|$)")
# packets and bytes of a chain or rule
COUNTERS = re.compile(r" *\[[0-9]+:[0-9]+\]")


# --- what is recorded ---------------------------------------------------------------------------------------------------------------------


def output(*command):
    """Return what a program prints; '' where there is no such program. Raises CalledProcessError."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return ""


def describe(path):
    """Return all that a file is, as text."""
    found = os.lstat(path)
    text = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{text} -> {os.readlink(path)}"
    if stat.S_ISREG(found.st_mode):
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(block)
        except OSError as error:
            # such as a network namespace, which is a file with nothing to read
            return f"{text} {error.strerror}"
        return f"{text} {found.st_size} {digest.hexdigest()[:16]}"
    return text


def files(left_out):
    """Return a line for each file and directory below /, mounts included."""
    lines = []
    for top, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(top, name) not in left_out]
        for name in [*folders, *names]:
            path = os.path.join(top, name)
            if path not in left_out:
                try:
                    lines.append(f"{path} {describe(path)}")
                except FileNotFoundError:
                    continue
    return lines


def processes():
    """Return the command line of each process, but of this one and those that it descends from."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/stat", encoding="utf-8", errors="replace") as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
            with open(f"{path}/cmdline", "rb") as stream:
                found[int(os.path.basename(path))] = (parent, stream.read().replace(b"\0", b" ").decode("utf-8", "replace").strip())
        except (OSError, ValueError, IndexError):
            continue
    own = os.getpid()
    # a host is a container here, in which the ancestors end at 0; on a machine process 1 is nobody's observer
    while own > 1:
        own = found.pop(own, (0, ""))[0]
    return [line for _parent, line in found.values() if line and not PROCESSES.match(line)]


def mounts():
    """Return place, kind, source and options of each mount."""
    lines = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            head, _unused, tail = line.partition(" - ")
            head, tail = head.split(), tail.split()
            # "shared:12" counts all mounts that ever were
            shared = [word.partition(":")[0] for word in head[6:]]
            if not head[4].startswith(MOUNTS):
                lines.append(" ".join([head[4], tail[0], tail[1], head[3], head[5], *shared, *tail[2:]]))
    return lines


def links():
    """Return the links with their addresses, the routes, and the rules of routing."""
    lines = []
    for row in json.loads(output("ip", "-json", "-details", "address")):
        kind = row.get("linkinfo", {}).get("info_kind", row["link_type"])
        addresses = sorted(f"{one['local']}/{one['prefixlen']}" for one in row.get("addr_info", []))
        lines.append(" ".join([row["ifname"], kind, str(row["mtu"]), row.get("master", "-"), *addresses]))
    for family in ("-4", "-6"):
        for row in json.loads(output("ip", family, "-json", "route", "show", "table", "all") or "[]"):
            lines.append("route " + " ".join(str(row.get(key, "-")) for key in ("table", "dst", "gateway", "dev", "type")))
        for row in json.loads(output("ip", family, "-json", "rule") or "[]"):
            lines.append("rule " + json.dumps(row, sort_keys=True))
    return lines


def rules():
    """Return the chains and rules of iptables in both its forms, the sets, and all of nftables.

    A chain of the kernel's own that lets all through is none: the kernel makes it for whoever asks what there is.
    """
    lines = []
    for program in ("iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"):
        table = ""
        for line in output(f"{program}-save").splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif not line.startswith("#") and line != "COMMIT" and not re.match(r":[A-Z]+ ACCEPT ", line):
                lines.append(f"{program} {table} {COUNTERS.sub('', line)}")
    lines += [f"ipset {line}" for line in output("ipset", "save").splitlines()]
    # where a rule stands matters: the line carries what it is in
    place = []
    for line in output("nft", "--stateless", "list", "ruleset").splitlines():
        text = line.strip()
        if text == "}":
            place.pop()
        elif text.endswith("{"):
            place.append(text[:-2])
            lines.append("nft " + " ".join(place))
        elif text and not text.startswith("#"):
            lines.append("nft " + " ".join([*place, text]))
    return lines


def units():
    """Return whether each unit file is enabled, and which units have failed."""
    lines = output("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain").splitlines()
    failed = output("systemctl", "list-units", "--failed", "--no-legend", "--no-pager", "--plain").splitlines()
    # transient ones are those of logins
    return [" ".join(line.split()[:2]) for line in lines if " transient " not in line] + [f"failed {line.split()[0]}" for line in failed]


def cgroups():
    """Return the name of each control group once, whatever controllers it has: those of systemd's vary. Without those of logins."""
    root = "/sys/fs/cgroup"
    # version 1 has a tree for each controller
    trees = [root] if os.path.exists(f"{root}/cgroup.procs") else [f"{root}/{name}" for name in os.listdir(root)]
    names = {top[len(tree) :] for tree in trees for top, _folders, _names in os.walk(tree)}
    return [name for name in names if name and not CGROUPS.match(name)]


def take(path):
    """Return the record as {kind: sorted lines}. The directory of the file `path` is left out of it."""
    left_out = {*FILES, os.path.dirname(os.path.abspath(path))}
    found = {
        "processes": processes(),
        "mounts": mounts(),
        "links": links(),
        "rules": rules(),
        "files": files(left_out),
        "units": units(),
        "control groups": cgroups(),
    }
    return {kind: sorted(lines) for kind, lines in found.items()}


def differences(before, after):
    """Return {kind: lines}, of those kinds alone in which something differs."""
    told = {}
    for kind, lines in after.items():
        old, new = collections.Counter(before[kind]), collections.Counter(lines)
        told[kind] = sorted(
            [f"- {line}" for line in (old - new).elements()] + [f"+ {line}" for line in (new - old).elements()], key=lambda line: line[2:]
        )
    return {kind: lines for kind, lines in told.items() if lines}


def main():
    """Take a record, or compare with one."""
    action, path = sys.argv[1:]
    if action == "take":
        record = take(path)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(record, stream)
        print(json.dumps({kind: len(lines) for kind, lines in record.items()}))
        return
    with open(path, encoding="utf-8") as stream:
        print(json.dumps(differences(json.load(stream), take(path)), indent=1))


if __name__ == "__main__":
    main()
