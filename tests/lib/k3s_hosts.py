"""The hosts of a K3s cluster as the role's facts describe them, new ones and members, and what its plan says of them."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.filter.k3s_plan import FilterModule

plan = FilterModule().filters()["k3s_plan"]

SETTINGS = {
    "version": "v1.34.1+k3s1",
    "pods": "10.44.0.0/16",
    "services": "10.45.0.0/16",
    "dns": "10.45.0.10",
    "domain": "cluster.local",
    "endpoint": "",
    "datastore": False,
    "encryption": True,
    "token": "",
    "extra": {},
    "s3": {},
    "schedule": "0 */12 * * *",
    "clock_limit": 30,
    "archives": [],
}
INFO = {
    "version": "",
    "intact": False,
    "data": "",
    "active": "",
    "ca_hash": "",
    "token_form": "",
    "config": {},
    "hostname": "",
    "address": "",
    "addresses": [],
    "architecture": "x86_64",
    "selinux": False,
    "clock_offset": 0.4,
    "nodes": [],
    "healthy": False,
    "obstacles": [],
}


def host(number, role="server", **found):
    name, address = f"vm{number}", f"192.0.2.{10 + number}"
    info = {**INFO, "hostname": name, "address": address, "addresses": [f"{address}/24"], **found}
    return {
        "role": role,
        "both": False,
        "in_run": True,
        "node_name": name,
        "address": address,
        "given_address": False,
        "labels": [],
        "taints": [],
        "info": info,
    }


def member(number, **found):
    """A server of a cluster that exists; the first one began it."""
    config = {"cluster-init": "true"} if number == 1 else {"server": "https://192.0.2.11:6443"}
    config.update(
        {"cluster-cidr": "10.44.0.0/16", "service-cidr": "10.45.0.0/16", "cluster-domain": "cluster.local", "secrets-encryption": "true"}
    )
    nodes = [node(one) for one in (1, 2, 3)]
    usual = {"version": "v1.34.1+k3s1", "intact": True, "data": "server", "active": "server", "ca_hash": "a" * 64, "healthy": True}
    form = "short" if number == 1 else "long"
    return host(number, **{**usual, "config": config, "token_form": form, "nodes": nodes, **found})


def node(number, **more):
    usual = {
        "server": True,
        "version": "v1.34.1+k3s1",
        "ready": True,
        "reason": "",
        "voter": True,
        "schedulable": True,
        "cordoned_here": False,
    }
    return {"name": f"vm{number}", "address": f"192.0.2.{10 + number}", **usual, **more}


def bare(servers=3, agents=1):
    return {
        **{f"vm{n}": host(n) for n in range(1, servers + 1)},
        **{f"vm{n}": host(n, "agent") for n in range(servers + 1, servers + agents + 1)},
    }


def running():
    return {
        **{f"vm{n}": member(n) for n in (1, 2, 3)},
        "vm4": host(4, "agent", version="v1.34.1+k3s1", data="agent", active="agent", token_form="long"),
    }


def problems(hosts, **settings):
    return plan(hosts, {**SETTINGS, **settings})["problems"]


def only(found, *parts):
    """There is one problem, and it says each of `parts`."""
    assert len(found) == 1, found
    assert [part for part in parts if part not in found[0]] == []
