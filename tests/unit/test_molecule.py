"""The scenarios of molecule: every step that they name is one that molecule runs."""

from __future__ import annotations

import importlib.util

import pytest
import yaml
from lib.render import ROOT
from tiers.scenario_trace import Trace

SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
# what each scenario's file is merged over
SHARED = yaml.safe_load((ROOT / ".config" / "molecule" / "config.yml").read_text())

# what the scenario `reset` holds a host against
RECORD = importlib.util.spec_from_file_location("record", ROOT / "molecule" / "reset" / "files" / "record.py")
record = importlib.util.module_from_spec(RECORD)
RECORD.loader.exec_module(record)


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_every_step_has_its_playbook(folder):
    scenario = yaml.safe_load((folder / "molecule.yml").read_text())
    playbooks = {**SHARED["provisioner"]["playbooks"], **scenario["provisioner"].get("playbooks", {})}
    steps = [step.split() for step in scenario["scenario"]["test_sequence"]]
    for name, *files in steps:
        # side effects of their own names are left out, with success, where the scenario has no playbook for the step itself
        assert name not in ("side_effect", "cleanup") or playbooks.get(name), (
            f"provisioner.playbooks names no {name}: molecule leaves it out"
        )
        expected = files or [playbooks.get(name, f"{name}.yml")]
        assert [file for file in expected if not (folder / file).exists()] == []


LOG = """
INFO     [local > converge] Executing
TASK [Expected] ****
fatal: [a1]: FAILED! => {"msg": "as it should"}
...ignoring
INFO     [local > side_effect] Executing
TASK [mlops.platform.base : Look [again]] ****
ok: [a1]
fatal: [a2]: FAILED! =>
    changed: false
    msg: BEGIN MIDDLE
        END
PLAY RECAP ****
INFO     [local > destroy] Executing
TASK [Take it down] ****
ok: [a1] =>
    changed: true
"""


def test_the_failure_that_ended_a_scenario_is_told_with_its_place():
    trace = Trace()
    for line in LOG.replace("MIDDLE", "x" * 9000).splitlines(keepends=True):
        trace.read(line)
    told = "in the step side_effect, task `mlops.platform.base : Look [again]`: fatal: [a2]: FAILED! => changed: false"
    assert trace.failure.startswith(told)
    assert "BEGIN" in trace.failure and trace.failure.endswith(" END")
    assert len(trace.failure) < 1500


def test_a_failure_that_is_ignored_is_none():
    trace = Trace()
    for line in LOG.partition("...ignoring")[0].splitlines() + ["...ignoring"]:
        trace.read(line)
    assert trace.failure == ""


def test_a_record_of_a_host_tells_what_is_new_and_what_is_gone():
    before = {"processes": ["init", "sshd"], "rules": ["-A INPUT -j ACCEPT"] * 2, "links": ["lo"]}
    after = {"processes": ["init", "k3s", "sshd"], "rules": ["-A INPUT -j ACCEPT"], "links": ["lo"]}
    assert record.differences(before, after) == {"processes": ["+ k3s"], "rules": ["- -A INPUT -j ACCEPT"]}


def test_a_record_of_a_host_sees_a_files_mode_content_and_target(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("a")
    file.chmod(0o600)
    link.symlink_to("file")
    seen = [record.describe(file), record.describe(link)]
    file.chmod(0o644)
    seen.append(record.describe(file))
    file.write_text("b")
    seen.append(record.describe(file))
    link.unlink()
    link.symlink_to("another")
    assert len({*seen, record.describe(link)}) == 5
    file.write_text("a")
    file.chmod(0o600)
    assert record.describe(file) == seen[0]
