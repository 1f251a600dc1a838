"""Whether every version that a specifier admits works with a server."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import client_specifiers
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, LIMITED, WORKS, judge
from ansible_collections.mlops.platform.plugins.module_utils.client_specifiers import OPEN, UNKNOWN, narrowed, verdict
from packaging.specifiers import SpecifierSet


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # tomorrow's major version
        ("", OPEN),
        (">=2", OPEN),
        (">=3.1,!=3.5.0", OPEN),
        ("<5", OPEN),
        ("!=3.18.0", OPEN),
        (">=3.0,!=4.*", OPEN),
        (">3.17.2", OPEN),
        ("~=3.1", WORKS),
        ("~=3.1.0", WORKS),
        (">=2,<4", WORKS),
        (">=2,<=3.17.2", WORKS),
        ("==3.*", WORKS),
        ("==3.17.2", WORKS),
        ("===3.17.2", WORKS),
        ("<4.0.0", WORKS),
        # its first release candidate is one too
        (">=3.1,<=4.0.0rc1", OPEN),
        ("==4.0.0rc1", FAILS),
        ("==4.*", FAILS),
        (">=4", FAILS),
        ("==3.18.0", LIMITED),
        ("~=3.18", LIMITED),
        (">=3.18,<4", LIMITED),
        (">=3.17.2,<3.19", WORKS),
        (">4,<3", UNKNOWN),
        ("==3.1,==3.2", UNKNOWN),
        ("===master", UNKNOWN),
        ("=>3", UNKNOWN),
    ],
)
def test_verdicts(text, expected):
    assert verdict([text], "3.17.2")[0] == expected


def test_the_example_is_of_the_verdict():
    assert verdict([">=2"], "3.17.2") == (OPEN, "4.0.0")
    assert verdict(["==4.1.2"], "3.17.2") == (FAILS, "4.1.2")
    assert "no version satisfies" in verdict([">4,<3"], "3.17.2")[1]
    assert "=>3" in verdict(["=>3"], "3.17.2")[1]


def test_any_of_the_alternatives_may_hold():
    assert verdict([">=2.9,<2.10", "==4.*"], "3.17.2")[0] == OPEN
    assert verdict(["==2.*", "==3.*"], "3.17.2")[0] == WORKS
    assert verdict(["==5.*", "==4.*"], "3.17.2")[0] == FAILS


PARTS = ["", ">=2.9", ">3.16.0", "<4", "<=3.17", "!=3.17.*", "~=3.16.0", "==3.*", "!=4.0.0", "<5,!=4.*"]


@pytest.mark.parametrize("server", ["3.17.2", "2.22.5"])
def test_it_agrees_with_asking_each_version(server):
    """Against a thousand versions, one by one: no verdict that they show is missed, and none is made up."""
    every = [f"{major}.{minor}.{patch}" for major in range(7) for minor in (0, 1, 9, 10, 15, 16, 17, 18, 19, 22, 23) for patch in range(4)]
    for parts in itertools.combinations(PARTS, 2):
        text = ",".join(part for part in parts if part)
        found = {judge(version, server) for version in every if SpecifierSet(text).contains(version)}
        shown = {judge(version, server) for version in client_specifiers.admitted(SpecifierSet(text), server)}
        assert found <= shown, text
        # the last of them stands for all later ones
        assert shown <= found, text


@pytest.mark.parametrize(
    ("alternatives", "expected"),
    [
        ([""], "<4"),
        ([">=2"], ">=2,<4"),
        ([">=2,<5"], ">=2,<4"),
        ([">=3.1, !=3.5.0"], ">=3.1,!=3.5.0,<4"),
        (["==3.16.0"], "==3.16.0"),
        (["==2.*", "==3.*"], "==2.* || ==3.*"),
        ([">=4"], "==3.17.2"),
        (["==3.*", "==4.*"], "==3.17.2"),
        (["=>3"], "==3.17.2"),
        ([], "==3.17.2"),
    ],
)
def test_the_remedy_works(alternatives, expected):
    assert narrowed(alternatives, "3.17.2") == expected
    assert verdict(expected.split(" || "), "3.17.2")[0] == WORKS
