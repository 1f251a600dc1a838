"""Whose pods the selectors of the manifests take, and which pods reach which by the NetworkPolicies."""

from __future__ import annotations

import functools
import itertools

import pytest
from lib import network
from lib.render_kubernetes import cluster, manifests
from test_kubernetes_manifests import MINIO, OPTIONS, rendered

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


# --- who reaches whom --------------------------------------------------------------------------------------------------------------------

DNS = {53, 5353}
POSTGRESQL, MLFLOW, S3, MINIO_S3 = 5432, 5000, 8333, 9000
# of the object store in parts, by whom they call: gRPC, and the HTTP of volume servers
PARTS = {"master": {19333}, "volume": {8080, 18080}, "filer": {18888}, "s3": {18333}}
CALLS = {
    "master": ["master", "volume", "filer", "s3"],
    "volume": ["master", "volume"],
    "filer": ["master", "volume", "filer", "s3"],
    "s3": ["master", "volume", "filer"],
}
USERS = ("mlflow", "mlflow-job", "backup-job")
# by the label app.kubernetes.io/component; a server of CloudNativePG has none
WANTED = {
    *((user, "postgresql", POSTGRESQL) for user in (*USERS, "object-store", "object-store-filer")),
    *((user, "cloudnative-pg", POSTGRESQL) for user in (*USERS, "object-store", "object-store-filer")),
    *((user, store, S3) for user in USERS for store in ("object-store", "object-store-s3")),
    *((user, "object-store-minio", MINIO_S3) for user in USERS),
    # who follows the log
    ("backup-log", "postgresql", POSTGRESQL),
    ("mlflow-job", "mlflow", MLFLOW),
    ("object-store-minio", "object-store-minio", MINIO_S3),
    *((f"object-store-{one}", f"object-store-{other}", port) for one in CALLS for other in CALLS[one] for port in PARTS[other]),
    # they go everywhere, as they have to reach the API server: so what lets everybody in lets them in
    *(("cloudnative-pg", "cloudnative-pg", port) for port in (POSTGRESQL, 8000, 9187)),
    ("cloudnative-pg", "mlflow", MLFLOW),
    # of the namespace, and not of the platform: what nobody holds back
    *(("a pod of others", "cloudnative-pg", port) for port in (8000, 9187)),
    ("a pod of others", "mlflow", MLFLOW),
}
# a server outside may be anywhere, so these go to any address
OUTSIDE = {
    *((user, "a pod of others", POSTGRESQL) for user in (*USERS, "object-store", "object-store-filer")),
    *((user, "a pod of others", 443) for user in USERS),
}


def component(labels):
    if "cnpg.io/cluster" in labels:
        return "cloudnative-pg"
    return labels.get("app.kubernetes.io/component", "a pod of others")


def reached(objects):
    """Return {(component, component, port)} of what the policies let through within the namespace, but for the DNS."""
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    all_pods = [*network.pods(objects).values(), {}]
    return {
        (component(source), component(target), port)
        for source, target in itertools.product(all_pods, all_pods)
        for port in network.ports(objects) - DNS
        if (source or target) and network.reaches(policies, source, target, port)
    }


def expected(option, objects):
    """Return what the components that there are need to reach, and whatever else follows from it."""
    there = {component(labels) for labels in network.pods(objects).values()} | {"a pod of others"}
    given = OPTIONS[option]
    found = {pair for pair in WANTED if {pair[0], pair[1]} <= there}
    ways_out = {
        port for port, engine_of in ((POSTGRESQL, "postgresql_engine"), (443, "object_store_engine")) if given.get(engine_of) == "external"
    }
    found |= {pair for pair in OUTSIDE if pair[0] in there and pair[2] in ways_out}
    if given.get("mlops_backup_bucket"):
        found |= {(user, "a pod of others", 9000) for user in ("backup-job", "backup-log") if user in there}
    if "cloudnative-pg" in there:
        found |= {("cloudnative-pg", "a pod of others", port) for port in network.ports(objects) - DNS}
    return found


@pytest.mark.parametrize("option", OPTIONS)
def test_every_pod_reaches_what_it_needs_and_nothing_else(option):
    objects = rendered(option)
    if not OPTIONS[option].get("mlops_network_policies", True):
        assert not [one for one in objects if one["kind"] == "NetworkPolicy"]
        return
    assert reached(objects) == expected(option, objects)


def test_without_a_policy_everything_is_reached():
    """The check sees what no policy closes, and what one opens too wide."""
    objects = rendered("defaults")
    open_to_all = [one for one in objects if one["kind"] != "NetworkPolicy"]
    assert reached(open_to_all) > expected("defaults", objects)
    wide = [
        {**one, "spec": {**one["spec"], "egress": [{"to": [{"podSelector": {}}]}]}} if one["kind"] == "NetworkPolicy" else one
        for one in objects
    ]
    assert reached(wide) > expected("defaults", objects)
