"""The rule of which client works with which server; tests/unit/test_compatibility.py holds it against measurements."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import client_rule
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, LIMITED, WORKS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.17.2", (3, 17)),
        ("v3.18.0rc1", (3, 18)),
        ("3", (3, 0)),
        ("3.x", (3, 0)),
        ("10.2", (10, 2)),
        ("latest", None),
        ("", None),
        (None, None),
    ],
)
def test_versions_are_read(text, expected):
    assert client_rule.release(text) == expected


@pytest.mark.parametrize(
    ("client", "server", "verdict"),
    [
        ("3.17.2", "3.17.2", WORKS),
        ("3.17.9", "3.17.2", WORKS),
        ("3.0.0", "3.17.2", WORKS),
        ("3.18.0rc1", "3.17.2", LIMITED),
        ("3.17.2", "2.22.0", FAILS),
        ("4.0.0", "3.17.2", FAILS),
        ("2.22.0", "3.17.2", WORKS),
        ("1.28.0", "3.17.2", LIMITED),
        ("1.28.0", "4.0.0", LIMITED),
        ("1.28.0", "2.9.2", LIMITED),
        ("1.28.0", "1.30.0", WORKS),
    ],
)
def test_the_rule(client, server, verdict):
    assert client_rule.judge(client, server) == verdict


def test_a_text_that_is_no_version_is_told():
    with pytest.raises(ValueError, match="'latest' is not a version"):
        client_rule.judge("latest", "3.17.2")
    with pytest.raises(ValueError, match="'here' is not a version"):
        client_rule.judge("3.17.2", "here")


@pytest.mark.parametrize("server", ["1.28.0", "2.22.5", "3.16.0", "3.17.2", "4.0.0"])
def test_the_verdict_changes_at_the_edges_alone(server):
    number = client_rule.major(server)
    edges = [client_rule.release(edge) for edge in client_rule.edges(server)]
    versions = [(major, minor) for major in range(number + 3) for minor in range(40)]
    for before, after in zip(versions, versions[1:]):
        verdicts = [client_rule.judge(f"{major}.{minor}", server) for major, minor in (before, after)]
        assert verdicts[0] == verdicts[1] or after in edges, (before, after)


@pytest.mark.parametrize("client", ["1.28.0", "2.9.2", "3.18.0", "4.0.0"])
def test_what_is_advised_is_no_worse(client):
    wanted = client_rule.advice(client, "3.17.2")
    assert wanted in ("<4", "<3.18", "==3.17.2")
    assert client_rule.bounds("3.17.2") == "<4"


@pytest.mark.parametrize(
    ("client", "server", "logged_models", "incompatible"),
    [
        ("3.17.2", "2.22.0", None, True),
        ("3.17.2", "3.0.0", None, False),
        ("2.22.0", "3.17.2", None, False),
        ("3.18.0rc1", "3.17.2", None, False),
        ("4.0.0", "3.17.2", None, True),
        ("3.17.2", None, False, True),
        ("3.17.2", None, True, False),
        ("3.17.2", None, None, False),
        ("2.22.0", None, False, False),
    ],
)
def test_a_server_that_does_not_tell_its_version_is_judged_by_an_api(client, server, logged_models, incompatible):
    assert client_rule.is_incompatible(client, server, logged_models) is incompatible
