# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw: rules with our comment, through its own program; rules of others are left alone."""

from __future__ import annotations

import os
import re
import shlex

from ansible_collections.mlops.platform.plugins.module_utils import host_firewall as common

PROGRAM = "/usr/sbin/ufw"


def _ports(ports):
    """Return the parts of a list of ports that one rule takes: 15 numbers, a range counting as two."""
    parts, size = [[]], 0
    for port in ports:
        weight = 2 if "-" in port else 1
        if size + weight > 15:
            parts.append([])
            size = 0
        parts[-1].append(port.replace("-", ":"))
        size += weight
    return [",".join(part) for part in parts]


def render(rules, trusted, ssh_ports):
    """Return the wanted rules as ufw shows them: lists of words behind `ufw`, without those that only a route has twice."""
    wanted = [["allow", f"{port}/tcp", "comment", "mlops ssh"] for port in sorted(ssh_ports)]
    for rule in rules:
        for ports in _ports(rule["ports"]):
            if not rule["sources"]:
                wanted.append(["allow", f"{ports}/{rule['protocol']}", "comment", f"mlops {rule['name']}"])
            for source in rule["sources"]:
                where = ["from", source, "to", "any", "port", ports, "proto", rule["protocol"]]
                wanted.append(["allow", *where, "comment", f"mlops {rule['name']}"])
    for network in trusted:
        wanted.append(["allow", "from", network, "comment", "mlops trusted"])
        # through this host: pods to anywhere, and what another node or the host itself sends to a pod
        wanted.append(["route", "allow", "from", network, "comment", "mlops from pods"])
        wanted.append(["route", "allow", "to", network, "comment", "mlops to pods"])
    return wanted


def key(words):
    """Return a rule's meaning without its comment, for comparison: an address of one host has no length, and `to any` may be left out."""
    text = " ".join(words[: words.index("comment")] if "comment" in words else words)
    text = re.sub(r"(\d+\.\d+\.\d+\.\d+)/32\b|(\S*:\S*)/128\b", lambda match: match[1] or match[2], text)
    text = re.sub(r"^(allow|route allow) (?:in )?", r"\1 ", text)
    return re.sub(r" to any(?! port)", "", text)


def added(text):
    """Return (our rules, those of others) in what `ufw show added` says, as lists of words. Ours have our comment."""
    ours, others = [], []
    for line in text.splitlines():
        if line.startswith("ufw "):
            words = shlex.split(line)[1:]
            mine = "comment" in words and words[words.index("comment") + 1].split(" ")[0] == common.MARK
            (ours if mine else others).append(words)
    return ours, others


def _delete(words):
    """Return the command that takes a rule away."""
    plain = words[: words.index("comment")]
    return ["route", "delete", *plain[1:]] if plain[0] == "route" else ["delete", *plain]


def configure(files, rules, trusted, ssh_ports):
    """Bring ufw to the rules; return whether something changed."""
    wanted = render(rules, trusted, ssh_ports)
    if files.check and not os.path.exists(PROGRAM):
        files.diff.append({"before": "", "after": "".join(f"ufw {' '.join(words)}\n" for words in wanted)})
        return True
    there, others = added(common.run(PROGRAM, "show", "added")[1])
    # one that somebody has is not made ours: it would go with ours
    have, want = {key(words) for words in [*there, *others]}, {key(words) for words in wanted}
    new = [words for words in wanted if key(words) not in have]
    stale = [words for words in there if key(words) not in want]
    active = "Status: active" in common.run(PROGRAM, "status")[1]
    enabled = common.unit_states("ufw.service")["ufw.service"][1] == "enabled"
    common.remember(files, active)
    if new or stale:
        shown = [sorted(f"ufw {' '.join(words)}\n" for words in some) for some in (stale, new)]
        files.diff.append({"before_header": "ufw", "after_header": "ufw", "before": "".join(shown[0]), "after": "".join(shown[1])})
    if not files.check:
        # in this order nothing is closed that stays open
        for words in new:
            common.run(PROGRAM, *words)
        for words in stale:
            common.run(PROGRAM, *_delete(words))
        if not active:
            common.run(PROGRAM, "--force", "enable")
        if not enabled:
            common.run("systemctl", "enable", "ufw.service")
    return bool(new or stale or not active or not enabled)


def forget(_files):
    """Leave ufw's rules as they are where another firewall is used now: ufw is off then. Nothing changes."""
    return False


def remove(files):
    """Bring back what was there before the first run; return whether something changed."""
    if not os.path.exists(PROGRAM):
        return False
    # first: what goes next keeps ssh open
    off = disable(files) if not common.was_on() else False
    there, _others = added(common.run(PROGRAM, "show", "added")[1])
    if there:
        files.diff.append(
            {"before_header": "ufw", "after_header": "ufw", "before": "".join(f"ufw {' '.join(one)}\n" for one in there), "after": ""}
        )
    if not files.check:
        for words in there:
            common.run(PROGRAM, *_delete(words))
    return off or bool(there)


def disable(files):
    """Switch ufw off for good."""
    if not os.path.exists(PROGRAM):
        return False
    active = "Status: active" in common.run(PROGRAM, "status")[1]
    if active and not files.check:
        common.run(PROGRAM, "disable")
    return active
