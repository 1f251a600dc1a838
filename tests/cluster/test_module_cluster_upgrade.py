"""cluster_upgrade on a real server, which decides between runs that claim the turn in the same moment."""

from __future__ import annotations

import json
import threading

import pytest
from lib.cluster_pods import Workloads, own_namespace

RUNS = [{"host": "h", "user": f"user{number}", "machine": f"m{number}", "pid": number, "started": "1"} for number in range(4)]


@pytest.fixture(scope="module")
def place(cluster):
    with own_namespace(cluster) as name:
        yield Workloads(cluster, name)


def stored(place, name):
    return place.cluster.core.read_namespaced_config_map(name, place.namespace)


def test_from_nothing_to_the_end_of_an_upgrade(place):
    about = {"name": "life", "run": RUNS[0], "labels": {"part": "x"}}
    assert place.run("cluster_upgrade", check=True, state="claimed", **about)["journal"] == {}
    assert place.run("cluster_upgrade", state="claimed", **about)["held_by"] == {}
    place.run("cluster_upgrade", state="recorded", entry={"state": "preparing", "from": {"image": "m:1"}}, anew=True, **about)
    journal = place.run("cluster_upgrade", state="recorded", entry={"state": "stopped"}, **about)["journal"]
    assert (journal["state"], journal["from"]) == ("stopped", {"image": "m:1"})
    other = place.run("cluster_upgrade", state="claimed", name="life", run=RUNS[1])
    assert "user0 on h, process 0, since 20" in other["holder"] and other["journal"] == journal
    place.run("cluster_upgrade", state="released", **about)
    assert place.run("cluster_upgrade", state="claimed", name="life", run=RUNS[1])["held_by"] == {}
    found = stored(place, "life")
    assert found.metadata.labels == {"part": "x"} and json.loads(found.data["journal"]) == journal


@pytest.mark.parametrize("there", [False, True])
def test_of_runs_at_once_one_has_the_turn(place, there):
    name = f"race-{there}".lower()
    if there:
        place.cluster.core.create_namespaced_config_map(place.namespace, {"metadata": {"name": name}})
    results = []
    threads = [
        threading.Thread(target=lambda run=run: results.append((run, place.run("cluster_upgrade", name=name, state="claimed", run=run))))
        for run in RUNS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [run for run, result in results if not result["held_by"]]
    assert {result["held_by"]["user"] for run, result in results if run is not winner} == {winner["user"]}
    assert json.loads(stored(place, name).data["holder"])["user"] == winner["user"]
