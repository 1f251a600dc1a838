# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""firewalld: policies of our own, which hold whatever zone an interface or a source is in; zones are left alone."""

from __future__ import annotations

import glob
import hashlib
import os
import re

from ansible_collections.mlops.platform.plugins.module_utils import host_firewall as common

ROOT = "/etc/firewalld"
# to the host itself, and through it
INPUT = "mlops-in"
FORWARD = "mlops-through"
# policies came with 0.9
OLDEST = (0, 9)
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<!-- Written by the role mlops.platform.host; changed by hand it is written anew. -->\n'


def _set_name(number, sources):
    return f"mlops-{number}-{hashlib.sha256(' '.join(sources).encode()).hexdigest()[:8]}"


def _sets(rules):
    """Return {name: (family, sources)} of the sources that are more than one."""
    found = {}
    for rule in rules:
        for number, sources in common.by_family(rule["sources"]):
            if len(sources) > 1:
                found[_set_name(number, sources)] = (number, sources)
    return found


def _rules(number, sources, inner):
    """Return the rich rule for one family of sources."""
    where = f'<source ipset="{_set_name(number, sources)}"/>' if len(sources) > 1 else f'<source address="{sources[0]}"/>'
    return f'  <rule family="ipv{number}">{where}{inner}<accept/></rule>\n'


def _policy(short, to, body):
    return (
        HEAD + '<policy priority="-1" target="CONTINUE">\n'
        f"  <short>{short}</short>\n"
        f'  <ingress-zone name="ANY"/>\n  <egress-zone name="{to}"/>\n{body}</policy>\n'
    )


def render(rules, trusted, ssh_ports):
    """Return {path below ROOT: text} of all files."""
    body = "".join(f'  <port port="{port}" protocol="tcp"/>\n' for port in sorted(ssh_ports))
    for rule in rules:
        for port in rule["ports"]:
            entry = f'<port port="{port}" protocol="{rule["protocol"]}"/>'
            for number, sources in common.by_family(rule["sources"]):
                body += f"  {entry}\n" if number is None else _rules(number, sources, entry)
    free = "".join(f'  <rule family="ipv{common.family(network)}"><source address="{network}"/><accept/></rule>\n' for network in trusted)
    files = {f"policies/{INPUT}.xml": _policy("MLOps platform: to this host", "HOST", body + free)}
    if trusted:
        # from pods to anywhere, and between the pods of two nodes
        files[f"policies/{FORWARD}.xml"] = _policy("MLOps platform: pods and services", "ANY", free)
    for name, (number, sources) in _sets(rules).items():
        entries = "".join(f"  <entry>{source}</entry>\n" for source in sources)
        options = '  <option name="family" value="inet6"/>\n' if number == 6 else ""
        files[f"ipsets/{name}.xml"] = HEAD + f'<ipset type="hash:net">\n{options}{entries}</ipset>\n'
    return files


def settings(text):
    """Return what `firewall-cmd --list-all` shows as a set of lines, without those that say whether it is loaded."""
    return {line.strip() for line in text.splitlines()[1:]}


def in_step():
    """Return whether what runs is what the files of our policies say, as far as firewalld tells."""
    for name in (INPUT, FORWARD):
        shown = [common.run("firewall-cmd", *where, f"--policy={name}", "--list-all", ok=()) for where in ([], ["--permanent"])]
        if [code for code, _text in shown] == [0, 0]:
            if settings(shown[0][1]) != settings(shown[1][1]):
                return False
        elif shown[0][0] != shown[1][0]:
            return False
    return True


def version():
    """Return firewalld's version as numbers. Raises FirewallError where it is not installed."""
    _code, text = common.run("firewall-offline-cmd", "--version")
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def configure(files, rules, trusted, ssh_ports):
    """Bring firewalld to the rules; return whether something besides the files changed."""
    wanted = {os.path.join(ROOT, name): text for name, text in render(rules, trusted, ssh_ports).items()}
    ours = glob.glob(f"{ROOT}/ipsets/mlops-*.xml") + glob.glob(f"{ROOT}/policies/mlops-*.xml")
    installed = os.path.exists("/usr/bin/firewall-offline-cmd")
    if installed and version() < OLDEST:
        raise common.FirewallError(
            "this firewalld is older than 0.9, which has no policies; update it, or set host_firewall_backend to nftables"
        )
    # the sets before the policies that name them
    for path in sorted(wanted, key=lambda path: "/policies/" in path):
        files.keep(path, wanted[path], 0o640)
    for path in sorted(set(ours) - set(wanted)):
        files.keep(path, None)
    if files.check and not installed:
        return True
    active, enabled = common.unit_states("firewalld.service")["firewalld.service"]
    begin = active != "active" or enabled != "enabled"
    reload = active == "active" and (bool(files.changed) or not in_step())
    common.remember(files, not begin)
    if files.check:
        return begin or reload
    if files.changed:
        try:
            common.run("firewall-offline-cmd", "--check-config")
        except common.FirewallError:
            files.restore()
            raise
    if reload:
        common.run("firewall-cmd", "--reload")
    if begin:
        common.start("firewalld.service")
    return begin or reload


def forget(files):
    """Take our files away where another firewall is used now; return whether that changed something besides them."""
    # the policies before the sets that they name
    for path in [*sorted(glob.glob(f"{ROOT}/policies/mlops-*.xml")), *sorted(glob.glob(f"{ROOT}/ipsets/mlops-*.xml"))]:
        files.keep(path, None)
    return False


def remove(files):
    """Bring back what was there before the first run; return whether something besides the files changed."""
    if not common.was_on():
        return disable(files)
    forget(files)
    reload = bool(files.changed) and common.unit_states("firewalld.service")["firewalld.service"][0] == "active"
    if reload and not files.check:
        common.run("firewall-cmd", "--reload")
    return reload


def disable(files):
    """Stop firewalld for good, and take our files away."""
    forget(files)
    active, enabled = common.unit_states("firewalld.service")["firewalld.service"]
    runs = active == "active" or enabled == "enabled"
    if runs and not files.check:
        common.run("systemctl", "disable", "--now", "firewalld.service")
    return runs
