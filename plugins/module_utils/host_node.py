# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine is that will be a node of a cluster, read from it without changing anything."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess

# services that keep the clock, whoever ships them
TIME_UNITS = (
    "chronyd.service",
    "chrony.service",
    "systemd-timesyncd.service",
    "ntpd.service",
    "ntpsec.service",
    "ntp.service",
    "openntpd.service",
)
FIREWALL_UNITS = ("firewalld.service", "ufw.service", "nftables.service")
ISCSI_UNITS = ("iscsid.service", "iscsid.socket")
# {family: {ID of /etc/os-release: versions}}; the RHEL family counts by its major version
SUPPORTED = {
    "RedHat": dict.fromkeys(("rhel", "rocky", "almalinux", "centos", "ol"), ("8", "9", "10")),
    "Debian": {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")},
    "Suse": {"opensuse-leap": ("15.5", "15.6", "16.0"), "sles": ("15.5", "15.6", "15.7", "16.0")},
}
# devices that Kubernetes makes: their networks are the cluster's own
CLUSTER_DEVICES = re.compile(r"(cni|flannel|kube-|cali|veth|docker|lxc|cilium)")
# those by which no other machine is reached: what Kubernetes, a container engine or a hypervisor makes
INNER_DEVICES = re.compile(
    r"(lo|cni\d*|flannel.*|kube-.*|veth.*|docker\d*|br-[0-9a-f]{12}|podman\d*|virbr.*|cali.*|vxlan\.calico|cilium.*|lxc.*|tunl\d+|wg\d+)$"
)
# of the networks for documentation (RFC 5737, RFC 3849): the way there is the default route's
FAR = (("-4", "192.0.2.1"), ("-6", "2001:db8::1"))
# RHEL 8's, the oldest of the distributions
OLDEST_KERNEL = (4, 18)


def read(path, default=""):
    """Return a file's text, or `default`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return default


def output(*argv):
    """Return what a program writes; '' where it is not there or fails."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def release(text):
    """Return what /etc/os-release says as a dict."""
    return {key: value.strip("\"'") for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)}


def distribution(text):
    """Return {id, version, name, family, supported} from the text of /etc/os-release."""
    found = release(text)
    name, version = found.get("ID", ""), found.get("VERSION_ID", "")
    like = f"{name} {found.get('ID_LIKE', '')}".split()
    family = ""
    for candidate, words in (
        ("Debian", ("debian", "ubuntu")),
        ("RedHat", ("rhel", "fedora", "centos")),
        ("Suse", ("suse", "opensuse", "sles")),
    ):
        if any(word in like for word in words):
            family = candidate
            break
    versions = SUPPORTED.get(family, {}).get(name, ())
    counted = version.split(".")[0] if family == "RedHat" else version
    return {
        "id": name,
        "version": version,
        "major": version.split(".")[0],
        "name": found.get("PRETTY_NAME", f"{name} {version}".strip()) or "unknown",
        "family": family,
        "supported": counted in versions,
    }


def kernel_version(text):
    """Return the first two numbers of a kernel's release."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def units(names):
    """Return {unit: {active, enabled, there}} of systemd's units."""
    found = {}
    for block in output("systemctl", "show", "--property=Id,ActiveState,UnitFileState,LoadState", *names).strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            found[values["Id"]] = {
                "active": values.get("ActiveState") == "active",
                "enabled": values.get("UnitFileState") in ("enabled", "static", "alias", "indirect", "enabled-runtime"),
                "there": values.get("LoadState") == "loaded",
            }
    return found


def addresses(text):
    """Return [{address, prefix, device}] of `ip --json address`, without loopback's and link-local ones."""
    found = []
    for link in json.loads(text or "[]"):
        for entry in link.get("addr_info", []):
            if entry.get("scope") == "global":
                found.append({"address": entry["local"], "prefix": entry["prefixlen"], "device": link.get("ifname", "")})
    return found


def outer_addresses(found):
    """Return those of addresses() by which other machines can reach this one, as ADDRESS/PREFIX."""
    return [f"{entry['address']}/{entry['prefix']}" for entry in found if not INNER_DEVICES.match(entry["device"])]


