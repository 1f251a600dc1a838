# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wanted of MetalLB - pools, peers, BFD profiles - in one form, whatever generation of MetalLB is to have it."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
POOL = {"name", "addresses", "protocol", "auto_assign", "avoid_buggy_ips", "spec", "advertisements"}
PROTOCOLS = ("layer2", "bgp")
NEEDED = ("myASN", "peerASN", "peerAddress")
# what a peer may leave out for something else: MetalLB 0.16 finds the address by an interface, and the number by itself
INSTEAD = {"peerASN": "dynamicASN", "peerAddress": "interface"}


class Settings:
    """`pools`, `peers` and `profiles` are dictionaries in a form that has been checked; `problems` are of (what, remedy)."""

    def __init__(self):
        self.pools, self.peers, self.profiles, self.problems = [], [], [], []

    def names(self):
        """Return the names of the pools."""
        return [pool["name"] for pool in self.pools]

    def uses_bgp(self):
        """Return whether there is anything of BGP in it."""
        return bool(self.peers or self.profiles or any(pool["protocol"] == "bgp" for pool in self.pools))


def read(pool=None, pools=None, interfaces=None, peers=None, bfd_profiles=None):
    """Return the Settings of the variables metallb_pool, metallb_pools, metallb_interfaces, metallb_peers and metallb_bfd_profiles."""
    found = Settings()
    given = {"pool": pool, "pools": pools, "interfaces": interfaces, "peers": peers, "bfd_profiles": bfd_profiles}
    for name, value in given.items():
        if value and not isinstance(value, (list, tuple)):
            found.problems.append(
                (f"metallb_{name} is a text, and not a list", f"write it as YAML in the inventory: metallb_{name}: [...]")
            )
            given[name] = []
    reach = [{"interfaces": list(given["interfaces"])}] if given["interfaces"] else [{}]
    if given["pool"]:
        found.pools.append(_pool(found, {"name": "default", "addresses": given["pool"]}, "metallb_pool", reach))
    for number, one in enumerate(given["pools"] or []):
        found.pools.append(_pool(found, one, f"metallb_pools[{number}]", reach))
    found.pools = [one for one in found.pools if one]
    for kind, target in (("peers", found.peers), ("bfd_profiles", found.profiles)):
        for number, one in enumerate(given[kind] or []):
            if _named(found, one, f"metallb_{kind}[{number}]"):
                target.append(dict(one))
    for peer in found.peers:
        lacking = [key for key in NEEDED if not peer.get(key) and not peer.get(INSTEAD.get(key, ""))]
        if lacking:
            found.problems.append(
                (f"metallb_peers: {peer['name']} lacks {', '.join(lacking)}", "give what BGPPeer of metallb.io/v1beta2 needs")
            )
    for kind, entries in (("pools", found.pools), ("peers", found.peers), ("bfd_profiles", found.profiles)):
        names = [one["name"] for one in entries]
        for name in sorted({name for name in names if names.count(name) > 1}):
            more = "; metallb_pool is the one that is called default" if (kind, name) == ("pools", "default") else ""
            found.problems.append((f"metallb_{kind}: the name {name} is there twice", f"give each a name of its own{more}"))
    if any(pool["protocol"] == "bgp" for pool in found.pools) and not found.peers:
        found.problems.append(("a pool has the protocol bgp, and metallb_peers is empty", "name the routers in metallb_peers"))
    return found


def _named(found, one, where):
    """Return whether `one` is a dictionary with a name that an object can have."""
    if not isinstance(one, dict):
        found.problems.append((f"{where} is {one!r}", "give a dictionary"))
        return False
    if not NAME.match(str(one.get("name") or "")):
        found.problems.append((f"{where} has the name {one.get('name')!r}", "use at most 63 lower-case letters, digits and hyphens"))
        return False
    return True


def _pool(found, one, where, reach):
    """Return a pool in full, or None for what is none."""
    if not _named(found, one, where):
        return None
    wrong = sorted(set(one) - POOL)
    if wrong:
        found.problems.append((f"{where} ({one['name']}) has {', '.join(wrong)}", f"it may have {', '.join(sorted(POOL))}"))
    addresses = one.get("addresses")
    if not addresses or not isinstance(addresses, (list, tuple)):
        found.problems.append((f"{where} ({one['name']}) has no list of addresses", "give addresses: [FIRST-LAST, NETWORK/LENGTH]"))
        return None
    protocol = one.get("protocol", "layer2")
    if protocol not in PROTOCOLS:
        found.problems.append((f"{where} ({one['name']}) has the protocol {protocol}", "set it to layer2 or bgp"))
        protocol = "layer2"
    return {
        "name": str(one["name"]),
        "addresses": [str(text) for text in addresses],
        "protocol": protocol,
        "auto_assign": bool(one.get("auto_assign", True)),
        "avoid_buggy_ips": bool(one.get("avoid_buggy_ips", False)),
        "spec": one.get("spec") or {},
        "advertisements": one.get("advertisements") or (reach if protocol == "layer2" else [{}]),
    }
