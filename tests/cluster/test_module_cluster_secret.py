"""cluster_secret on a real server."""

from __future__ import annotations

import base64
import threading

import pytest
from lib.cluster_pods import Workloads, own_namespace

HIDDEN = {"_ansible_no_log": True}


@pytest.fixture(scope="module")
def place(cluster):
    with own_namespace(cluster) as name:
        yield Workloads(cluster, name)


def stored(place, name):
    secret = place.cluster.core.read_namespaced_secret(name, place.namespace)
    return {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}


def test_from_nothing_to_a_changed_password(place):
    spec = {"name": "life", "secrets": {"a": {}, "b": {"keep_previous": True}}, "labels": {"part": "x"}, **HIDDEN}
    foreseen = place.run("cluster_secret", check=True, **spec)
    assert foreseen["changed"] and foreseen["generated"] == ["a", "b"]
    first = place.run("cluster_secret", **spec)
    assert first["changed"] and stored(place, "life") == first["secrets"] != foreseen["secrets"]
    second = place.run("cluster_secret", **spec)
    assert not second["changed"] and second["secrets"] == first["secrets"]
    changed = place.run("cluster_secret", **spec, given={"b": "the-new-value"})
    assert changed["replaced"] == ["b"] and changed["previous"] == {"b": [first["secrets"]["b"]]}
    kept = place.run("cluster_secret", **spec)
    assert not kept["changed"] and kept["previous"] == changed["previous"]
    forgotten = place.run("cluster_secret", **spec, forget_previous=["b"])
    assert forgotten["changed"] and forgotten["previous"] == {}
    assert stored(place, "life") == {"a": first["secrets"]["a"], "b": "the-new-value"}


def test_what_somebody_else_keeps_there_stays(place):
    place.cluster.core.create_namespaced_secret(
        place.namespace, {"metadata": {"name": "shared", "labels": {"theirs": "1"}}, "stringData": {"theirs": "x"}}
    )
    place.run("cluster_secret", name="shared", secrets={"ours": {}}, labels={"ours": "1"}, **HIDDEN)
    secret = place.cluster.core.read_namespaced_secret("shared", place.namespace)
    assert secret.metadata.labels == {"theirs": "1", "ours": "1"} and set(secret.data) == {"theirs", "ours"}


@pytest.mark.parametrize("there", [False, True])
def test_runs_at_once_agree(place, there):
    name = f"race-{there}".lower()
    if there:
        place.cluster.core.create_namespaced_secret(place.namespace, {"metadata": {"name": name}})
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(place.run("cluster_secret", name=name, secrets={"a": {}, "b": {}}, **HIDDEN)))
        for _number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["secrets"] for result in results] == [stored(place, name)] * 4
    assert [result["generated"] for result in results].count([]) == 3


def test_without_a_namespace(cluster):
    place = Workloads(cluster, "mlops-test-does-not-exist")
    assert place.run("cluster_secret", check=True, name="s", secrets={"a": {}})["changed"]
    result = place.run("cluster_secret", name="s", secrets={"a": {}})
    assert result["failed"] and "create the namespace first" in result["msg"]
