"""The journal of an upgrade: one run at a time, what a killed one leaves, and who is known to be dead."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.mlops.platform.plugins.lookup import controller_run
from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal as journal
from lib.modules import run_module

ALICE = {"host": "laptop", "user": "alice", "machine": "m1", "pid": 4711, "started": "1"}
BOB = {"host": "server", "user": "bob", "machine": "m2", "pid": 4711, "started": "1"}


def test_one_at_a_time(tmp_path):
    assert journal.claim(tmp_path, ALICE) is None
    # the same run again
    assert journal.claim(tmp_path, ALICE) is None
    other = journal.claim(tmp_path, BOB)
    assert "alice on laptop, process 4711, since 20" in journal.words(other)
    with pytest.raises(journal.Lost, match="alice on laptop"):
        journal.release(tmp_path, BOB)
    journal.release(tmp_path, ALICE)
    assert journal.claim(tmp_path, BOB) is None


def test_the_turn_of_a_dead_run_is_taken_and_only_of_that_one(tmp_path):
    journal.claim(tmp_path, ALICE)
    assert journal.claim(tmp_path, BOB, over={**ALICE, "started": "2"})
    assert journal.claim(tmp_path, BOB, over=ALICE) is None
    assert journal.claim(tmp_path, ALICE, over=ALICE)["user"] == "bob"


def test_the_journal_keeps_when_it_began(tmp_path):
    journal.claim(tmp_path, ALICE)
    first = journal.record(tmp_path, ALICE, {"state": "preparing", "from": {"version": "3.16.0"}})
    second = journal.record(tmp_path, ALICE, {"state": "migrating", "backup": "b"})
    assert second["since"] == first["since"]
    assert (second["state"], second["from"], second["backup"]) == ("migrating", {"version": "3.16.0"}, "b")
    assert journal.read(tmp_path) == second
    assert "backup" not in journal.record(tmp_path, ALICE, {"state": "preparing"}, anew=True)


def test_who_has_lost_the_turn_writes_nothing(tmp_path, monkeypatch):
    """Also where it is taken in the moment between a run's question and its writing."""
    journal.claim(tmp_path, ALICE)
    journal.record(tmp_path, ALICE, {"state": "stopped"})
    alone = journal.alone

    def late(data_dir):
        monkeypatch.setattr(journal, "alone", alone)
        journal.claim(data_dir, BOB, over=ALICE)
        return alone(data_dir)

    monkeypatch.setattr(journal, "alone", late)
    with pytest.raises(journal.Lost, match="bob on server"):
        journal.record(tmp_path, ALICE, {"state": "migrating"})
    assert journal.read(tmp_path)["state"] == "stopped"
    journal.release(tmp_path, BOB)
    with pytest.raises(journal.Lost, match="nobody"):
        journal.record(tmp_path, ALICE, {"state": "migrating"})


def test_the_journal_is_its_writers_alone(tmp_path):
    """It holds the words of what failed."""
    journal.claim(tmp_path, ALICE)
    journal.record(tmp_path, ALICE, {"state": "returning", "failure": "the words of a server"})
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "upgrade").iterdir()}
    assert files == {"journal.json": 0o600, "holder.json": 0o600, "lock": 0o600}


def test_only_known_states_are_written(tmp_path):
    with pytest.raises(ValueError, match="no state"):
        journal.record(tmp_path, ALICE, {"state": "asleep"})
    assert set(journal.PENDING) < set(journal.STATES)


def test_a_journal_that_cannot_be_read_is_told(tmp_path):
    assert journal.read(tmp_path) is None
    journal.claim(tmp_path, ALICE)
    journal.record(tmp_path, ALICE, {"state": "done"})
    (tmp_path / "upgrade/journal.json").write_text("{half")
    with pytest.raises(ValueError, match=r"journal\.json"):
        journal.read(tmp_path)
    result = run_module("host_preflight", {"data_dir": str(tmp_path), "install_mb": 0, "reserve_mb": 0})
    assert [problem for problem in result["problems"] if "journal of the last upgrade" in problem["what"]]


def module(tmp_path, run, state, check=False, **options):
    return run_module("host_upgrade", {"data_dir": str(tmp_path), "run": run, "state": state, **options}, check=check)


def test_the_module_lets_one_run_write(tmp_path):
    assert module(tmp_path, ALICE, "claimed")["held_by"] == {}
    held = module(tmp_path, BOB, "claimed")
    assert held["held_by"]["user"] == "alice" and "alice on laptop" in held["holder"] and held["changed"] is False
    entry = {"state": "preparing", "to": {"version": "3.17.2"}}
    assert module(tmp_path, ALICE, "recorded", entry=entry)["journal"]["state"] == "preparing"
    refused = module(tmp_path, BOB, "recorded", entry={"state": "done"})
    assert refused["failed"] and "alice on laptop" in refused["msg"]
    assert journal.read(tmp_path)["state"] == "preparing"
    module(tmp_path, ALICE, "released")
    assert module(tmp_path, BOB, "claimed")["held_by"] == {}


def test_check_mode_writes_nothing(tmp_path):
    module(tmp_path, ALICE, "claimed", check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_lives_has_not_ended():
    here = controller_run.here()
    assert here["pid"] and not controller_run.ended(here)
    assert controller_run.ended({**here, "started": "1"})


def test_a_run_that_was_killed_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = {**controller_run.here(), "pid": child.pid, "started": controller_run.process(child.pid)[1]}
    assert not controller_run.ended(run)
    child.kill()
    child.communicate()
    assert controller_run.ended(run)


def test_nobody_knows_of_a_run_on_another_machine():
    assert not controller_run.ended({**controller_run.here(), "machine": "another", "pid": 2**22 + 1})


@pytest.mark.parametrize("parent", ["ansible-runner", "sh"])
@pytest.mark.parametrize("name", ["ansible-playbook", "playbook.py"])
def test_a_worker_is_part_of_its_run(tmp_path, name, parent):
    """Its workers are forks, with its own command; what has started Ansible, whatever its name, is no part of the run."""
    program, above = tmp_path / name, tmp_path / parent
    program.write_text(
        "import os, sys\n"
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        f"spec = spec_from_file_location('controller_run', {controller_run.__file__!r})\n"
        "controller_run = module_from_spec(spec)\n"
        "spec.loader.exec_module(controller_run)\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, str(controller_run.own()).encode())\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(os.getpid(), os.read(read, 20).decode())\n"
    )
    above.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, {str(program)!r}], check=True)\n")
    done = subprocess.run([sys.executable, str(above)], capture_output=True, text=True, check=True)
    mine, found = done.stdout.split()
    assert mine == found
