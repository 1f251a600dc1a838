# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what was found on all hosts: what is wrong, who begins a cluster, and how each host joins it."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils import k3s_archives, k3s_checks, k3s_networks


def at_port(endpoint):
    """Return an endpoint with its port."""
    if re.search(r"(^[^:]+|\]):\d+$", endpoint):
        return endpoint
    return f"[{endpoint}]:6443" if ":" in endpoint and not endpoint.startswith("[") else f"{endpoint}:6443"


def stays(info, is_source, settings):
    """Return whether a server is what it was: it has data, and also a datastore, without which it has to join again as a new one does."""
    return info.get("data") == "server" and (info.get("member", True) or is_source or settings["datastore"])


def join_of(name, host, source, hosts, settings, exists):
    """Return the URL through which a server joins, empty for the one that begins a cluster. A member keeps what it joined with."""
    if settings["datastore"]:
        return ""
    info = host["info"] or {}
    if stays(info, name == source, settings):
        # what is on the disk was right, and another text would restart the server for nothing
        return info["config"].get("server", "")
    if name == source and not exists:
        return ""
    return f"https://{at_port(hosts[source]['address'])}"


def upgrades(info, settings):
    """Return whether a node has another version than it is to have."""
    return bool(info.get("data") and info["version"] and info["version"] != settings["version"])


def begins(first, info, is_source, settings):
    """Return whether a server begins its cluster, or has begun it: one that has data and joined nobody."""
    return not settings["datastore"] and (first or (stays(info, is_source, settings) and not info["config"].get("server")))


def make(hosts, settings):
    """Return the plan for a cluster.

    hosts: {name: {role: server or agent, both, in_run, node_name, address, given_address, labels, taints, info: what k3s_info found, or
    None}}, in the order of the inventory. settings: as the documentation of the filter k3s_plan names them.
    """
    servers = [name for name, host in hosts.items() if host["role"] == "server"]
    seen = {name: host for name, host in hosts.items() if host["info"]}
    holders = [name for name in servers if (hosts[name]["info"] or {}).get("data") == "server"]
    healthy = [name for name in holders if hosts[name]["info"]["healthy"]]
    exists = bool(holders)
    # whom the others ask: a healthy server, else one with data, which is started before them, else the first of the inventory
    members = [name for name in holders if hosts[name]["info"].get("member", True)]
    source = (healthy or members or holders or servers or [""])[0]
    problems = k3s_checks.settings(settings) + k3s_checks.inventory(hosts, servers, settings)
    problems += k3s_archives.problems(settings["archives"])
    problems += k3s_checks.cluster(hosts, servers, holders, healthy, settings)
    for name, host in seen.items():
        problems += [f"{name}: {text}" for text in k3s_checks.host(host, settings)]
    addresses = {
        # a node's own network counts, and what an address of it alone says where k3s_node_address is given
        name: sorted(
            {*host["info"]["addresses"], *([f"{host['address']}/{32 if '.' in host['address'] else 128}"] if host["given_address"] else [])}
        )
        for name, host in seen.items()
    }
    problems += k3s_networks.check(settings["pods"], settings["services"], settings["dns"], addresses)
    nodes = {node["name"]: node for name in healthy[:1] for node in hosts[name]["info"]["nodes"]}
    upgraded = [name for name in holders if hosts[name]["info"]["version"] == settings["version"]]
    first = settings["endpoint"] or (hosts[servers[0]]["address"] if servers else "")
    older = [name for name in holders if hosts[name]["in_run"] and upgrades(hosts[name]["info"], settings)]
    plan = {}
    for name, host in hosts.items():
        info = host["info"] or {}
        upgrade = upgrades(info, settings)
        node = nodes.get(host["node_name"])
        plan[name] = {
            "node_name": host["node_name"],
            "address": host["address"],
            "init": begins(name == source and not exists, info, name == source, settings),
            "join": join_of(name, host, source, hosts, settings, exists) if host["role"] == "server" else f"https://{at_port(first)}",
            "upgrade": upgrade,
            # once for all servers, before the first of them has another version
            "snapshot": name in older[:1] and not upgraded and not settings["datastore"],
            "drain": upgrade and host["role"] == "agent" and node is not None,
            "uncordon": node is not None and node["cordoned_here"],
            # the node of a machine that is gone: its name, its password and its etcd member are in this one's way
            "replaces": bool(exists and not info.get("data") and node is not None),
            "peers": [
                {"name": hosts[other]["node_name"], "address": hosts[other]["address"]}
                for other in holders
                if other != name and host["role"] == "server"
            ],
            "long_token": info.get("token_form") == "long" or (info.get("token_form") != "short" and not (name == source and not exists)),
        }
    return {
        "problems": problems,
        "source": source,
        "exists": exists,
        "ca_hash": next((hosts[one]["info"]["ca_hash"] for one in holders if hosts[one]["info"]["ca_hash"]), ""),
        "hosts": plan,
    }
