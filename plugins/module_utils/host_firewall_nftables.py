# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: a table of our own, loaded as a whole, and by the distribution's unit at each boot."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os

from ansible_collections.mlops.platform.plugins.module_utils import host_firewall as common

TABLE = "mlops_host"
FILE = "/etc/nftables.d/mlops-host.nft"
# what the distribution's nftables.service loads: the RHEL family's, and everybody else's
MAIN_FILES = ("/etc/sysconfig/nftables.conf", "/etc/nftables.conf")
INCLUDE = 'include "/etc/nftables.d/*.nft"'
INCLUDED = f"# what programs add, such as the role mlops.platform.host\n{INCLUDE}\n"


def rules_text(rules, trusted, ssh_ports):
    """Return the lines of the chain that lets in, in order."""

    def among(values):
        return "{ " + ", ".join(str(value) for value in values) + " }"

    lines = [
        'iifname "lo" accept',
        "meta l4proto { icmp, ipv6-icmp } accept",
        # the answers of DHCPv6 belong to no connection
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        f'tcp dport {among(sorted(ssh_ports))} accept comment "ssh"',
    ]
    for number, networks in common.by_family(trusted) if trusted else []:
        lines.append(f'{"ip" if number == 4 else "ip6"} saddr {among(networks)} accept comment "trusted"')
    for rule in rules:
        ports = f"{rule['protocol']} dport {among(rule['ports'])}"
        for number, sources in common.by_family(rule["sources"]):
            start = "" if number is None else f"{'ip' if number == 4 else 'ip6'} saddr {among(sources)} "
            lines.append(f'{start}{ports} accept comment "{rule["name"]}"')
    return lines


def render(rules, trusted, ssh_ports):
    """Return (the file's text, its mark, the number of its rules)."""
    lines = rules_text(rules, trusted, ssh_ports)
    mark = "mlops " + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    # first, so that an open ssh connection lives on whatever follows; its comment tells which version is loaded
    lines.insert(0, f'ct state established,related accept comment "{mark}"')
    body = "".join(f"\t\t{line}\n" for line in lines)
    text = (
        "# Written by the role mlops.platform.host; changed by hand it is written anew.\n"
        # the first line makes what the second one removes: as one transaction, with no moment without rules
        f"table inet {TABLE}\ndelete table inet {TABLE}\n"
        f"table inet {TABLE} {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n{body}\t}}\n}}\n"
    )
    return text, mark, len(lines)


def loaded(listing, mark, count):
    """Return whether `nft --json list table` shows the table with this mark, a chain that drops, and as many rules."""
    found = json.loads(listing or "{}").get("nftables", [])
    rules = [entry["rule"] for entry in found if "rule" in entry]
    drops = any(entry["chain"].get("policy") == "drop" for entry in found if "chain" in entry)
    return drops and len(rules) == count and any(rule.get("comment") == mark for rule in rules)


def live():
    """Return what is loaded of our table, as JSON; '' for nothing."""
    code, output = common.run("nft", "--json", "list", "table", "inet", TABLE, ok=())
    return output if code == 0 else ""


def main_file():
    """Return (path, text) of what the unit loads at boot."""
    for path in MAIN_FILES:
        text = common.read(path)
        if text is not None:
            return path, text
    path = MAIN_FILES[0] if os.path.isdir("/etc/sysconfig") else MAIN_FILES[1]
    return path, "#!/usr/sbin/nft -f\n"


def configure(files, rules, trusted, ssh_ports):
    """Bring nftables to the rules; return whether something besides the files changed."""
    text, mark, count = render(rules, trusted, ssh_ports)
    path, main = main_file()
    files.keep(FILE, text)
    if INCLUDE not in [line.strip() for line in main.splitlines()]:
        main = main.rstrip("\n") + f"\n{INCLUDED}"
        # a script of the distribution's keeps its x
        files.keep(path, main, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644)
    if files.check and not _installed():
        return True
    reload = not loaded(live(), mark, count)
    enable = common.unit_states("nftables.service")["nftables.service"][1] != "enabled"
    common.remember(files, not enable)
    if files.check:
        return reload or enable
    try:
        common.run("nft", "--check", "--file", FILE)
    except common.FirewallError:
        files.restore()
        raise
    if reload:
        common.run("nft", "--file", FILE)
    if enable:
        # not started: the unit flushes everybody's rules first, those of Kubernetes among them. Ours are loaded.
        common.run("systemctl", "enable", "nftables.service")
    return reload or enable


def _installed():
    return any(os.path.exists(os.path.join(place, "nft")) for place in ("/usr/sbin", "/sbin", "/usr/bin"))


def disable(files):
    """Take our table away; tables of others stay."""
    there = bool(_installed() and live())
    files.keep(FILE, None)
    if there and not files.check:
        common.run("nft", "delete", "table", "inet", TABLE)
    return there


def forget(files):
    """Take our table away where another firewall is used now; return whether that changed something besides files."""
    return disable(files) if os.path.exists(FILE) else False


def remove(files):
    """Bring back what was there before the first run; return whether something besides the files changed."""
    there = disable(files)
    path, main = main_file()
    if INCLUDED in main:
        files.keep(path, main.replace(INCLUDED, ""), os.stat(path).st_mode & 0o777)
        if not files.check:
            # only where it is empty
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(FILE))
    off = not common.was_on() and common.unit_states("nftables.service")["nftables.service"][1] == "enabled"
    if off and not files.check:
        # not stopped: the unit would take away everybody's rules
        common.run("systemctl", "disable", "nftables.service")
    return there or off
