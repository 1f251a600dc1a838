"""One backup, restore or drill of an installation at a time. The lock is given back when its holder dies, so it is never stale.

On a host it is a file, which the kernel unlocks. Pods share no file: there it is an advisory lock of the platform's own PostgreSQL, which
ends with the connection that has it.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time

from mlops_backup.problems import BackupError, Busy


def now():
    """Return the time in UTC, in whole seconds, as text."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# of the advisory lock: any two numbers, the same for ever
SPACE, NUMBER = 1835823984, 1


@contextlib.contextmanager
def alone(settings, what):
    """Be the only one. Gives a function that raises BackupError where that is not so any more. Raises BackupError that says who is."""
    if settings.pod:
        with _in_database(settings, what) as check:
            yield check
    else:
        with held(settings.lock, what):
            yield lambda: None


def look(settings):
    """Raise Busy where another one is under way. A database that is lost has no lock, and neither has a host that is new."""
    if not settings.pod and not settings.lock.exists():
        return
    try:
        with alone(settings, "look"):
            pass
    except Busy:
        raise
    except BackupError:
        pass


@contextlib.contextmanager
def _in_database(settings, what):
    from mlops_backup import database

    # others read it there; PostgreSQL keeps 63 characters of it
    with database.session(settings, application=f"mlops_backup: {what} in {os.uname().nodename}"[:63]) as cursor:
        held = database.one(cursor, "SELECT pg_try_advisory_lock(%s, %s)", SPACE, NUMBER)[0]
        # such a lock is one of its database alone, and who deletes garbage has it in MLflow's: so each looks for the other's, too
        holder = _pod_that_holds(cursor)
        if holder or not held:
            raise Busy(f"{holder or 'another backup, restore or drill has just ended'}. Wait for its end, or delete that pod's Job")
        yield lambda: database.one(cursor, "SELECT 1")


def _pod_that_holds(cursor):
    """Return who else has the lock, in whichever database, in words; empty where nobody has."""
    cursor.execute(
        "SELECT application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        " FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s AND objsubid = 2 AND pid <> pg_backend_pid()",
        (SPACE, NUMBER),
    )
    holder = cursor.fetchone()
    if not holder:
        return ""
    # PostgreSQL tells an administrator who is no superuser less of others
    what, _unused, pod = (holder[0] or ": deletion of garbage in MLflow's image").partition(": ")[2].partition(" in ")
    return f"another {what} is under way: pod {pod}, since {holder[1]}"


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
                    raise Busy(f"{_holder(descriptor)}. Wait for its end, or end that process") from None
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
