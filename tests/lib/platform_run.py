"""Runs the collection's playbooks as a user does, and hands back what happened as data."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib.platform_secrets import as_variables

ROOT = Path(__file__).resolve().parents[2]
CALLBACKS = Path(__file__).with_name("platform_callbacks")
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
# a first installation downloads 1.3 GB of packages
TIMEOUT = 1800


class Run:
    """A finished ansible-playbook: its exit code, its output as a user sees it, and its tasks."""

    def __init__(self, code, output, events, seconds):
        self.code, self.output, self.seconds = code, output, seconds
        self.tasks = [event for event in events if event["event"] not in ("start", "stats")]
        hosts = [event["hosts"] for event in events if event["event"] == "stats"]
        # a play that ended by itself counts every host; the platform has one
        self.stats = next(iter(hosts[-1].values())) if hosts and hosts[-1] else {}

    @property
    def changed(self):
        """Names of the tasks that changed something (in check mode: would), without the role's name."""
        return [task["task"].split(" : ")[-1] for task in self.tasks if task["changed"] and task["event"] == "ok"]

    @property
    def failed(self):
        """Messages of the tasks that failed."""
        return [str(task["msg"]) for task in self.tasks if task["event"] in ("failed", "unreachable")]

    def ok(self):
        """Return this run if it succeeded; else raise AssertionError with the end of its output."""
        assert self.code == 0, f"ansible-playbook ended with {self.code}:\n{self.output[-6000:]}"
        assert self.stats.get("failures") == 0 and self.stats.get("unreachable") == 0, self.stats
        return self

    def unchanged(self):
        """Return this run if it succeeded and changed nothing; else raise AssertionError with what it changed."""
        self.ok()
        assert self.stats["changed"] == 0, f"changed={self.stats['changed']}: {self.changed}"
        return self


def parents():
    """Return {process id: parent's id} of all processes."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # the name, in parentheses, may hold spaces; state and parent follow it
            found[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return found


class Playbook:
    """A running ansible-playbook in a process group of its own."""

    def __init__(self, scratch, playbook, arguments, env=None):
        number = time.monotonic_ns()
        self.events_file = Path(scratch, f"run-{number}.jsonl")
        self.output_file = Path(scratch, f"run-{number}.log")
        self.events_file.touch(mode=0o600)
        self.output_file.touch(mode=0o600)
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MLOPS_"))}
        environ.update(
            ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="platform_events",
            MLOPS_TEST_EVENTS=str(self.events_file),
            PATH=f"{PLAYBOOK.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        )
        environ.update(env or {})
        self.started = time.monotonic()
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [str(PLAYBOOK), str(playbook), *map(str, arguments)],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def events(self):
        """Return the events so far."""
        lines = self.events_file.read_text(encoding="utf-8").splitlines()
        found = []
        for line in lines:
            # the last line of a killed run may be half
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def wait_for_task(self, part, timeout=TIMEOUT):
        """Return once a task has started whose name contains `part`; False when the run ended without one."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if any(event["event"] == "start" and part in event["task"] for event in self.events()):
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        raise AssertionError(f"no task {part!r} within {timeout} s:\n{self.output_file.read_text(errors='replace')[-3000:]}")

    def kill(self):
        """Kill it with all of its processes at once, as the OOM killer would. Ansible's workers have sessions of their own.

        What has become a daemon (the program of an asynchronous task) goes on, as it would on a host whose connection was lost.
        """
        doomed = {self.process.pid}
        while more := {pid for pid, parent in parents().items() if parent in doomed} - doomed:
            doomed |= more
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, timeout=TIMEOUT):
        """Wait for the end and return the Run; a run that takes longer is killed."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {timeout} s:\n{self.output_file.read_text(errors='replace')[-3000:]}") from None
        except BaseException:
            self.kill()
            raise
        seconds = time.monotonic() - self.started
        return Run(self.process.returncode, self.output_file.read_text(encoding="utf-8", errors="replace"), self.events(), seconds)


def start(scratch, variables, playbook, *arguments, check=False, diff=False, tags=None, extra=None, env=None):
    """Start a playbook with `variables`, which are kept in scratch/state.json, and return it while it runs.

    `extra`: variables of this run alone.
    """
    kept = scratch / "state.json"
    kept.touch(mode=0o600)
    kept.write_text(json.dumps(variables), encoding="utf-8")
    given = scratch / f"variables-{secrets.token_hex(4)}.yml"
    given.touch(mode=0o600)
    given.write_text(as_variables({**variables, **(extra or {})}), encoding="utf-8")
    options = [*arguments, "-e", f"@{given}"]
    options += ["--check"] if check else []
    options += ["--diff"] if diff else []
    options += ["--tags", tags] if tags else []
    return Playbook(scratch, playbook, options, env)