def routes(text):
    """Return [{to, device}] of `ip --json route`, without the default one."""
    return [
        {"to": entry["dst"], "device": entry.get("dev", "")}
        for entry in json.loads(text or "[]")
        if entry.get("dst", "default") != "default"
    ]


def own_address(found, ask=output):
    """Return the address that this host is reached by, as far as it can tell: the one that it uses towards the outside.

    `found` are its addresses(); `ask` runs `ip`. The kernel is asked for the way: of several default routes it knows which counts.
    """
    for family, target in FAR:
        for entry in json.loads(ask("ip", "-json", family, "route", "get", target) or "[]"):
            if entry.get("prefsrc"):
                return entry["prefsrc"]
    return next((entry["address"] for entry in found if ":" not in entry["address"]), found[0]["address"] if found else "")


def clock_is_synchronised():
    """Return whether the kernel says that something keeps its clock; None where it does not tell."""
    try:
        # struct timex is smaller than this; zeros ask without setting anything
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    # TIME_ERROR
    return None if state < 0 else state != 5


def container():
    """Return the name of what this host runs in where it is a container, else ''."""
    found = read("/run/systemd/container").strip()
    return found or ("container" if os.path.exists("/run/.containerenv") or os.path.exists("/.dockerenv") else "")


def selinux():
    """Return {present, mode, config}: of the kernel, and of the next boot."""
    enforce = read("/sys/fs/selinux/enforce").strip()
    match = re.search(r"^\s*SELINUX=(\w+)", read("/etc/selinux/config"), re.MULTILINE)
    mode = {"1": "enforcing", "0": "permissive"}.get(enforce, "disabled")
    return {"present": mode != "disabled", "mode": mode, "config": match.group(1).lower() if match else ""}


def missing_packages(family, names):
    """Return those of `names` that are not installed."""
    if not names:
        return []
    try:
        if family == "Debian":
            argv = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names]
        else:
            argv = ["rpm", "--query", "--queryformat", "%{NAME} installed\n", *names]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return list(names)
    there = {line.split(" ")[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    # a package may be asked for by name and version
    return [name for name in names if name not in there]


def environment_of(pid):
    """Return (parent process, environment) of a process; (0, {}) where it cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            entries = stream.read().split(b"\0")
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            parent = int(stream.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0, {}
    return parent, dict(entry.decode("utf-8", "replace").split("=", 1) for entry in entries if b"=" in entry)


def ssh_port_of_connection(pid):
    """Return the port of this host that a process's ssh connection came in on; 0 for none. sudo drops the variable: parents have it."""
    for _step in range(32):
        parent, environ = environment_of(pid)
        words = environ.get("SSH_CONNECTION", "").split()
        if len(words) == 4 and words[3].isdigit():
            return int(words[3])
        if parent <= 1:
            return 0
        pid = parent
    return 0


def ssh_ports_configured(text):
    """Return the ports of `sshd -T`'s output."""
    return [int(port) for port in re.findall(r"^port (\d+)$", text, re.MULTILINE)]


def ssh_ports(pid):
    """Return the ports on which ssh must stay open: that of this connection, and those that sshd is configured for. sorted."""
    found = {ssh_port_of_connection(pid)}
    program = next((path for path in ("/usr/sbin/sshd", "/sbin/sshd") if os.path.exists(path)), "")
    if program:
        found |= set(ssh_ports_configured(output(program, "-T")))
    return sorted(found - {0}) or [22]


def listening(text):
    """Return the TCP ports in state LISTEN of /proc/net/tcp's or tcp6's text."""
    return {int(match[1], 16) for match in re.finditer(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A ", text, re.MULTILINE)}


def iscsi_possible():
    """Return whether the kernel has the initiator's transport, or a module of it that can be loaded."""
    if os.path.isdir("/sys/module/iscsi_tcp") or os.path.isdir("/sys/class/iscsi_transport"):
        return True
    return bool(output("modprobe", "--dry-run", "--show-depends", "iscsi_tcp"))


def swaps(text):
    """Return the devices of /proc/swaps' text."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.split()]
