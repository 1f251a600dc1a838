"""How the upgrade of a K3s cluster is planned, also one that was interrupted."""

from __future__ import annotations

import copy

import pytest
from lib.k3s_hosts import SETTINGS, node, only, plan, problems, running


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
