"""The module client_pins: what holds together, what is found, what an upgrade would lose, and what it says where it cannot run."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.mlops.platform.plugins.modules import client_pins
from lib.modules import run_in_process, run_module

SERVER = {"server_version": "3.17.2"}


@pytest.fixture
def files(tmp_path):
    """Write files, and return their paths."""

    def write(**contents):
        paths = []
        for name, text in contents.items():
            path = tmp_path / name.replace("__", ".")
            path.write_text(text)
            paths.append(str(path))
        return paths

    return write


def run(paths=(), check=False, **options):
    return run_in_process("client_pins", {"paths": list(paths), **SERVER, **options}, check=check)


def ids(result):
    return [(one["id"], one["severity"]) for one in result["findings"]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mlflow", [("client-pin-open", "warning")]),
        ("mlflow>=2", [("client-pin-open", "warning")]),
        ("mlflow>=2,<4", []),
        ("mlflow==3.17.2", []),
        ("mlflow==4.0.0", [("client-pin-fails", "error")]),
        ("mlflow==3.18.0", [("client-pin-limited", "warning")]),
        ("mlflow @ git+https://git.example.org/mlflow.git@main", [("client-pin-unknown", "warning")]),
        ("mlflow=>2", [("client-pin-unknown", "warning")]),
        ("requests", []),
    ],
)
def test_each_pin_is_judged(files, line, expected):
    result = run(files(requirements__txt=f"# pins\n{line}\n"))
    assert ids(result) == expected and not result["changed"]
    for one in result["findings"]:
        assert one["remedy"].startswith("change it to mlflow") and one["subject"].endswith("requirements.txt:2") and one["said"] == line


def test_the_remedy_is_a_pin_that_works(files):
    found = run(files(requirements__txt="mlflow[extras]>=2 ; python_version >= '3.10'\n"))["pins"][0]
    assert found["remedy_specifier"] == "mlflow>=2,<4" and found["marker"] == 'python_version >= "3.10"'
    assert ids(run(files(requirements__txt=found["remedy_specifier"]))) == []


def test_constraints_narrow_what_a_file_admits(files):
    paths = files(requirements__txt="mlflow\n-c constraints.txt\n", constraints__txt="mlflow==3.17.2\n")
    result = run(paths[:1])
    assert ids(result) == [] and len(result["pins"]) == 1
    assert result["pins"][0]["specifier"] == "==3.17.2" and result["pins"][0]["constrained_by"] == [f"{paths[1]}:1"]


def test_constraints_of_the_command_line_hold_for_every_file(files):
    paths = files(a__txt="mlflow\n", b__txt="mlflow>=2\n", constraints__txt="mlflow<4\n")
    assert len(run(paths[:2])["findings"]) == 2
    assert run(paths[:2], constraints=paths[2:])["findings"] == []
    # a file of constraints that nobody needs is none that is missing
    assert run(paths[:2], constraints=["/none/constraints.txt"])["findings"][-1]["id"] == "client-file-unread"


def test_lines_of_one_file_hold_together_where_their_markers_say_so(files):
    apart = "mlflow==2.9.2 ; python_version < '3.9'\nmlflow==3.17.2 ; python_version >= '3.9'\n"
    assert [pin["specifier"] for pin in run(files(a__txt=apart))["pins"]] == ["==2.9.2", "==3.17.2"]
    together = "mlflow\nmlflow<4\nmlflow>=3 ; python_version >= '3.9'\n"
    assert [pin["specifier"] for pin in run(files(a__txt=together))["pins"]] == ["<4", "<4", ">=3,<4"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 is the first that reads TOML")
def test_groups_of_a_project_hold_each_for_itself(files):
    text = '[project]\ndependencies = ["mlflow"]\n[project.optional-dependencies]\nold = ["mlflow==2.9.2"]\n'
    assert [pin["specifier"] for pin in run(files(pyproject__toml=text))["pins"]] == ["", "==2.9.2"]


def test_known_versions_are_judged_beside(files):
    found = run(versions=["3.17.2", "3.18.0", "4.0.0"])["findings"]
    assert [(one["id"], one["severity"], one["subject"]) for one in found] == [
        ("client-newer", "warning", "3.18.0"),
        ("client-newer", "error", "4.0.0"),
    ]


def test_versions_that_were_seen_are_judged_with_their_time(files):
    seen = {"3.16.0": 1_800_000_000, "3.18.0": 1_800_000_000, "4.0.0": 1_800_000_060}
    found = run(seen=seen)["findings"]
    assert [(one["id"], one["severity"], one["subject"], one["said"]) for one in found] == [
        ("client-seen-limited", "warning", "3.18.0", "last seen 2027-01-15T08:00:00Z"),
        ("client-seen-fails", "warning", "4.0.0", "last seen 2027-01-15T08:01:00Z"),
    ]
    lost = run(seen=seen, server_version="2.22.5", previous_server_version="3.17.2")["lost"]
    assert [(one["id"], one["subject"]) for one in lost] == [
        ("client-seen-fails", "3.16.0"),
        ("client-seen-fails", "3.18.0"),
    ]


def test_what_an_upgrade_mends_and_what_it_loses(files):
    paths = files(requirements__txt="mlflow==3.17.2\n")
    result = run(paths, server_version="3.17.2", previous_server_version="3.16.0")
    assert result["findings"] == [] and result["lost"] == []
    back = run(paths, server_version="2.22.5", previous_server_version="3.17.2")
    assert [one["id"] for one in back["lost"]] == ["client-pin-fails"]
    assert "lost" not in run(paths)


def test_a_file_that_is_named_and_included_is_told_once(files):
    paths = files(base__txt="mlflow\n", requirements__txt="-r base.txt\n")
    assert len(run(paths)["findings"]) == 1


def test_files_that_cannot_be_read_are_told_and_stop_nothing(files, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"mlflow # \xe9\n")
    result = run([str(tmp_path / "none.txt"), str(tmp_path / "latin.txt"), *files(a__txt="mlflow\n")])
    assert [one["id"] for one in result["findings"]] == ["client-pin-open", "client-file-unread", "client-file-unread"]
    assert not result.get("failed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server_version": "latest"}, "server_version: 'latest' is not a version"),
        ({"previous_server_version": "x"}, "previous_server_version: 'x' is not a version"),
        ({"versions": ["3.17.2", "new"]}, "versions: 'new' is not a version"),
        ({"seen": {"new": 1}}, "seen: 'new' is not a version"),
        ({"seen": {"3.17.2": "yesterday"}}, "seen: 3.17.2: 'yesterday' is no whole number"),
    ],
)
def test_bad_options_are_told(options, words):
    result = run(**options)
    assert result["failed"] and words in result["msg"]


def test_a_python_without_packaging_is_told_where_it_is(monkeypatch):
    monkeypatch.setattr(client_pins, "HAS_PACKAGING", False)
    result = run()
    assert result["failed"] and "packaging" in result["msg"] and "delegate_to: localhost" in result["msg"]


def test_check_mode_tells_the_same(files):
    paths = files(a__txt="mlflow\n")
    assert run(paths, check=True)["findings"] == run(paths)["findings"]


def test_it_runs_as_ansible_runs_it(files):
    result = run_module("client_pins", {"paths": files(a__txt="mlflow\n"), **SERVER})
    assert [one["id"] for one in result["findings"]] == ["client-pin-open"] and len(result["files"]) == 1
