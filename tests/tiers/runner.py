"""Runs tiers of the tests side by side, tells what goes on, and ends with a summary whose last line is `N passed, N failed, N skipped`.

Each tier is a program tests/tiers/TIER.py. It gets the JUnit file to write as its first argument, and its output goes to
tests/output/TIER.log. A tier that ends without a result, or in which no test ran, has failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import leftovers
import results
from results import OUTPUT, ROOT, Case

HERE = Path(__file__).resolve().parent
TIERS = ["unit", "lint", "sanity", "molecule", "integration", "changes", "cluster"]
# The longest first, so that none of them is left alone in the end.
ORDER = ["prepare", "cluster", "molecule", "integration", "changes", "unit", "sanity", "lint"]
# What waits for a server or a pod in one tier leaves the processors to the others; a fourth would only wait for them.
AT_ONCE = 3
# Beside `prepare`, which two of the longest wait for: where everything is built already it takes seconds, and a tier that took their place
# would keep it for half of the run.
BESIDE_PREPARE = 1
# they need what `prepare` builds
PREPARED = {"molecule", "cluster"}
# tiers that may be skipped as a whole: they need root and programs from outside of the repository
OPTIONAL = {"molecule", "cluster", "prepare"}
HEARTBEAT = 30
SHOWN_LINES = 150
# tests with one and the same reason are listed one by one up to here
MANY = 5
# molecule takes its hosts down when it is asked to end, and the cluster's tier its cluster
GRACE = 60


class Tier:
    """One tier of this run: its process, its files, and in the end its tests."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        """Name the files of tier `name`; `arguments` go to its program."""
        self.name = name
        self.arguments = arguments
        self.log = OUTPUT / f"{name}.log"
        self.xml = OUTPUT / f"{name}.xml"
        self.process: subprocess.Popen | None = None
        self.cases: list[Case] = []
        self.started = self.seconds = 0.0

    def start(self) -> None:
        """Start the tier's program, in a session of its own so that it can be ended with all that it starts."""
        self.xml.unlink(missing_ok=True)
        self.started = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / f"{self.name}.py", self.xml, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "ANSIBLE_FORCE_COLOR": "0", "NO_COLOR": "1"},
            )

    def ended(self) -> bool:
        """Return whether the program has ended; read its results the first time."""
        if self.process.poll() is None:
            return False
        self.seconds = time.monotonic() - self.started
        leftovers.signal_group(self.process.pid, signal.SIGKILL)
        self.cases = self.verdict(self.process.returncode)
        return True

    def verdict(self, code: int) -> list[Case]:
        """Return the tests of the tier whose program ended with `code`, with a failed one added for a run that proves nothing."""
        try:
            cases = results.read(self.xml)
        except (OSError, ET.ParseError) as exc:
            return [Case(self.name, "failed", f"ended with code {code} and without a result ({exc})")]
        states = {case.state for case in cases}
        if not states - {"skipped"} and not (states and self.name in OPTIONAL):
            return [*cases, Case(self.name, "failed", f"no test was run (code {code})")]
        if code and "failed" not in states:
            return [*cases, Case(self.name, "failed", f"ended with code {code} although no test failed")]
        return cases

    def count(self, state: str) -> int:
        """Return how many tests are in `state`."""
        return sum(case.state == state for case in self.cases)


