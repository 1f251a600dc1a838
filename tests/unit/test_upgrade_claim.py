"""Whose turn an upgrade is, as the role's tasks ask and as its playbook lets the next one in."""

from __future__ import annotations

import json

import pytest
import yaml
from lib.plays import run_play
from lib.render import ROOT

# a run on another machine, of which nobody knows whether it lives
BOB = {"host": "server", "user": "bob", "machine": "another", "pid": 4711, "started": "1", "since": "2026-11-29T04:00:00Z"}


def wrapped(tasks, wanted):
    """Return the tasks that a block with `wanted` at its end holds."""
    return [task for entry in tasks if wanted in json.dumps(entry.get("always", [])) for task in entry["block"]]


def test_the_playbook_lets_the_next_one_in_however_it_ends():
    """What fails between the claim and the upgrade, such as PostgreSQL's part, would hold the turn for ever where nobody knows that run."""
    (play,) = yaml.safe_load((ROOT / "playbooks/upgrade.yml").read_text())
    held = wrapped(play["tasks"], '"tasks_from": "leave"')
    assert play["tasks"][0]["ansible.builtin.import_role"]["name"] == "mlops.platform.preflight"
    assert len(play["tasks"]) == 2 and held[0]["ansible.builtin.import_role"]["tasks_from"] == "begin"


@pytest.fixture
def claim(tmp_path):
    """Return a function that runs claim.yml as the role does, and returns (exit code, output)."""

    def run(seen, **variables):
        claimed, left = (
            {"ansible.builtin.include_role": {"name": "mlops.platform.upgrade", "tasks_from": name, "rolespec_validate": False}}
            for name in ("claim", "leave")
        )
        told = {"ansible.builtin.debug": {"msg": "the turn is ours"}}
        play = {"tasks": [{"block": [claimed, told], "always": [left]}]}
        code, output = run_play(tmp_path, play, {"mlops_host": {"data_dir": str(tmp_path), "upgrade": seen}, **variables})
        return code, " ".join(output.split())

    return run


def put(folder, name, content):
    (folder / "upgrade").mkdir(exist_ok=True)
    (folder / "upgrade" / name).write_text(json.dumps(content))


def test_who_finds_another_journal_than_he_has_seen_keeps_nobody_out(claim, tmp_path):
    put(tmp_path, "journal.json", {"state": "done"})
    code, output = claim({"state": "stopped"})
    assert code != 0 and "Another upgrade has just ended (done)" in output
    assert not (tmp_path / "upgrade" / "holder.json").exists()


def test_the_turn_of_a_run_that_nobody_knows_is_taken_on_demand_alone(claim, tmp_path):
    put(tmp_path, "holder.json", BOB)
    code, output = claim({})
    assert code != 0 and "An upgrade is under way: bob on server, process 4711, since 2026-11-29T04:00:00Z" in output
    assert json.loads((tmp_path / "upgrade" / "holder.json").read_text()) == BOB
    code, output = claim({}, upgrade_take_over=True)
    assert code == 0 and "the turn is ours" in output, output
    assert not (tmp_path / "upgrade" / "holder.json").exists()
