"""How a K3s cluster is planned: who begins it, who joins it, and what a member cannot change."""

from __future__ import annotations

from lib.k3s_hosts import SETTINGS, bare, host, member, node, only, plan, problems, running


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
