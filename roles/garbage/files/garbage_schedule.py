"""Run a command each day at one time, and write down what came of it.

Usage: garbage_schedule.py SETTINGS. SETTINGS is a JSON file: `command`, a list; `time`, as HH:MM in UTC; `state`, a JSON file that this
program keeps; `metrics`, a file for Prometheus' textfile collector. A day that the host slept through is made up for at once. What fails is
tried again until it succeeds.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

AGAIN_SECONDS = 3600
# a clock may be set, or the machine sleep: no wait is longer than this
LONGEST_SECONDS = 60
HELP = {
    "mlops_garbage_last_success_timestamp_seconds": "When garbage was last deleted, 0 for never.",
    "mlops_garbage_last_attempt_timestamp_seconds": "When it was last tried.",
    "mlops_garbage_deleted_runs": "Runs that the last time has deleted.",
    "mlops_garbage_deleted_logged_models": "Logged models that the last time has deleted.",
    "mlops_garbage_deleted_experiments": "Experiments that the last time has deleted.",
}


def due(time_of_day, at):
    """Return the last moment, at or before `at` (a datetime in UTC), at which the command was due."""
    hours, minutes = (int(word) for word in time_of_day.split(":"))
    today = at.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return today if today <= at else today - datetime.timedelta(days=1)


def read(path):
    """Return the state, {} where there is none that can be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write(path, text):
    """Put a file in its place as a whole. Raises OSError."""
    new = Path(f"{path}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def metrics(state):
    """Return the lines for Prometheus."""
    answer = state.get("answer", {})
    values = {
        "mlops_garbage_last_success_timestamp_seconds": state.get("succeeded", 0),
        "mlops_garbage_last_attempt_timestamp_seconds": state.get("tried", 0),
        **{f"mlops_garbage_deleted_{kind}": answer[kind] for kind in ("runs", "logged_models", "experiments") if kind in answer},
    }
    return "".join(f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items())


def once(settings, began):
    """Run the command; return the state, which is also written down, with the metrics. Raises OSError."""
    done = subprocess.run(settings["command"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    answer = json.loads(lines[-1]) if lines else {"problem": done.stderr.strip()[-2000:] or f"exit code {done.returncode}"}
    state = {**read(settings["state"]), "tried": began, "answer": answer}
    if done.returncode == 0 and "problem" not in answer:
        state["succeeded"] = began
    write(settings["state"], json.dumps(state))
    write(settings["metrics"], metrics(state))
    print(f"{datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')} {json.dumps(answer)}", flush=True)
    return state


def wanted(settings, state, at):
    """Return whether the command is to be run at `at` (a datetime in UTC)."""
    if at.timestamp() - state.get("tried", 0) < AGAIN_SECONDS and state.get("tried", 0) != state.get("succeeded"):
        return False
    return state.get("succeeded", 0) < due(settings["time"], at).timestamp()


def main():
    """Never return."""
    # an end that Python notices: it takes the command with it, which would else go on alone
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))
    # what is written is the service user's alone
    os.umask(0o077)
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    while True:
        now = datetime.datetime.now(datetime.timezone.utc)
        if wanted(settings, read(settings["state"]), now):
            once(settings, now.timestamp())
        time.sleep(LONGEST_SECONDS)


if __name__ == "__main__":
    main()
