"""What the preflight of a K3s cluster refuses, and how it plans one: versions, networks, groups, and who begins a cluster."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.mlops.platform.plugins.filter.k3s_plan import FilterModule
from ansible_collections.mlops.platform.plugins.module_utils import k3s_checks, k3s_networks, k3s_plan, k3s_versions

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


# --- versions ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("v1.33.5+k3s1", "v1.33.5+k3s1"),
        ("v1.33.5+k3s1", "v1.33.5+k3s2"),
        ("v1.33.5+k3s2", "v1.33.10+k3s1"),
        ("v1.33.5+k3s1", "v1.34.1+k3s1"),
        ("v1.34.0-rc2+k3s1", "v1.34.0+k3s1"),
        ("v1.99.0+k3s1", "v2.0.0+k3s1"),
        ("something else", "v1.33.5+k3s1"),
    ],
)
def test_a_step_that_is_allowed(there, wanted):
    assert k3s_versions.step_problem(there, wanted) == ""


@pytest.mark.parametrize(
    ("there", "wanted", "says"),
    [
        ("v1.34.1+k3s1", "v1.33.5+k3s1", "is a downgrade from v1.34.1+k3s1"),
        ("v1.34.1+k3s2", "v1.34.1+k3s1", "is a downgrade"),
        ("v1.34.1+k3s1", "v1.34.1-rc1+k3s1", "is a downgrade"),
        ("v1.33.5+k3s1", "v1.35.0+k3s1", "to a v1.34 release first"),
        ("v1.9.0+k3s1", "v1.33.0+k3s1", "skips a minor version"),
    ],
)
def test_a_step_that_is_refused(there, wanted, says):
    assert says in k3s_versions.step_problem(there, wanted)


@pytest.mark.parametrize("text", ["1.33.5+k3s1", "v1.33.5", "v1.33.5+k3s", "v1.33+k3s1", "latest", "v1.33.5+k3s1 "])
def test_a_text_that_is_no_version(text):
    only([one for one in problems(bare(), version=text) if "k3s_version" in one], text, "v1.33.5+k3s1")


def test_versions_sort_as_numbers():
    order = ["v1.9.0+k3s1", "v1.33.5-rc1+k3s1", "v1.33.5+k3s1", "v1.33.5+k3s2", "v1.33.10+k3s1", "v2.0.0+k3s1"]
    assert sorted(sorted(order), key=k3s_versions.parse) == order


# --- networks ---------------------------------------------------------------------------------------------------------------------------

HOSTS = {"vm1": ["192.0.2.11/24"], "vm2": ["192.0.2.12/24", "fd00:1::12/64"]}


@pytest.mark.parametrize(
    ("pods", "services", "dns"),
    [
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.0.10"),
        ("10.44.0.0/16,fd00:44::/56", "10.45.0.0/16,fd00:45::/112", "10.45.0.10,fd00:45::a"),
        ("fd00:44::/56", "fd00:45::/112", "fd00:45::a"),
        ("10.44.0.0/23", "10.44.2.0/24", "10.44.2.254"),
    ],
)
def test_networks_that_are_right(pods, services, dns):
    assert k3s_networks.check(pods, services, dns, HOSTS) == []


@pytest.mark.parametrize(
    ("pods", "services", "dns", "says"),
    [
        ("10.44.0.0/16", "10.44.128.0/17", "10.44.128.10", "10.44.0.0/16 and k3s_service_network 10.44.128.0/17 overlap"),
        ("10.44.0.1/16", "10.45.0.0/16", "10.45.0.10", "has host bits set"),
        ("pods", "10.45.0.0/16", "10.45.0.10", "'pods' is no network"),
        ("10.44.0.0/24", "10.45.0.0/16", "10.45.0.10", "too small for 2 node(s)"),
        ("10.44.0.0/16", "10.0.0.0/8", "10.0.0.10", "larger than the API server takes"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.43.0.10", "use an address of it, such as 10.45.0.10"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.0.1", "the API's own service"),
        ("10.44.0.0/16", "10.45.0.0/16", "10.45.255.255", "first or last address"),
        ("10.44.0.0/16", "10.45.0.0/16", "dns", "'dns' is no address"),
        ("192.0.0.0/16", "10.45.0.0/16", "10.45.0.10", "192.0.2.11/24 of vm1"),
        ("10.44.0.0/16", "192.0.2.0/24", "192.0.2.10", "k3s_service_network 192.0.2.0/24 overlaps with the network of the nodes"),
        ("10.44.0.0/16,fd00:1::/48", "10.45.0.0/16", "10.45.0.10", "fd00:1::12/64 of vm2"),
        ("10.44.0.0/16,10.46.0.0/16", "10.45.0.0/16", "10.45.0.10", "two networks of one family"),
    ],
)
def test_networks_that_are_refused(pods, services, dns, says):
    found = k3s_networks.check(pods, services, dns, HOSTS)
    assert [text for text in found if says in text], found


# --- groups and names -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 5])
def test_an_odd_number_of_servers_is_right(count):
    assert problems(bare(count)) == []


@pytest.mark.parametrize("count", [2, 4])
def test_an_even_number_is_refused_but_with_a_datastore(count):
    only(problems(bare(count)), "1, 3 or 5", "k3s_datastore_endpoint")
    assert problems(bare(count), datastore=True) == []


def test_no_server_is_refused():
    only(problems({"vm1": host(1, "agent")}), "k3s_servers is empty")


def test_names_and_addresses_are_each_ones_own():
    hosts = bare()
    hosts["vm2"]["node_name"] = "vm1"
    hosts["vm4"]["address"] = "192.0.2.13"
    found = problems(hosts)
    assert len(found) == 2
    assert "vm1 and vm2 have the node name vm1" in found[0]
    assert "vm3 and vm4 have the address 192.0.2.13" in found[1]


def test_all_problems_are_told_at_once():
    hosts = bare(2)
    hosts["vm1"]["labels"] = ["a b", "node-role.kubernetes.io/worker=true", "example.org/tier=fast"]
    hosts["vm2"]["taints"] = ["dedicated=ml", "dedicated=ml:NoSchedule"]
    hosts["vm3"]["info"]["clock_offset"] = -95.0
    hosts["vm3"]["info"]["obstacles"] = ["systemd does not run"]
    found = problems(
        hosts, version="1.33", services="10.44.0.0/17", dns="10.44.0.10", token="short", extra={"token": "x"}, schedule="daily"
    )
    for says in (
        "k3s_version",
        "overlap",
        "k3s_token",
        "k3s_extra_config has token",
        "k3s_snapshot_schedule",
        "k3s_servers has 2",
        "vm1: k3s_node_labels has 'a b'",
        "may not give itself labels of node-role.kubernetes.io",
        "vm2: k3s_node_taints has 'dedicated=ml'",
        "vm3: its clock is -95 s off",
        "vm3: systemd",
    ):
        assert [one for one in found if says in one], (says, found)
    assert len(found) == 11


def test_a_snapshot_target_must_be_whole():
    only(problems(bare(), s3={"bucket": "etcd"}), "no access_key, secret_key")
    assert problems(bare(), s3={"bucket": "etcd", "access_key": "a", "secret_key": "b"}) == []


@pytest.mark.parametrize("endpoint", ["api.example.org", "192.0.2.100", "192.0.2.100:8443", "[2001:db8::1]:6443", "2001:db8::1"])
def test_an_endpoint_that_is_right(endpoint):
    assert problems(bare(), endpoint=endpoint) == []


def test_an_endpoint_is_no_url():
    only(problems(bare(), endpoint="https://api.example.org"), "k3s_api_endpoint")


# --- who begins a cluster, and who joins it ---------------------------------------------------------------------------------------------


def test_the_first_server_alone_begins_a_cluster():
    made = plan(bare(), SETTINGS)
    assert (made["source"], made["exists"]) == ("vm1", False)
    assert {name: one["init"] for name, one in made["hosts"].items()} == {"vm1": True, "vm2": False, "vm3": False, "vm4": False}
    assert made["hosts"]["vm1"]["join"] == ""
    assert {made["hosts"][name]["join"] for name in ("vm2", "vm3", "vm4")} == {"https://192.0.2.11:6443"}
    assert not made["hosts"]["vm1"]["long_token"]
    assert made["hosts"]["vm2"]["long_token"]


def test_a_run_without_the_first_server_begins_none():
    hosts = bare()
    hosts["vm1"]["in_run"] = False
    only(problems(hosts), "leaves out vm1")


def test_no_cluster_is_begun_while_a_server_cannot_be_asked():
    hosts = bare()
    hosts["vm3"].update(in_run=False, info=None)
    only(problems(hosts), "vm3 could not be reached", "second cluster")


def test_a_first_server_that_is_replaced_joins_and_begins_nothing():
    hosts = running()
    hosts["vm1"] = host(1)
    for name in ("vm2", "vm3"):
        hosts[name]["info"]["nodes"] = [node(1, ready=False), node(2), node(3)]
    made = plan(hosts, SETTINGS)
    assert made["problems"] == []
    assert (made["source"], made["exists"]) == ("vm2", True)
    assert made["hosts"]["vm1"]["join"] == "https://192.0.2.12:6443"
    assert not made["hosts"]["vm1"]["init"]
    # also while the cluster has not noticed yet that the old machine is gone: the module waits for that
    assert made["hosts"]["vm1"]["replaces"]
    for name in ("vm2", "vm3"):
        hosts[name]["info"]["nodes"] = [node(1), node(2), node(3)]
    assert plan(hosts, SETTINGS)["hosts"]["vm1"]["replaces"]
    assert made["hosts"]["vm1"]["long_token"]
    assert [one["name"] for one in made["hosts"]["vm1"]["peers"]] == ["vm2", "vm3"]


def test_a_member_keeps_what_it_joined_with():
    hosts = running()
    hosts["vm1"]["info"]["config"] = {**hosts["vm1"]["info"]["config"], "server": "https://192.0.2.12:6443"}
    del hosts["vm1"]["info"]["config"]["cluster-init"]
    made = plan(hosts, SETTINGS)
    assert made["hosts"]["vm1"]["join"] == "https://192.0.2.12:6443"
    assert not made["hosts"]["vm1"]["init"]
    assert made["hosts"]["vm2"]["join"] == "https://192.0.2.11:6443"


def test_after_a_restore_all_others_join_the_restored_server_also_who_began_the_cluster():
    hosts = {**running(), "vm1": member(1, member=False, healthy=False), "vm3": member(3, member=False, healthy=False)}
    found = plan(hosts, SETTINGS)
    assert (found["problems"], found["source"], found["exists"]) == ([], "vm2", True)
    assert {name: (one["init"], one["join"]) for name, one in found["hosts"].items() if name != "vm4"} == {
        "vm1": (False, "https://192.0.2.12:6443"),
        # what it joined with once is of no use to it, and another text would restart it
        "vm2": (False, "https://192.0.2.11:6443"),
        "vm3": (False, "https://192.0.2.12:6443"),
    }
    # none answers yet: the one with data is asked, which is started before
    hosts["vm2"] = member(2, healthy=False)
    assert plan(hosts, SETTINGS)["source"] == "vm2"


def test_a_single_server_without_its_datastore_begins_as_it_did():
    found = plan({"vm1": member(1, member=False, healthy=False)}, SETTINGS)["hosts"]["vm1"]
    assert (found["init"], found["join"]) == (True, "")


def test_a_restore_that_has_not_ended_is_told_but_to_itself():
    hosts = {**running(), "vm3": member(3, restoring=True)}
    only(problems(hosts), "vm3", "run playbooks/cluster_restore.yml again")
    assert problems(hosts, restoring=True) == []


def test_the_plan_for_a_running_cluster_changes_nothing():
    made = plan(running(), SETTINGS)
    assert made["problems"] == []
    for one in made["hosts"].values():
        assert not {key for key in ("upgrade", "snapshot", "drain", "uncordon", "replaces") if one[key]}


def test_servers_of_two_clusters_are_refused():
    hosts = running()
    hosts["vm3"]["info"]["ca_hash"] = "b" * 64
    only(problems(hosts), "vm1, vm2 / vm3")


def test_a_server_joins_only_a_cluster_that_answers():
    hosts = running()
    hosts["vm1"] = host(1)
    for name in ("vm2", "vm3"):
        hosts[name]["info"].update(healthy=False, nodes=[])
    only(problems(hosts), "vm1 is to join the cluster of vm2, vm3", "--limit vm2")


def test_with_a_datastore_nobody_begins_or_joins():
    made = plan(bare(2), {**SETTINGS, "datastore": True})
    assert made["problems"] == []
    assert [(one["init"], one["join"]) for name, one in made["hosts"].items() if name in ("vm1", "vm2")] == [(False, ""), (False, "")]


def test_an_endpoint_is_what_agents_join_through():
    made = plan(bare(), {**SETTINGS, "endpoint": "api.example.org:8443"})
    assert made["hosts"]["vm4"]["join"] == "https://api.example.org:8443"
    # a load balancer does not know a server that is not there yet
    assert made["hosts"]["vm2"]["join"] == "https://192.0.2.11:6443"


def test_what_cannot_be_changed_is_refused():
    found = problems({"vm1": member(1)}, pods="10.46.0.0/16", domain="example.org", encryption=False)
    for says in ("k3s_pod_network is 10.46.0.0/16", "k3s_cluster_domain is example.org", "k3s_secrets_encryption is off"):
        assert [one for one in found if says in one], says
    assert len(found) == 3
    only(problems({"vm1": member(1)}, datastore=True), "left behind")


def test_a_host_does_not_change_its_part_by_itself():
    hosts = running()
    hosts["vm4"]["role"] = "server"
    hosts["vm3"]["role"] = "agent"
    found = problems(hosts)
    assert len(found) == 2
    assert all("cluster_reset.yml" in one for one in found)


# --- upgrade ----------------------------------------------------------------------------------------------------------------------------


def older():
    hosts = copy.deepcopy(running())
    for one in hosts.values():
        one["info"]["version"] = "v1.33.5+k3s1"
    for name in ("vm1", "vm2", "vm3"):
        hosts[name]["info"]["nodes"] = [node(n, version="v1.33.5+k3s1") for n in (1, 2, 3, 4)]
    return hosts


def test_an_upgrade_takes_one_snapshot_and_drains_agents():
    made = plan(older(), SETTINGS)
    assert made["problems"] == []
    assert {name: (one["snapshot"], one["drain"]) for name, one in made["hosts"].items()} == {
        "vm1": (True, False),
        "vm2": (False, False),
        "vm3": (False, False),
        "vm4": (False, True),
    }


def test_an_upgrade_that_was_interrupted_goes_on_without_another_snapshot():
    hosts = older()
    hosts["vm1"]["info"]["version"] = SETTINGS["version"]
    made = plan(hosts, SETTINGS)
    assert not any(one["snapshot"] for one in made["hosts"].values())
    assert [name for name, one in made["hosts"].items() if one["upgrade"]] == ["vm2", "vm3", "vm4"]


def test_an_agent_that_an_interrupted_upgrade_has_drained_gets_its_pods_back():
    hosts = running()
    for name in ("vm1", "vm2", "vm3"):
        hosts[name]["info"]["nodes"] = [node(1), node(2), node(3), node(4, schedulable=False, cordoned_here=True)]
    assert plan(hosts, SETTINGS)["hosts"]["vm4"]["uncordon"]
    for name in ("vm1", "vm2", "vm3"):
        hosts[name]["info"]["nodes"][3]["cordoned_here"] = False
    assert not plan(hosts, SETTINGS)["hosts"]["vm4"]["uncordon"]


@pytest.mark.parametrize(("version", "says"), [("v1.33.4+k3s1", "downgrade"), ("v1.35.0+k3s1", "skips a minor version")])
def test_a_wrong_version_is_refused_for_each_host(version, says):
    found = problems(older(), version=version)
    assert len(found) == 4
    assert all(says in one for one in found)


def test_agents_do_not_get_ahead_of_servers_that_are_left_out():
    hosts = older()
    for name in ("vm1", "vm2", "vm3"):
        hosts[name]["in_run"] = False
    only(problems(hosts), "upgrade the servers first")


def test_the_port_of_an_endpoint():
    assert [k3s_plan.at_port(one) for one in ("a", "a:1", "2001:db8::1", "[2001:db8::1]:1", "[2001:db8::1]")] == [
        "a:6443",
        "a:1",
        "[2001:db8::1]:6443",
        "[2001:db8::1]:1",
        "[2001:db8::1]:6443",
    ]


def test_owned_keys_are_those_of_the_role():
    assert {"token-file", "server", "cluster-init", "data-dir"} <= set(k3s_checks.OWNED)
