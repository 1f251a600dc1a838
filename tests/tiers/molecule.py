"""Tier molecule: every scenario below molecule/, each one test, on disposable hosts with systemd.

The hosts install from an index that this program serves (mirror.py). The times of a scenario's steps stand at the end of its part of the
log. Arguments that name scenarios run these alone, also long ones; all others are molecule's.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import hosts
import mirror
from results import ROOT, Failed, Results, Skipped
from scenario_trace import STEP, Trace

# Debian 12's and 13's, which the hosts run
PYTHONS = ("3.11", "3.13")
# scenarios that CI leaves out for their time
LONG = {"airgap", "day2", "default", "fresh_root", "ha", "host", "metallb", "reset", "upgrade"}


def wheels() -> None:
    """Fetch what the hosts install. Raises Failed, also where a lock has no wheel for one of the Pythons."""
    for version in PYTHONS:
        mirror.fill(mirror.HOST_LOCKS, version, platform.machine())
    # a fresh clone on the older one is the controller of itself
    mirror.fill([mirror.CONTROLLER_LOCK], PYTHONS[0], platform.machine())


def run(scenario: str, arguments: list[str], environ: dict[str, str]) -> None:
    """Run `scenario`, print how long each of its steps took, and take its hosts down however it ends. Raises Failed."""
    command = ["molecule", "test", "--no-command-borders", "-s", scenario, *arguments]
    steps: list[tuple[str, float]] = []
    began = time.monotonic()
    code = None
    trace = Trace()
    try:
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                trace.read(line)
                found = STEP.search(line)
                if found and found["state"] == "Executing":
                    began = time.monotonic()
                elif found:
                    steps.append((found["step"], time.monotonic() - began))
        code = process.returncode
    finally:
        if code is None:
            subprocess.run(["molecule", "destroy", "-s", scenario], cwd=ROOT, env=environ, check=False)
    for step, seconds in steps:
        print(f"{scenario}: {step:<14}{seconds:>7.0f} s")
    if code:
        raise Failed(f"`{' '.join(command)}` ended with code {code} {trace.failure}")


def stop(number: int, _frame: object) -> None:
    """Turn a signal into the exception that takes the hosts down on its way."""
    raise SystemExit(128 + number)


def main() -> int:
    """Run the scenarios one after the other and return the exit code."""
    xml, *arguments = sys.argv[1:]
    results = Results(Path(xml))
    signal.signal(signal.SIGTERM, stop)
    scenarios = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
    named = [argument for argument in arguments if argument in scenarios]
    arguments = [argument for argument in arguments if argument not in named]
    environ = {
        **os.environ,
        "MLOPS_TEST_HOSTS": str(hosts.PROGRAM),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "NO_COLOR": "1",
    }
    served = False
    with results.test(f"wheels of every lock for Python {' and '.join(PYTHONS)}"):
        if hosts.obstacle():
            raise Skipped(hosts.obstacle())
        wheels()
        served = True
    # without the mirror the hosts go to PyPI themselves
    with mirror.serve() if served else nullcontext() as port:
        for scenario in named or scenarios:
            with results.test(scenario):
                if hosts.obstacle():
                    raise Skipped(hosts.obstacle())
                if scenario in LONG and scenario not in named and not os.environ.get("MLOPS_TEST_LONG"):
                    raise Skipped("too long for CI beside the other tiers; MLOPS_TEST_LONG=1 takes it in")
                run(scenario, arguments, environ | ({"MLOPS_TEST_MIRROR_PORT": str(port)} if port else {}))
    return results.exit_code()


if __name__ == "__main__":
    sys.exit(main())
