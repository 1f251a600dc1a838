"""ServiceMonitor, PodMonitor and CloudNativePG's kinds of every option, against the definitions that their projects publish."""

from __future__ import annotations

import copy

import pytest
from lib import custom_resources
from test_kubernetes_manifests import OPTIONS, rendered

KINDS = {"ServiceMonitor", "PodMonitor", "Cluster", "ScheduledBackup", "ObjectStore"}
# the operator's file defines two of them
FILES = len(KINDS) - 1
WHY = "no mirror with the definitions of prometheus-operator, CloudNativePG and its plugin lies beside the repository (../shared/mirror)"
pytestmark = pytest.mark.skipif(len(custom_resources.files()) != FILES, reason=WHY)


def resources(option):
    return [one for one in rendered(option) if one["kind"] in KINDS]


@pytest.mark.parametrize("option", OPTIONS)
def test_they_are_what_their_definitions_allow(option):
    found = [problem for one in resources(option) for problem in custom_resources.problems(one)]
    assert not found, "\n".join(found)


def test_each_kind_is_there_and_nothing_else_is_allowed():
    there = {one["kind"]: one for one in resources("operator with an archive")}
    assert set(there) == KINDS
    for one in there.values():
        assert custom_resources.problems({**one, "sepc": {}})
        wrong = copy.deepcopy(one)
        wrong["spec"]["a-field-that-nobody-knows"] = 1
        assert custom_resources.problems(wrong)
    wrong = copy.deepcopy(there["Cluster"])
    wrong["spec"]["instances"] = "three"
    wrong["spec"]["bootstrap"]["initdb"]["datachecksums"] = True
    assert len(custom_resources.problems(wrong)) == 2
