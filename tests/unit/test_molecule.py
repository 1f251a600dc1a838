"""The scenarios of molecule: every step that they name is one that molecule runs."""

from __future__ import annotations

import pytest
import yaml
from lib.render import ROOT
from tiers.scenario_trace import Trace

SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
# what each scenario's file is merged over
SHARED = yaml.safe_load((ROOT / ".config" / "molecule" / "config.yml").read_text())


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
