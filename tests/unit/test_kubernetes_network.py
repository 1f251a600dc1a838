"""Whose pods the selectors of the manifests take, and which pods reach which by the NetworkPolicies."""

from __future__ import annotations

import functools
import itertools

import pytest
from lib import network
from lib.render_kubernetes import cluster, manifests
from test_kubernetes_manifests import MINIO

STORES = {
    "seaweedfs": {},
    "seaweedfs in parts": {"object_store_topology": "split"},
    "minio": MINIO,
    "minio of 4 nodes": {**MINIO, "object_store_minio": {"replicas": 4, "drives_per_node": 1}},
}


@functools.cache
def store(name):
    return manifests(cluster(**STORES[name]), only=("object_store",))


def engine(name):
    return name.split()[0]


@pytest.mark.parametrize("one, other", [pair for pair in itertools.permutations(STORES, 2) if engine(pair[0]) != engine(pair[1])])
def test_no_object_of_one_store_takes_the_pods_of_another(one, other):
    """Two engines stand side by side during a migration: a Service that took both would copy a server onto itself."""
    mine, others = store(one), store(other)
    for item in mine:
        chosen = network.selector(item)
        if chosen is not None:
            taken = [name for name, labels in network.pods(others).items() if network.matches(chosen, labels)]
            assert not taken, f"{item['kind']} {item['metadata']['name']} takes the pods of {taken}"
            assert [name for name, labels in network.pods(mine).items() if network.matches(chosen, labels)], item["metadata"]["name"]
