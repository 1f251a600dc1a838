"""What a run applies, remembers and removes in a namespace, component by component, against a stand-in for its API server."""

from __future__ import annotations

import sys

import pytest
from lib.api_objects import ObjectServer
from lib.api_server import Refused
from lib.plays import run_play

PLACE = "/api/v1/namespaces/ns/configmaps"


@pytest.fixture
def server():
    found = ObjectServer("ns")
    yield found
    found.close()


def applied(component, *names, **more):
    """Return the task that applies ConfigMaps of these names as those of a component."""
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}} for name in names]
    given = {"kubernetes_objects_component": component, "kubernetes_objects_items": items}
    role = {"name": "mlops.platform.kubernetes_objects", "rolespec_validate": False}
    return {"ansible.builtin.include_role": role, "vars": given, **more}


def play(server, folder, *tasks, **more):
    """Run the tasks as one run; return (exit code, output, how often it has read what earlier runs applied)."""
    given = {
        "mlops_kube": server.params,
        "mlops_namespace": "ns",
        "mlops_cluster": {"server": server.url, "apis": {}, "bare": False},
        "mlops_node_selector": {},
        "mlops_tolerations": [],
        "mlops_pull_secrets": [],
        "ansible_python_interpreter": sys.executable,
    }
    before = len(server.asked)
    code, output = run_play(folder, {"tasks": list(tasks)}, given, *more.pop("options", ()))
    asked = [one for one in server.asked[before:] if (one.method, one.path) == ("GET", PLACE)]
    return code, output, len([one for one in asked if "inventory" in one.query.get("labelSelector", "")])


def own(server):
    return {name for name in server.names("ConfigMap") if not name.startswith("mlops-inventory")}


def remembered(server, component):
    return server.get("ConfigMap", f"mlops-inventory-{component}")["data"]["objects"].split("\n")[:-1]


def test_one_read_serves_all_components_and_each_removes_what_it_left_itself(server, tmp_path):
    code, output, reads = play(server, tmp_path, applied("a", "a1", "a2"), applied("b", "b1"))
    assert code == 0, output
    assert reads == 1 and own(server) == {"a1", "a2", "b1"}
    # what another component has by now is not removed
    code, output, reads = play(server, tmp_path, applied("b", "b1", "a2"), applied("a", "a1"), applied("b", "a2"))
    assert code == 0, output
    assert reads == 1 and own(server) == {"a1", "a2"}
    assert remembered(server, "a") == ["v1 ConfigMap a1"] and remembered(server, "b") == ["v1 ConfigMap a2"]


def test_what_was_applied_before_a_failure_is_removed_by_what_follows_in_the_same_run(server, tmp_path):
    """As when an upgrade fails, and its rescue applies what was there before."""
    made = server.made

    def full(asked, version, kind):
        if asked.body["metadata"]["name"] == "refused":
            raise Refused(403, "exceeded quota", "Forbidden")
        return made(asked, version, kind)

    server.made = full
    tried = {"block": [applied("a", "new", "refused")], "rescue": [applied("a", "old")]}
    code, output, reads = play(server, tmp_path, tried)
    assert code == 0 and "exceeded quota" in output, output
    assert reads == 1
    assert own(server) == {"old"} and remembered(server, "a") == ["v1 ConfigMap old"]


def test_a_run_that_only_looks_remembers_nothing(server, tmp_path):
    assert play(server, tmp_path, applied("a", "a1"))[0] == 0
    before = list(server.objects)
    code, output, reads = play(server, tmp_path, applied("a", "a2"), applied("a", "a1"), options=["--check"])
    assert code == 0, output
    # the second one finds what is there, and not what the first one would have made
    assert reads == 1 and server.objects == before
    first, second = output.split("Complete the objects of a")[1:]
    assert first.count("changed: [localhost]") == 3 and "changed: [localhost]" not in second, output
