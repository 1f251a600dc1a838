"""Backs up and restores the installation that etc/backup.json beside this program's directory describes.

Usage: backup.py COMMAND < REQUEST

REQUEST is a JSON object, or nothing. Prints one JSON object: the result, or {"problem": TEXT} and exit code 1. `archive` and `fetch` are
PostgreSQL's archive_command and restore_command, and take their words as arguments.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

SETTINGS = Path(__file__).resolve().parents[1] / "etc" / "backup.json"
# command: the module and function that do it
COMMANDS = {
    "backup": "take.backup",
    "list": "restore.listed",
    "preview": "restore.preview",
    "flush": "restore.flush",
    "restore-databases": "restore.databases",
    "restore-dumps": "dumps.restore",
    "restore-objects": "restore.objects",
    "drill": "drill.drill",
    "audit": "audit.audit",
    "schedule": "schedule.schedule",
}


def main():
    """Run one command; return the exit code."""
    # what is written is the service user's alone, whoever starts this
    os.umask(0o077)
    from mlops_backup.problems import BackupError
    from mlops_backup.settings import Settings

    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in {*COMMANDS, "archive", "fetch"}:
        print(f"usage: backup.py {' | '.join(COMMANDS)}", file=sys.stderr)
        return 2
    if command in ("archive", "fetch"):
        return server_command(command, sys.argv[2:])
    # an end that Python notices: what was begun is taken away
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(128 + signal.SIGTERM))
    module, _unused, function = COMMANDS[command].partition(".")
    try:
        settings = Settings(SETTINGS)
        # a service's standard input may never end
        text = "" if command == "schedule" or sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
        result = getattr(importlib.import_module(f"mlops_backup.{module}"), function)(settings, json.loads(text or "{}"))
    except BackupError as error:
        print(json.dumps({"problem": str(error)}))
        return 1
    except Exception as error:  # the caller shows one line, the traceback goes to the log
        import traceback

        traceback.print_exc()
        print(json.dumps({"problem": f"{type(error).__name__}: {error}"}))
        return 1
    print(json.dumps(result, default=str))
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
