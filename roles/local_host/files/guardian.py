"""Brings the supervisor back when it was killed.

Usage: guardian.py DATA_DIR SUPERVISORD

The supervisor runs this program like any other. A guardian that dies is restarted by the supervisor; a supervisor that dies leaves
the guardian, which waits until the services are gone (the kernel signals each of them when its supervisor dies), ends those that are
not, and becomes the next supervisor. So any one process of the two may be killed at any time. An orderly shutdown ends the guardian
by SIGTERM before the supervisor itself ends, and nothing comes back.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

# longer than any service's own stop: PostgreSQL writes a checkpoint, SeaweedFS flushes its volumes
GRACE_SECONDS = 30


def wait_for_end_of(pid):
    """Return when the process `pid` no longer runs."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        select.select([descriptor], [], [])
        os.close(descriptor)


def services(data_dir):
    """Return the process ids that the launchers wrote and that are still processes of this installation."""
    found = []
    for record in Path(data_dir, "run").glob("*.pid"):
        with contextlib.suppress(ValueError, OSError):
            pid = int(record.read_text(encoding="ascii"))
            # a process id may have been given to a stranger: ours work below the data directory
            place = str(Path(f"/proc/{pid}/cwd").readlink()) + "/"
            if record.name != "supervisord.pid" and place.startswith(data_dir.rstrip("/") + "/"):
                found.append(pid)
    return found


def end(data_dir):
    """Wait for the services to end by themselves, then kill what is left."""
    deadline = time.monotonic() + GRACE_SECONDS
    while services(data_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in services(data_dir):
        print(f"process {pid} did not end within {GRACE_SECONDS} s of its supervisor: killed", flush=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main():
    """Guard the parent process; become its successor."""
    data_dir, supervisord = sys.argv[1:3]
    parent = os.getppid()
    record = Path(data_dir, "run", "supervisord.pid")
    # killed between the fork and this line: the parent is already another process
    with contextlib.suppress(ValueError, OSError):
        parent = int(record.read_text(encoding="ascii"))
    wait_for_end_of(parent)
    # the pipe to the dead supervisor would end this program with its first word
    log = os.open(Path(data_dir, "log", "guardian.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    print(f"the supervisor (process {parent}) is gone: starting another", flush=True)
    end(data_dir)
    os.execv(supervisord, [supervisord, "-c", str(Path(data_dir, "etc", "supervisord.conf"))])  # noqa: S606  # no shell is meant


if __name__ == "__main__":
    main()
