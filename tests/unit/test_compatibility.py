"""The rule of which client works with which server against what was measured with real ones of both (tests/compatibility)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import FAILS, LIMITED, WORKS, judge, major
from lib import compatibility
from lib.compatibility import FOLDER, RESULTS, failed
from lib.long_tests import LONG
from lib.render import Roles

MEASURED = json.loads(RESULTS.read_text(encoding="utf-8"))
PAIRS = [(server, client) for server, clients in MEASURED["pairs"].items() for client in clients]


@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_the_rule_agrees_with_what_was_measured(server, client):
    """What works has no failure; what is between fails at nothing that everybody needs. Of newer major versions nothing is promised."""
    found = failed(MEASURED["pairs"][server][client])
    verdict = judge(client, server)
    if verdict == WORKS:
        assert found == {}
    elif verdict == LIMITED:
        assert set(found) & compatibility.NEEDED == set()
    else:
        assert verdict == FAILS and (set(found) & compatibility.NEEDED or major(client) > major(server))


def test_every_pair_was_measured_with_every_operation():
    versions = list(compatibility.constant("servers.py", "VERSIONS"))
    operations = set(compatibility.constant("operations.py", "OPERATIONS"))
    assert list(MEASURED["python"]) == versions
    assert {server: list(clients) for server, clients in MEASURED["pairs"].items()} == dict.fromkeys(versions, versions)
    assert all(set(MEASURED["pairs"][server][client]) == operations for server, client in PAIRS)
    assert operations >= compatibility.NEEDED and set(compatibility.TITLES) == operations


def test_what_a_host_can_have_was_measured():
    """A new lock file of MLflow needs a new measurement: tests/compatibility/measure.py."""
    assert set(Roles().value("mlops_mlflow_locks")) <= set(MEASURED["pairs"])


def test_a_server_works_with_its_own_client():
    assert {version: failed(MEASURED["pairs"][version][version]) for version in MEASURED["pairs"]} == dict.fromkeys(MEASURED["pairs"], {})


def test_words_hold_nothing_of_the_machine():
    text = RESULTS.read_text(encoding="utf-8")
    for word in ("/tmp", "/root", "/home", "127.0.0.1", "202"):
        assert word not in text


@LONG
def test_it_is_measured_anew(tmp_path):
    """With real servers and clients: five environments of a gigabyte each, ten minutes."""
    output = tmp_path / "results.json"
    cache = FOLDER.parents[1] / ".cache" / "compatibility"
    subprocess.run([sys.executable, FOLDER / "measure.py", "--cache", cache, "--output", output], check=True)
    assert json.loads(output.read_text(encoding="utf-8")) == MEASURED
