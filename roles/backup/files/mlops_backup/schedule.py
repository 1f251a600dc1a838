"""Takes a backup each day at one time, and on one day of the week rehearses a restore after it.

A day that the host slept through, or the first one, is made up for at once. What fails is tried again until it succeeds.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlops_backup.catalog import Catalog, moment
from mlops_backup.lock import now
from mlops_backup.problems import BackupError
from mlops_backup.wal import of, own, reach

PROGRAM = Path(__file__).resolve().parents[1] / "backup.py"
AGAIN_SECONDS = 900
# for a drill to remove what it has made; the service manager waits for twice as long
ENOUGH_SECONDS = 5
# a clock may be set, or the machine sleep: no wait is longer than this
LONGEST_SECONDS = 60
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def due(time_of_day, at):
    """Return the last moment, at or before `at` (a datetime in UTC), at which a backup was due."""
    hours, minutes = (int(word) for word in time_of_day.split(":"))
    today = at.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return today if today <= at else today - datetime.timedelta(days=1)


def newest(settings):
    """Return when the newest complete backup began; None where there is none, or a gap in the log keeps later times from being restored."""
    try:
        catalog = Catalog(settings.vault(own(settings)))
        manifest = catalog.read(catalog.latest())
        if manifest["database"].get("archive") and reach(catalog.vault.store, manifest["database"]["first_wal"], of(manifest))[1]:
            return None
        return moment(manifest["point"]["time"])
    except BackupError:
        return None


def wanted(settings, at):
    """Return whether a backup is due at `at`."""
    last = newest(settings)
    return last is None or last < due(settings.time, at)


def run(command):
    """Run one command of this program to its end; say what came of it, and return whether it succeeded.

    A process of its own: it takes its memory with it. It ends with this one, and what it has started too: a backup that goes on alone would
    keep the lock, and nobody would know of it.
    """
    process = subprocess.Popen(
        [sys.executable, "-E", "-s", "-B", str(PROGRAM), command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, problem = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENOUGH_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    print(f"{now()} {command}: {out.strip() or problem.strip()[-2000:]}", flush=True)
    return process.returncode == 0


def once(settings, _request):
    """Do what is due now, where somebody else keeps the time: a backup, and on its day a drill. Raises BackupError where one fails."""
    from mlops_backup import drill, take

    done = take.backup(settings, {})
    # in the log, whatever becomes of the drill
    print(f"{now()} backup: {json.dumps(done, default=str)}", flush=True)
    if settings.drill_weekday == DAYS[due(settings.time, datetime.datetime.now(datetime.timezone.utc)).weekday()]:
        done["drill"] = drill.drill(settings, {})
    return done


def schedule(settings, _request):
    """Never return."""
    tried = None
    while True:
        at = datetime.datetime.now(datetime.timezone.utc)
        if (tried is None or time.monotonic() - tried >= AGAIN_SECONDS) and wanted(settings, at):
            tried = time.monotonic()
            if run("backup") and settings.drill_weekday == DAYS[due(settings.time, at).weekday()]:
                run("drill")
        time.sleep(LONGEST_SECONDS)
