"""Backs up and restores the installation that etc/backup.json beside this program's directory describes.

Usage: backup.py COMMAND < REQUEST

REQUEST is a JSON object, or nothing. Prints one JSON object: the result, or {"problem": TEXT} and exit code 1. `archive` and `fetch` are
PostgreSQL's archive_command and restore_command, and take their words as arguments. `variables DIRECTORY` prints what a backup says of the
variables that made its platform: it needs no installation, and takes the key from the environment (MLOPS_BACKUP_KEY).

In a cluster's pod the object is also the pod's termination message (MLOPS_BACKUP_ANSWER names the file), of which Kubernetes keeps 4 KiB.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

# not resolved: in a pod these are links into directories of Kubernetes' own
SETTINGS = Path(__file__).absolute().parents[1] / "etc" / "backup.json"
# command: the module and function that do it
COMMANDS = {
    "backup": "take.backup",
    "list": "restore.listed",
    "preview": "restore.preview",
    "flush": "restore.flush",
    "restore-databases": "restore.databases",
    "restore-dumps": "dumps.restore",
    "restore-objects": "restore.objects",
    "restore": "restore.whole",
    "drill": "drill.drill",
    "audit": "audit.audit",
    "schedule": "schedule.schedule",
    "once": "schedule.once",
    "follow": "follow.follow",
    "unfollow": "follow.unfollow",
}
ANSWER_BYTES = 4000


def main():
    """Run one command; return the exit code."""
    # what is written is the service user's alone, whoever starts this
    os.umask(0o077)
    from mlops_backup.problems import BackupError
    from mlops_backup.settings import Settings

    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "variables" and len(sys.argv) == 3:
        return show_variables(sys.argv[2])
    if command not in {*COMMANDS, "archive", "fetch"}:
        print(f"usage: backup.py {' | '.join(COMMANDS)} | variables DIRECTORY", file=sys.stderr)
        return 2
    if command in ("archive", "fetch"):
        return server_command(command, sys.argv[2:])
    # an end that Python notices: what was begun is taken away
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(128 + signal.SIGTERM))
    module, _unused, function = COMMANDS[command].partition(".")
    try:
        settings = Settings(SETTINGS)
        if settings.pod:
            from mlops_backup import pod

            pod.begin(settings)
            # what only looks at backups is for a database that is lost, too, and its files are restored when it is stopped
            if command not in ("preview", "list", "restore-databases"):
                pod.reach(settings)
        # a service's standard input may never end
        text = "" if command in ("schedule", "follow") or sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
        result = getattr(importlib.import_module(f"mlops_backup.{module}"), function)(settings, json.loads(text or "{}"))
    except BackupError as error:
        answer({"problem": str(error)})
        return 1
    except Exception as error:  # the caller shows one line, the traceback goes to the log
        import traceback

        traceback.print_exc()
        answer({"problem": f"{type(error).__name__}: {error}"})
        return 1
    answer(result)
    return 0


def answer(result):
    """Say what came of it."""
    print(json.dumps(result, default=str))
    if place := os.environ.get("MLOPS_BACKUP_ANSWER"):
        result = {**result, "ended": round(time.time())}
        while len(text := json.dumps(result, default=str)) > ANSWER_BYTES:
            long = max(result, key=lambda name: len(json.dumps(result[name], default=str)))
            # a text from its beginning, and of all else that there is more in the log
            result[long] = result[long][: ANSWER_BYTES // 4] if isinstance(result[long], str) else "in the log of the pod"
        Path(place).write_text(text, encoding="utf-8")


def show_variables(directory):
    """Print the variables of the backup in `directory`; return the exit code."""
    from mlops_backup import state
    from mlops_backup.problems import BackupError

    try:
        print(json.dumps(state.variables(directory, os.environ.get("MLOPS_BACKUP_KEY", "")), indent=2, sort_keys=True))
    except (BackupError, OSError) as error:
        print(f"backup.py variables: {error}", file=sys.stderr)
        return 1
    return 0


def server_command(command, words):
    """Do what PostgreSQL asks for; return the exit code. What went wrong is for its log."""
    from mlops_backup import wal
    from mlops_backup.problems import BackupError
    from mlops_backup.settings import Settings

    try:
        settings = Settings(SETTINGS)
        if command == "archive":
            wal.archive(settings, *words)
            return 0
        return 0 if wal.fetch(settings, *words) else 1
    except (BackupError, OSError) as error:
        print(f"backup.py {command}: {error}", file=sys.stderr)
        return wal.DAMAGED if command == "fetch" else 1


if __name__ == "__main__":
    sys.exit(main())
