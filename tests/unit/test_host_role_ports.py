"""The map of ports of roles/host: which entries apply on which host, and how the three firewalls are told."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import (
    host_firewall,
    host_firewall_firewalld,
    host_firewall_nftables,
    host_firewall_ufw,
)
from ansible_collections.mlops.platform.plugins.modules import host_firewall as module
from lib.generated import load, part
from lib.modules import run_in_process
from lib.render import Roles

MAP = load("roles/host/vars/main/ports.yml")["host_port_map"]
ADDRESSES = {"vm1": "192.0.2.11", "vm2": "192.0.2.12", "vm3": "192.0.2.13"}
NODES = list(ADDRESSES.values())
TRUSTED = ["10.44.0.0/16", "10.45.0.0/16"]
RULES = [
    {"name": "kubelet", "protocol": "tcp", "ports": ["10250"], "sources": NODES},
    {"name": "etcd", "protocol": "tcp", "ports": ["2379-2380"], "sources": NODES[:1]},
    {"name": "vxlan", "protocol": "udp", "ports": ["8472"], "sources": ["192.0.2.11", "2001:db8::11"]},
    {"name": "web", "protocol": "tcp", "ports": ["80", "443"], "sources": []},
]


def role(host="vm1", servers=("vm1",), **overrides):
    """The variables of the role on `host`, of a cluster of vm1 to vm3 that was looked at."""
    found = {name: {"host_found": {"host": {"address": address, "hostname": name}, "clock": {}}} for name, address in ADDRESSES.items()}
    given = {"groups": {"k3s": list(ADDRESSES), "k3s_servers": list(servers)}, "hostvars": found, "inventory_hostname": host}
    return Roles("host", **{"ansible_play_hosts_all": list(ADDRESSES), **given, **overrides})


def let_in(host="vm1", servers=("vm1",), **overrides):
    """{(port, protocol): sources} of what a host lets in."""
    rules = role(host, servers, **overrides).value("host_rules")
    return {(port, rule["protocol"]): rule["sources"] for rule in rules for port in rule["ports"]}


# --- the map -----------------------------------------------------------------------------------------------------------------------------


def test_every_entry_is_whole_and_its_name_its_own():
    assert len({entry["name"] for entry in MAP}) == len(MAP)
    for entry in MAP:
        assert set(entry) == {"name", "component", "protocols", "ports", "to", "from", "purpose"}
        assert entry["to"] in ("servers", "nodes") and entry["from"] in ("servers", "nodes", "clients")
        rules = [{"name": entry["name"], "ports": entry["ports"], "sources": []}]
        assert host_firewall.problems(rules, [], [22]) == []


def test_one_server_with_two_agents():
    assert let_in() == {
        ("6443", "tcp"): [],
        ("10250", "tcp"): NODES,
        ("8472", "udp"): NODES,
        ("7946", "tcp"): NODES,
        ("7946", "udp"): NODES,
        ("80", "tcp"): [],
        ("443", "tcp"): [],
    }


def test_an_agent_has_no_api_and_no_etcd():
    found = let_in("vm3", servers=("vm1", "vm2"))
    assert ("6443", "tcp") not in found and ("2379-2380", "tcp") not in found
    assert found["10250", "tcp"] == NODES


def test_etcd_is_open_to_servers_alone():
    assert let_in("vm1", servers=("vm1", "vm2"))["2379-2380", "tcp"] == ["192.0.2.11", "192.0.2.12"]
    assert ("2379-2380", "tcp") not in let_in("vm1", servers=("vm1", "vm2"), k3s_datastore_endpoint="postgres://db.example.com/k3s")


@pytest.mark.parametrize(
    "backend, wanted", [("vxlan", {("8472", "udp")}), ("wireguard-native", {("51820-51821", "udp")}), ("host-gw", set()), ("none", set())]
)
def test_the_pod_networks_port(backend, wanted):
    found = set(let_in(k3s_flannel_backend=backend, host_components=[]))
    assert found - {("6443", "tcp"), ("10250", "tcp")} == wanted


def test_a_component_that_is_not_chosen_opens_nothing():
    everything = let_in(host_components=["metallb", "ingress", "nodeports", "embedded_registry"])
    assert {("7946", "tcp"), ("7946", "udp"), ("5001", "tcp"), ("30000-32767", "udp"), ("443", "tcp")} <= set(everything)
    assert set(let_in(host_components=[])) == {("6443", "tcp"), ("10250", "tcp"), ("8472", "udp")}


def test_users_networks_let_the_nodes_in_as_well():
    found = let_in(host_firewall_clients=["198.51.100.0/24"])
    assert found["6443", "tcp"] == [*NODES, "198.51.100.0/24"]
    assert found["10250", "tcp"] == NODES


def test_a_run_for_one_host_knows_the_others_from_the_inventory():
    roles = role()
    hostvars = {"vm1": roles.variables["hostvars"]["vm1"], "vm2": {"ansible_host": "192.0.2.12"}, "vm3": {"host_address": "192.0.2.13"}}
    assert let_in(hostvars=hostvars)["10250", "tcp"] == NODES
    assert role(hostvars={**hostvars, "vm2": {"ansible_host": "vm2.example.com"}}).value("host_unknown_addresses") == ["vm2"]


def test_the_table_in_the_documents_has_every_port():
    lines = part("ports").splitlines()[2:]
    assert len(lines) == len(MAP)
    for line, entry in zip(lines, MAP):
        assert all(f"{port}/{protocol}" in line for port, protocol in itertools.product(entry["ports"], entry["protocols"]))


# --- nftables ----------------------------------------------------------------------------------------------------------------------------


def test_nftables_has_one_table_that_replaces_itself():
    text, mark, count = host_firewall_nftables.render(RULES, TRUSTED, [22, 2222])
    lines = [line.strip() for line in text.splitlines()]
    assert lines[1:4] == ["table inet mlops_host", "delete table inet mlops_host", "table inet mlops_host {"]
    assert "type filter hook input priority filter; policy drop;" in lines
    rules = [line for line in lines if " accept" in line]
    assert len(rules) == count
    assert rules[0] == f'ct state established,related accept comment "{mark}"'
    for wanted in (
        'tcp dport { 22, 2222 } accept comment "ssh"',
        'ip saddr { 10.44.0.0/16, 10.45.0.0/16 } accept comment "trusted"',
        'ip saddr { 192.0.2.11, 192.0.2.12, 192.0.2.13 } tcp dport { 10250 } accept comment "kubelet"',
        'ip saddr { 192.0.2.11 } tcp dport { 2379-2380 } accept comment "etcd"',
        'ip saddr { 192.0.2.11 } udp dport { 8472 } accept comment "vxlan"',
        'ip6 saddr { 2001:db8::11 } udp dport { 8472 } accept comment "vxlan"',
        'tcp dport { 80, 443 } accept comment "web"',
    ):
        assert wanted in rules


def test_nftables_knows_what_is_loaded():
    _text, mark, _count = host_firewall_nftables.render(RULES, TRUSTED, [22])
    other = host_firewall_nftables.render(RULES[:2], TRUSTED, [22])[1]
    assert mark != other
    chain = '{"chain": {"policy": "drop"}}'
    listing = '{"nftables": [' + chain + ', {"rule": {"comment": "' + mark + '"}}, {"rule": {}}]}'
    assert host_firewall_nftables.loaded(listing, mark, 2)
    # another version, a rule that somebody took away, a chain that lets all in, nothing
    assert not host_firewall_nftables.loaded(listing, other, 2)
    assert not host_firewall_nftables.loaded(listing, mark, 3)
    assert not host_firewall_nftables.loaded(listing.replace("drop", "accept"), mark, 2)
    assert not host_firewall_nftables.loaded("", mark, 2)


# --- firewalld ---------------------------------------------------------------------------------------------------------------------------


def policy(files, name):
    return ElementTree.fromstring(files[f"policies/{name}.xml"])  # noqa: S314  # our own text


def test_firewalld_has_a_policy_to_the_host_whatever_the_zone():
    files = host_firewall_firewalld.render(RULES, TRUSTED, [22])
    root = policy(files, "mlops-in")
    assert root.attrib == {"priority": "-1", "target": "CONTINUE"}
    assert (root.find("ingress-zone").get("name"), root.find("egress-zone").get("name")) == ("ANY", "HOST")
    assert [(port.get("port"), port.get("protocol")) for port in root.findall("port")] == [("22", "tcp"), ("80", "tcp"), ("443", "tcp")]
    rules = {}
    for rule in root.findall("rule"):
        port, source = rule.find("port"), rule.find("source")
        rules.setdefault(port.get("port") if port is not None else "", []).append((rule.get("family"), source.get("address")))
        assert rule.find("accept") is not None
    assert rules["2379-2380"] == [("ipv4", "192.0.2.11")]
    assert rules["8472"] == [("ipv4", "192.0.2.11"), ("ipv6", "2001:db8::11")]
    assert rules[""] == [("ipv4", network) for network in TRUSTED]
    # three sources are a set
    assert rules["10250"] == [("ipv4", None)]


def test_firewalld_has_a_set_for_more_than_one_source():
    files = host_firewall_firewalld.render(RULES, TRUSTED, [22])
    (name,) = [path for path in files if path.startswith("ipsets/")]
    root = ElementTree.fromstring(files[name])  # noqa: S314  # our own text
    assert root.get("type") == "hash:net" and [entry.text for entry in root.findall("entry")] == NODES
    assert f'ipset="{name[7:-4]}"' in files["policies/mlops-in.xml"]
    # other nodes are another set: the old one is a file that goes
    assert name not in host_firewall_firewalld.render([{**RULES[0], "sources": NODES[:2]}], [], [22])
    assert len(name[7:-4]) <= 31


def test_firewalld_lets_pods_through():
    files = host_firewall_firewalld.render(RULES, TRUSTED, [22])
    root = policy(files, "mlops-through")
    assert (root.find("ingress-zone").get("name"), root.find("egress-zone").get("name")) == ("ANY", "ANY")
    assert [source.get("address") for source in root.iter("source")] == TRUSTED
    assert root.findall("port") == []
    assert "policies/mlops-through.xml" not in host_firewall_firewalld.render(RULES, [], [22])


# --- ufw ---------------------------------------------------------------------------------------------------------------------------------


def test_ufw_gets_its_rules_as_it_shows_them():
    rules = [" ".join(words) for words in host_firewall_ufw.render(RULES, TRUSTED[:1], [22])]
    assert rules == [
        "allow 22/tcp comment mlops ssh",
        *(f"allow from {address} to any port 10250 proto tcp comment mlops kubelet" for address in NODES),
        "allow from 192.0.2.11 to any port 2379:2380 proto tcp comment mlops etcd",
        "allow from 192.0.2.11 to any port 8472 proto udp comment mlops vxlan",
        "allow from 2001:db8::11 to any port 8472 proto udp comment mlops vxlan",
        "allow 80,443/tcp comment mlops web",
        "allow from 10.44.0.0/16 comment mlops trusted",
        "route allow from 10.44.0.0/16 comment mlops from pods",
        "route allow to 10.44.0.0/16 comment mlops to pods",
    ]


SHOWN = """Added user rules (see 'ufw status' for running firewall):
ufw allow 22/tcp comment 'mlops ssh'
ufw allow from 192.0.2.11 to any port 10250 proto tcp comment 'mlops kubelet'
ufw route allow from 10.44.0.0/16 comment 'mlops from pods'
ufw allow 9100/tcp comment 'the monitoring of others'
ufw allow 22/tcp
"""


def test_ufw_rules_of_others_are_none_of_ours():
    there, others = host_firewall_ufw.added(SHOWN)
    assert [words[1] for words in others] == ["9100/tcp", "22/tcp"]
    assert [host_firewall_ufw.key(words) for words in there] == [
        "allow 22/tcp",
        "allow from 192.0.2.11 to any port 10250 proto tcp",
        "route allow from 10.44.0.0/16",
    ]
    assert host_firewall_ufw._delete(there[2]) == ["route", "delete", "allow", "from", "10.44.0.0/16"]
    assert host_firewall_ufw._delete(there[0]) == ["delete", "allow", "22/tcp"]


def test_ufw_takes_fifteen_ports_in_a_rule():
    parts = host_firewall_ufw._ports([str(port) for port in range(1, 15)] + ["100-200", "300"])
    assert parts == [",".join(map(str, range(1, 15))), "100:200,300"]


# --- bad input ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", sorted(module.BACKENDS))
def test_everything_that_is_wrong_is_told_and_nothing_is_touched(backend):
    rules = [
        {"name": "one", "protocol": "tcp", "ports": ["0", "90-80", "http"], "sources": ["192.0.2.300"]},
        {"name": 'a "name', "protocol": "udp", "ports": ["53"], "sources": []},
    ]
    result = run_in_process("host_firewall", {"backend": backend, "rules": rules, "trusted": ["10.44.0.0/40"], "ssh_ports": []})
    assert result["failed"]
    for words in ("'0'", "'90-80'", "'http'", "192.0.2.300", 'a "name', "10.44.0.0/40", "locked out"):
        assert words in result["msg"].replace("\\", "")
