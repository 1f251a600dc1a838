"""The rules of roles/preflight/vars/main/ about the forms of the object store in a cluster, and what is there already."""

from __future__ import annotations

import pytest
from lib import render_preflight

SINGLE = "mlops-object-store"
SPLIT = {"object_store_topology": "split"}


def volumes(*numbers):
    """Return the names of the claims of these volume servers."""
    return [f"data-mlops-object-store-volume-{number}" for number in numbers]


def masters(count):
    return [f"data-mlops-object-store-master-{number}" for number in range(count)]


def claim(name, leaving=False):
    return {"metadata": {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}}


def problems(there=(), leaving=(), **overrides):
    """Return (what, remedy) of the rules that are broken in a cluster with these claims."""
    found = [*map(claim, there), *(claim(name, leaving=True) for name in leaving)]
    return render_preflight.problems("kubernetes", cluster={"objects": {"claims": found}}, **overrides)


@pytest.mark.parametrize(
    "there, overrides",
    [
        ([], {}),
        ([], SPLIT),
        ([SINGLE], {}),
        ([*volumes(0, 1, 2), *masters(3)], SPLIT),
        ([*volumes(0, 1, 2), *masters(3)], {**SPLIT, "object_store_replicas": {"volume": 5, "filer": 4}}),
        ([], {**SPLIT, "object_store_replicas": {"master": 1, "volume": 1}, "object_store_replication": "000"}),
        ([], {**SPLIT, "object_store_replicas": {"volume": 10}, "object_store_replication": "009"}),
        # the forms matter for SeaweedFS alone
        (
            [SINGLE, *volumes(0)],
            {
                "object_store_engine": "external",
                "object_store_external_url": "https://s3",
                "object_store_mlflow_access_key": "a",
                "object_store_mlflow_secret_key": "b",
            },
        ),
    ],
    ids=str,
)
def test_what_fits_is_accepted(there, overrides):
    assert problems(there, **overrides) == []


BAD = [
    ({"object_store_replicas": {"master": 2}}, "object_store_replicas"),
    ({"object_store_replicas": {"master": 5}}, "object_store_replicas"),
    ({"object_store_replicas": {"filer": 0}}, "object_store_replicas"),
    *[({"object_store_replication": code}, "object_store_replication") for code in ("010", "100", "003", "01", "", "0011", "00x")],
    ({"object_store_replicas": {"volume": 1}}, "object_store_replication"),
    ({"object_store_volume_drain_seconds": -1}, "object_store_volume_drain_seconds"),
]


@pytest.mark.parametrize("overrides, words", BAD, ids=[str(overrides) for overrides, _unused in BAD])
def test_a_bad_value_is_told_with_its_variable_and_a_remedy(overrides, words):
    found = problems(**SPLIT, **overrides)
    assert len(found) == 1, found
    assert words in found[0][0]
    assert found[0][1]
    # the single form does not look at it
    assert problems(**overrides) == []


def test_a_form_is_not_turned_into_the_other_where_there_are_objects():
    (found,) = problems([SINGLE], **SPLIT)
    assert "object_store_topology is split" in found[0] and SINGLE in found[0] and "single" in found[1]
    (found,) = problems([*volumes(0, 1), *masters(3)])
    assert "object_store_topology is single" in found[0] and ", ".join(volumes(0, 1)) in found[0] and "split" in found[1]


def test_no_volume_server_goes_with_its_objects():
    there = [*volumes(0, 1, 2, 3, 10), *masters(3)]
    (found,) = problems(there, **SPLIT)
    assert ", ".join(volumes(10, 3)) in found[0] and volumes(2)[0] not in found[0]
    assert "Fewer volume servers" in found[1]
    # one that was emptied, and whose claim was deleted, goes with the next run
    assert problems([*volumes(0, 1, 2), *masters(3)], leaving=volumes(3), **SPLIT) == []


@pytest.mark.parametrize("before, now", [(1, 3), (3, 1)])
def test_the_quorum_of_the_masters_cannot_change(before, now):
    (found,) = problems([*volumes(0, 1, 2), *masters(before)], **SPLIT, object_store_replicas={"master": now})
    assert "object_store_replicas.master" in found[0] and f"set it to {before}" in found[1]


def test_all_problems_are_told_at_once():
    bad = {"object_store_replicas": {"filer": 0}, "object_store_replication": "x", "object_store_volume_drain_seconds": -1}
    assert len(problems([SINGLE], **SPLIT, **bad)) == 4
