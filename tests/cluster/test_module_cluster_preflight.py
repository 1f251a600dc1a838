"""cluster_preflight on a real server, as users of several kinds."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from lib.cluster_pods import Workloads, own_namespace
from lib.modules import run_module

DEPLOY = [
    {"api_group": "apps", "resource": "deployments", "verbs": ["get", "list", "create", "patch", "delete"]},
    {"resource": "secrets", "verbs": ["get", "create", "patch"]},
    {"resource": "pods/log", "verbs": ["get"]},
]


@pytest.fixture(scope="module")
def place(cluster):
    with own_namespace(cluster) as name:
        yield Workloads(cluster, name)


def test_an_administrator(place):
    result = place.run("cluster_preflight", permissions=DEPLOY, storage_classes=[""])
    assert result["problems"] == [] and result["changed"] is False
    facts = result["cluster"]
    assert facts["namespace"]["exists"] and not facts["bare"] and not facts["openshift"]
    assert facts["default_storage_class"] in facts["storage_classes"]
    assert facts["requests"] <= 12
    assert facts["apis"]["NetworkPolicy"] == "networking.k8s.io/v1"


def test_the_versions_are_served(place, cluster):
    """What the templates will write is what the server takes: each version is asked for the kind."""
    facts, server = place.run("cluster_preflight")["cluster"], Cluster({"kubeconfig": cluster.kubeconfig})
    for kind, version in facts["apis"].items():
        if version:
            answer = server.get("list an API", f"/apis/{version}")
            assert kind in [resource["kind"] for resource in answer["resources"]]


def test_a_namespace_that_is_to_be_made(cluster):
    place = Workloads(cluster, "mlops-test-does-not-exist")
    assert place.run("cluster_preflight", create_namespace=True)["problems"] == []
    problems = place.run("cluster_preflight")["problems"]
    assert len(problems) == 1 and "does not exist" in problems[0]["what"]


def test_a_user_of_one_namespace(place, cluster):
    rules = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "create"]},
        {"apiGroups": [""], "resources": ["secrets", "configmaps", "pods/log"], "verbs": ["*"]},
    ]
    kubeconfig = cluster.kubeconfig_of(place.namespace, "deployer", rules)
    result = place.run("cluster_preflight", kubeconfig=kubeconfig, permissions=DEPLOY, storage_classes=["any"], create_namespace=True)
    # may read neither the namespace nor the storage classes, and works in it all the same
    assert [problem["what"] for problem in result["problems"]] == [
        f"this user may not patch, delete deployments (apps) in the namespace {place.namespace}"
    ]
    assert result["cluster"]["namespace"]["exists"] and result["cluster"]["storage_classes_known"] is False
    other = run_module("cluster_preflight", {"kubeconfig": kubeconfig, "namespace": "kube-system", "permissions": DEPLOY})
    assert len(other["problems"]) == 4


def test_credentials_that_are_not_accepted(place, kubeconfig):
    with open(kubeconfig, encoding="utf-8") as stream:
        content = yaml.safe_load(stream)
    content["users"][0]["user"] = {"token": "of-yesterday"}
    (problem,) = place.run("cluster_preflight", kubeconfig=content)["problems"]
    assert "Unauthorized" in problem["what"] and "log in again" in problem["remedy"]
