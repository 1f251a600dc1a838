# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way to the platform: do the public names lead to this host, and does its firewall let users in."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading

from ansible_collections.mlops.platform.plugins.module_utils.doctor import Check, NotApplicable, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import SECONDS, output, words


def as_address(name):
    """Return the address that `name` is, or None where it is a name."""
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None


def resolve(name):
    """Return (sorted addresses of a name, the resolver's words); a resolver that does not answer in time has words too."""
    found = ([], f"the resolver gave no answer within {SECONDS} s")

    def ask():
        nonlocal found
        try:
            found = (sorted({one[4][0] for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}), "")
        except (OSError, UnicodeError) as problem:
            found = ([], words(problem))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return found


def is_own(address):
    """Return whether an address is this host's: only such a one can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def look(plan):
    """Return the facts of this layer."""
    names = {}
    for name in plan["public_names"]:
        own = as_address(name)
        addresses, said = ([str(own)], "") if own else resolve(name)
        names[name] = {"addresses": addresses, "said": said, "own": [one for one in addresses if is_own(one)]}
    firewalls = {}
    if is_public(plan["bind_address"]):
        firewalls = {
            "ufw": output(["ufw", "status"]),
            "firewalld": output(["firewall-cmd", "--list-all-zones"]),
            "nftables": output(["nft", "list", "ruleset"]),
        }
    return {"names": names, "firewalls": firewalls}


def is_public(address):
    """Return whether what listens on `address` can be reached from elsewhere."""
    found = as_address(address)
    return found is None or not found.is_loopback


def dns(plan, facts):
    """Each public name leads here."""
    names = [name for name in plan["public_names"] if as_address(name) is None]
    for name in names:
        found = facts["names"][name]
        if not found["addresses"]:
            yield error(
                "dns-unresolved",
                f"the public name {name} does not resolve on this host",
                "add it to the DNS (or to /etc/hosts), or take it out of mlops_public_names",
                said=found["said"],
                subject=name,
            )
        elif not found["own"]:
            yield warning(
                "dns-elsewhere",
                f"the public name {name} leads to {', '.join(found['addresses'])}, which is not this host",
                "correct the DNS, or take the name out of mlops_public_names; behind a load balancer or NAT it is as it should be",
                subject=name,
            )
    if not names:
        raise NotApplicable("all of mlops_public_names are addresses")


def covers(words_of_line, port):
    """Return whether a rule's text names `port`: itself, in a range, or in a set of both."""
    for first, last in re.findall(r"(?<![\d.:])(\d+)(?:-(\d+))?(?![\d.])", words_of_line):
        if int(first) <= port <= int(last or first):
            return True
    return False


def nft_closes(ruleset, port):
    """Return the line of a ruleset that drops what comes in for `port`, or "".

    That is a chain of the hook input that drops, where no rule accepts the port.
    """
    dropping = None
    for chain in re.findall(r"chain \S+ \{(.*?)\n\t\}", ruleset, re.DOTALL):
        head = re.search(r"hook input .*", chain)
        if head and "policy drop" in head.group(0):
            dropping = dropping or head.group(0).strip()
        elif head and (last := re.findall(r"^\s*(?:counter packets \d+ bytes \d+ )?(drop|reject)\b.*$", chain, re.M)):
            dropping = dropping or f"{head.group(0).strip()} ... {last[-1]}"
    if not dropping:
        return ""
    for line in ruleset.splitlines():
        match = re.search(r"\bdport (.*)\b(?:accept|jump|goto|dnat)\b", line)
        if match and covers(match.group(1), port):
            return ""
    # a set that is named in a rule has its ports elsewhere
    if re.search(r"dport @", ruleset) and covers(" ".join(re.findall(r"elements = \{([^}]*)\}", ruleset)), port):
        return ""
    return dropping


def ufw_closes(status, port):
    """Return why ufw closes `port`, or ""."""
    if not status.startswith("Status: active"):
        return ""
    rules = [line for line in status.splitlines() if re.search(r"\bALLOW\b", line)]
    return "" if any(covers(line.split("ALLOW")[0], port) for line in rules) else "Status: active, and no rule that allows the port"


def firewalld_closes(zones, port):
    """Return why firewalld closes `port`, or ""."""
    for zone in re.split(r"\n\n", zones):
        if "(active)" not in zone.split("\n")[0] and "(default" not in zone.split("\n")[0]:
            continue
        ports = re.findall(r"^\s*(?:ports|rule .*port port=)(.*)$", zone, re.M)
        services = re.findall(r"^\s*services:(.*)$", zone, re.M)
        accepts = "target: ACCEPT" in zone or covers(" ".join(ports).replace('"', " ").replace("/tcp", " "), port)
        if not accepts and not (port == 443 and "https" in " ".join(services).split()):
            return f"zone {zone.split()[0]} does not open it"
    return ""


OPEN = {
    "ufw": (ufw_closes, "ufw allow {port}/tcp"),
    "firewalld": (firewalld_closes, "firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"),
    "nftables": (nft_closes, "nft add rule inet filter input tcp dport {port} accept (and in /etc/nftables.conf), or host_firewall_ports"),
}


def firewall(plan, facts):
    """Who listens for others has to be reachable."""
    if not is_public(plan["bind_address"]):
        raise NotApplicable(f"mlops_bind_address is {plan['bind_address']}: nobody is to come in from elsewhere")
    asked = {name: answer for name, answer in facts["firewalls"].items() if answer[0] == 0}
    refused = [said for code, _text, said in facts["firewalls"].values() if code not in (0, None) and "ermi" in said]
    for name, (_code, text, _said) in asked.items():
        closes, remedy = OPEN[name]
        # ufw and firewalld write rules of nftables: they are asked themselves
        if name == "nftables" and len(asked) > 1:
            continue
        why = closes(text, plan["https_port"])
        if why:
            yield error(
                "firewall-closed",
                f"{name} closes port {plan['https_port']} (mlops_https_port), and mlops_bind_address is {plan['bind_address']}",
                remedy.format(port=plan["https_port"]),
                said=why,
                subject=name,
            )
    if not asked and refused:
        raise NotChecked("only root can read the firewall's rules: " + refused[0])
    if not asked:
        raise NotApplicable("no firewall of this host answers (ufw, firewalld, nftables)")


CHECKS = [Check("dns", "network", dns), Check("firewall", "network", firewall)]
