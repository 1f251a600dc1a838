"""One backup, restore or drill of an installation at a time. The kernel gives the lock back when its holder dies, so it is never stale."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time

from mlops_backup.problems import BackupError


def now():
    """Return the time in UTC, in whole seconds, as text."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def held(path, what, wait=0):
    """Hold the lock in the file `path` for `what`. Raises BackupError that says who has it, after `wait` seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BackupError(f"{_holder(descriptor)}. Wait for its end, or end that process") from None
                time.sleep(0.2)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"what": what, "pid": os.getpid(), "since": now()}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _holder(descriptor):
    """Return who has the lock, in words."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"another {holder['what']} is under way: process {holder['pid']}, since {holder['since']}"
    except (ValueError, KeyError):  # it has not said so yet
        return "another backup, restore or drill has just begun"
