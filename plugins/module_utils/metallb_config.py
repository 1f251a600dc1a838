# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ConfigMap of MetalLB up to 0.12, read as the settings of today."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils.metallb_objects import ADVERTISEMENT_KEYS, PEER_KEYS, PROFILE_KEYS
from ansible_collections.mlops.platform.plugins.module_utils.metallb_settings import Settings

TOP = {"peers", "bgp-communities", "address-pools", "bfd-profiles"}
POOL = {"name", "protocol", "addresses", "avoid-buggy-ips", "auto-assign", "bgp-advertisements"}
REMEDY = "correct the ConfigMap, or write what it should say into metallb_pools and metallb_peers and delete it"


def read(text):
    """Return the Settings that the ConfigMap's key `config` describes. What cannot be converted is a problem in them."""
    import yaml

    found = Settings()
    try:
        config = yaml.safe_load(text or "") or {}
    except yaml.YAMLError as error:
        found.problems.append((f"the ConfigMap config is no YAML: {' '.join(str(error).split())}", REMEDY))
        return found
    if not isinstance(config, dict):
        found.problems.append(("the ConfigMap config holds no settings", REMEDY))
        return found
    _known(found, config, TOP, "it")
    communities = config.get("bgp-communities") or {}
    for number, one in enumerate(config.get("bfd-profiles") or []):
        _known(found, one, {"name", *PROFILE_KEYS.values()}, f"bfd-profiles[{number}]")
        found.profiles.append({"name": object_name(one.get("name") or f"profile-{number + 1}"), **_renamed(one, PROFILE_KEYS)})
    for number, one in enumerate(config.get("peers") or []):
        _known(found, one, {"node-selectors", *PEER_KEYS.values()}, f"peers[{number}]")
        name = object_name(f"peer {one.get('peer-address') or number + 1}")
        found.peers.append({"name": name, **_renamed(one, PEER_KEYS), **_selectors(one)})
    for number, one in enumerate(config.get("address-pools") or []):
        pool = _pool(found, one, f"address-pools[{number}]", communities)
        if pool:
            found.pools.append(pool)
    return found


def object_name(text):
    """Return a name that an object can have, from one that anybody wrote."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:63].strip("-") or "pool"


def _known(found, given, keys, where):
    unknown = sorted(set(given) - keys)
    if unknown:
        found.problems.append((f"the ConfigMap config: {where} has {', '.join(unknown)}, which nothing here can convert", REMEDY))


def _renamed(given, keys):
    return {field: given[key] for field, key in keys.items() if given.get(key) is not None}


def _selectors(peer):
    selectors = []
    for one in peer.get("node-selectors") or []:
        found = {"matchLabels": one["match-labels"]} if one.get("match-labels") else {}
        selectors.append({**found, **({"matchExpressions": one["match-expressions"]} if one.get("match-expressions") else {})})
    return {"nodeSelectors": selectors} if selectors else {}


def _pool(found, given, where, communities):
    _known(found, given, POOL, where)
    protocol = given.get("protocol")
    if protocol not in ("layer2", "bgp") or not given.get("name") or not given.get("addresses"):
        found.problems.append((f"the ConfigMap config: {where} lacks a name, addresses, or the protocol layer2 or bgp", REMEDY))
        return None
    advertisements = [_renamed(one, ADVERTISEMENT_KEYS) for one in given.get("bgp-advertisements") or []]
    for one in advertisements:
        if "communities" in one:
            # the names that the ConfigMap gave to them: an object of today would need another one for each
            one["communities"] = [communities.get(name, name) for name in one["communities"]]
    return {
        "name": object_name(given["name"]),
        "addresses": [str(text) for text in given["addresses"]],
        "protocol": protocol,
        "auto_assign": given.get("auto-assign") is not False,
        "avoid_buggy_ips": bool(given.get("avoid-buggy-ips")),
        "spec": {},
        "advertisements": advertisements or [{}],
    }