def say(text: str) -> None:
    """Print a line of progress with the time of day."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def startable(waiting: list[Tier], running: list[Tier]) -> Tier | None:
    """Return the tier of `waiting`, in that order, that can start now beside those of `running`; None where none can."""
    unprepared = any(tier.name == "prepare" for tier in waiting + running)
    busy = sum(tier.name != "prepare" for tier in running)
    for tier in waiting:
        if tier.name == "prepare" or (busy < (BESIDE_PREPARE if unprepared else AT_ONCE) and not (unprepared and tier.name in PREPARED)):
            return tier
    return None


def run(tiers: list[Tier]) -> None:
    """Run `tiers` side by side until all have ended. Raises KeyboardInterrupt when it is asked to stop."""
    waiting = sorted(tiers, key=lambda tier: ORDER.index(tier.name))
    running: list[Tier] = []
    said = time.monotonic()
    try:
        while running or waiting:
            while tier := startable(waiting, running):
                waiting.remove(tier)
                running.append(tier)
                tier.start()
                say(f"{tier.name}: started")
            time.sleep(0.2)
            leftovers.reap({tier.process.pid for tier in running})
            for tier in [tier for tier in running if tier.ended()]:
                running.remove(tier)
                report(tier)
                said = time.monotonic()
            if time.monotonic() - said >= HEARTBEAT:
                say("running: " + ", ".join(f"{tier.name} ({time.monotonic() - tier.started:.0f} s)" for tier in running))
                said = time.monotonic()
    finally:
        leftovers.end_groups([tier.process.pid for tier in running], GRACE)


def report(tier: Tier) -> None:
    """Tell how `tier` ended, with the end of its log where it failed."""
    failed = tier.count("failed")
    say(
        f"{tier.name}: {'FAILED' if failed else 'ok'} in {tier.seconds:.0f} s "
        f"({tier.count('passed')} passed, {failed} failed, {tier.count('skipped')} skipped)"
    )
    if failed:
        lines = tier.log.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = lines[-SHOWN_LINES:]
        print(f"----- {tier.name}: last {len(shown)} of {len(lines)} lines of {os.path.relpath(tier.log, ROOT)}")
        print("\n".join(shown))
        print(f"----- end of {tier.name}", flush=True)


def listed(tier: Tier, state: str) -> list[str]:
    """Return a line for each test in `state`, and one line for many that have the same reason."""
    by_reason: dict[str, list[str]] = {}
    for case in tier.cases:
        if case.state == state:
            by_reason.setdefault(case.reason or "no reason given", []).append(case.name)
    lines = []
    for reason, names in by_reason.items():
        if len(names) > MANY:
            lines.append(f"  {tier.name}: {len(names)} tests, the first of them {names[0]}: {reason}")
        else:
            lines += [f"  {tier.name}: {name}: {reason}" for name in names]
    return lines


def tell(tiers: list[Tier], state: str) -> None:
    """Print which tests of `tiers` are in `state`, and why; nothing where none is."""
    lines = [line for tier in tiers for line in listed(tier, state)]
    if lines:
        print(f"\n{state}:", *lines, sep="\n")


def summary(tiers: list[Tier], seconds: float) -> int:
    """Print the summary and return the exit code."""
    # what is skipped comes first: often the end alone is kept
    tell(tiers, "skipped")
    print(f"\n{'tier':<14}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for tier in tiers:
        print(f"{tier.name:<14}{tier.count('passed'):>8}{tier.count('failed'):>8}{tier.count('skipped'):>8}{tier.seconds:>9.0f}")
    tell(tiers, "failed")
    counts = {state: sum(tier.count(state) for tier in tiers) for state in ("passed", "failed", "skipped")}
    print(f"\nlogs and JUnit files: {os.path.relpath(OUTPUT, ROOT)}/; {seconds:.0f} s in all")
    print(", ".join(f"{number} {state}" for state, number in counts.items()), flush=True)
    return 1 if counts["failed"] else 0


def arguments() -> tuple[list[str], list[str]]:
    """Return the names of the tiers that were asked for, in order, and what follows `--`."""
    given, rest = sys.argv[1:], []
    if "--" in given:
        given, rest = given[: given.index("--")], given[given.index("--") + 1 :]
    epilog = "What follows -- goes to pytest and molecule."
    parser = argparse.ArgumentParser(prog="tests/run", description="Runs tiers of the tests.", epilog=epilog)
    parser.add_argument("tiers", nargs="+", choices=["all", *TIERS], metavar="TIER", help=f"all, or of: {' '.join(TIERS)}")
    named = parser.parse_args(given).tiers
    return [name for name in TIERS if "all" in named or name in named], rest


def stop(number: int, _frame: object) -> None:
    """Turn a signal into the exception that ends run()."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Run what the command line names and return the exit code."""
    names, rest = arguments()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    leftovers.adopt()
    tiers = [Tier(name, rest) for name in names]
    prepared = [name for name in names if name in PREPARED]
    background = [Tier("prepare", prepared)] if prepared else []
    start = time.monotonic()
    try:
        run(background + tiers)
    except KeyboardInterrupt as exc:
        say(f"stopped ({exc}); every process that the tests started has been ended")
        return 130
    finally:
        # a platform that is to be kept is such processes
        if not {"MLOPS_TEST_KEEP", "MLOPS_TEST_DATA_DIR"} & set(os.environ):
            for command in leftovers.end_descendants():
                say(f"a test left a process behind, which was ended: {command}")
    # the preparation is no test: it is told of when it failed
    return summary(tiers + [tier for tier in background if tier.count("failed")], time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(main())
