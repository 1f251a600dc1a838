"""tests/run: a run that proves nothing is a failure, the summary is true, and no process is left however a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TIERS = Path(__file__).resolve().parents[1] / "tiers"
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import runner
runner.HERE = Path(sys.argv.pop(1))
runner.OUTPUT = runner.HERE / "output"
runner.HEARTBEAT = 0.5
sys.exit(runner.main())
"""
RESULT = """
import sys
sys.path.insert(0, {tiers!r})
from pathlib import Path
from results import Failed, Results, Skipped
results = Results(Path(sys.argv[1]))
"""


@pytest.fixture
def run(tmp_path):
    """Run tiers whose programs are given as {name: Python}; returns the finished process."""

    def run(programs, *arguments):
        return subprocess.run(command(tmp_path, programs, arguments), capture_output=True, text=True, check=False)

    return run


def command(folder, programs, arguments=()):
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(RESULT.format(tiers=str(TIERS)) + text)
    # nobody asks for the preparation by name
    return [sys.executable, "-c", PROGRAM, str(TIERS), str(folder), *sorted({*programs} - {"prepare"}), *arguments]


def alive(marker):
    """Process ids whose command line holds `marker`, other than this process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_bytes().decode(errors="replace") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_the_summary_counts_and_gives_reasons(run):
    text = """
with results.test("good"): pass
with results.test("odd"): raise Skipped("no such thing here")
with results.test("bad"): raise Failed("two is not three")
sys.exit(results.exit_code())
"""
    done = run({"unit": text, "lint": "with results.test('lint'): pass\n"})
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "2 passed, 1 failed, 1 skipped"
    assert "  unit: odd: no such thing here" in done.stdout
    assert "  unit: bad: two is not three" in done.stdout
    assert "=== bad: failed" in done.stdout, "the end of the failing tier's log is shown"
    assert "=== lint: passed" not in done.stdout, "the log of a tier that passed is not"


def test_a_run_without_failures_ends_with_zero(run):
    done = run({"unit": "with results.test('good'): pass\n"})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "without a result"),
        ("results.write()\n", "no test was run"),
        ("with results.test('a'): raise Skipped('x')\n", "no test was run"),
        ("with results.test('a'): pass\nsys.exit(3)\n", "ended with code 3 although no test failed"),
        ("Path(sys.argv[1]).write_text('<testsuite><testc')\n", "without a result"),
        ("with results.test('a'): raise ValueError('a bug in the tier')\n", "a bug in the tier"),
    ],
)
def test_a_tier_that_proves_nothing_has_failed(run, text, reason):
    done = run({"unit": text})
    assert done.returncode == 1
    assert reason in done.stdout
    assert ", 1 failed, " in done.stdout.splitlines()[-1]


def test_many_tests_with_one_reason_are_one_line(run):
    done = run({"unit": "for n in range(9):\n    with results.test(f't{n}'): raise Failed('no server')\n"})
    assert "  unit: 9 tests, the first of them t0: no server" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 passed, 9 failed, 0 skipped"


def test_arguments_after_two_dashes_reach_the_tier(run):
    text = "with results.test(' '.join(sys.argv[2:])): raise Failed('shown')\n"
    assert "  unit: -k lock: shown" in run({"unit": text}, "--", "-k", "lock").stdout


def test_an_unknown_tier_is_refused(run):
    done = run({}, "unti")
    assert done.returncode == 2
    assert "unti" in done.stderr


def test_a_process_that_a_test_left_is_ended_and_named(run, tmp_path):
    marker = f"left-{tmp_path.name}-{os.getpid()}"
    spawn = f"import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 300; : {marker}'], start_new_session=True)\n"
    done = run({"unit": spawn + "with results.test('a'): pass\n"})
    assert done.returncode == 0
    assert "left a process behind" in done.stdout
    assert marker in done.stdout
    assert alive(marker) == []


def test_a_platform_that_is_to_be_kept_is_not_ended(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_TEST_KEEP", "1")
    marker = f"kept-{tmp_path.name}-{os.getpid()}"
    spawn = f"import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 300; : {marker}'], start_new_session=True)\n"
    try:
        done = run({"unit": spawn + "with results.test('a'): pass\n"})
        assert done.returncode == 0 and "left a process behind" not in done.stdout
        assert alive(marker)
    finally:
        # the shell, which begins a session, and what it waits for
        for pid in alive(marker):
            os.killpg(pid, signal.SIGKILL)


def test_the_longest_tiers_start_first_and_three_at_once(run):
    """One runs beside the preparation; what needs it starts when that has ended, before what is shorter."""
    slow = "import time\ntime.sleep({})\nwith results.test('a'): pass\n"
    programs = dict.fromkeys(("unit", "lint", "sanity", "molecule", "integration", "changes", "cluster"), slow.format(2))
    done = run({**programs, "prepare": slow.format(0.5)})
    said = [line.split("] ")[1] for line in done.stdout.splitlines() if line.startswith("[") and "running" not in line]
    started = [line.removesuffix(": started") for line in said if line.endswith("started")]
    assert started == ["prepare", "integration", "cluster", "molecule", "changes", "unit", "sanity", "lint"]
    assert [line.split(":")[0] for line in said[:3]] == ["prepare", "integration", "prepare"]
    at_once = most = 0
    for line in said:
        at_once += 0 if line.startswith("prepare") else 1 if line.endswith("started") else -1
        most = max(most, at_once)
    assert most == 3
    assert done.stdout.splitlines()[-1] == "7 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(tmp_path, number):
    marker = f"stop-{tmp_path.name}-{os.getpid()}"
    program = f"import subprocess\nsubprocess.run(['sh', '-c', 'echo started; sleep 300; : {marker}'])\n"
    with subprocess.Popen(command(tmp_path, {"unit": program}), stdout=subprocess.PIPE, text=True) as process:
        log = tmp_path / "output" / "unit.log"
        while not (log.exists() and "started" in log.read_text()):
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate()[0]
    assert process.returncode == 130
    assert f"stopped ({number.name})" in said
    assert alive(marker) == []
