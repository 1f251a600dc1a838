"""The filter kubernetes_inventory: what an earlier configuration left is removed, and nothing else."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.filter.kubernetes_inventory import kubernetes_inventory


def wanted(*lines):
    return [dict(zip(("apiVersion", "kind", "metadata"), (*line.split()[:2], {"name": line.split()[2]}))) for line in lines]


def inventory(*lines, name="mine"):
    return {"metadata": {"name": name}, "data": {"objects": "".join(f"{line}\n" for line in lines)}}


def test_the_first_run_removes_nothing():
    found = kubernetes_inventory(wanted("v1 Service b", "apps/v1 Deployment a"), "mine", [])
    assert found == {"wanted": "apps/v1 Deployment a\nv1 Service b\n", "union": "apps/v1 Deployment a\nv1 Service b\n", "removed": []}


def test_what_is_wanted_no_more_is_removed_and_remembered_until_then():
    found = kubernetes_inventory(wanted("v1 Service b"), "mine", [inventory("v1 Service b", "apps/v1 Deployment a")])
    assert found["removed"] == [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}]
    assert found["union"] == "apps/v1 Deployment a\nv1 Service b\n"
    assert found["wanted"] == "v1 Service b\n"


def test_a_run_without_a_change_writes_what_is_there():
    before = inventory("v1 Service b")
    found = kubernetes_inventory(wanted("v1 Service b"), "mine", [before])
    assert found["union"] == found["wanted"] == before["data"]["objects"]


def test_an_object_in_a_newer_version_of_its_api_is_the_same():
    found = kubernetes_inventory(wanted("policy/v1 PodDisruptionBudget a"), "mine", [inventory("policy/v1beta1 PodDisruptionBudget a")])
    assert found["removed"] == []
    assert found["union"] == found["wanted"] == "policy/v1 PodDisruptionBudget a\n"


def test_kinds_of_the_same_name_in_other_groups_are_others():
    found = kubernetes_inventory(wanted("b.example/v1 Cluster a"), "mine", [inventory("a.example/v1 Cluster a")])
    assert [item["apiVersion"] for item in found["removed"]] == ["a.example/v1"]


def test_what_another_inventory_has_was_moved():
    found = kubernetes_inventory([], "mine", [inventory("v1 Service a"), inventory("v1 Service a", name="other")])
    assert (found["removed"], found["wanted"]) == ([], "")


def test_the_inventories_of_others_are_left_alone():
    assert kubernetes_inventory([], "mine", [inventory("v1 Service a", name="other")]) == {"wanted": "", "union": "", "removed": []}


def test_claims_are_neither_remembered_nor_removed():
    found = kubernetes_inventory(wanted("v1 PersistentVolumeClaim a"), "mine", [])
    assert found == {"wanted": "", "union": "", "removed": []}


@pytest.mark.parametrize("served, versions", [("policy/v1", ["policy/v1"]), ("", [])])
def test_an_object_is_removed_in_the_version_that_is_served(served, versions):
    before = [inventory("policy/v1beta1 PodDisruptionBudget a")]
    found = kubernetes_inventory([], "mine", before, {"PodDisruptionBudget": served})
    assert [item["apiVersion"] for item in found["removed"]] == versions


@pytest.mark.parametrize("data", [None, {}, {"objects": ""}])
def test_an_inventory_that_somebody_emptied_is_no_error(data):
    assert kubernetes_inventory([], "mine", [{"metadata": {"name": "mine"}, "data": data}])["removed"] == []
