"""Ends what the tests started, so that a run leaves no process behind however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

# include/uapi/linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Become the parent of every process whose own parent ends below this one (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_group(group: int, number: int) -> bool:
    """Send signal `number` to the process group; return whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # only processes of other users are left in it
        return False
    return True


def end_groups(groups: list[int], grace: float) -> None:
    """End the process groups: ask first, and kill what is there after `grace` seconds."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        reap()
        if not any(signal_group(group, 0) for group in groups):
            return
        time.sleep(0.2)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def reap(keep: set[int] = frozenset()) -> None:
    """Take the exit codes of the children that have ended, except those in `keep`, whose owner asks for them.

    An adopted process that nobody waits for would stay visible, and a test that waits for its end would wait for ever.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in keep:
                return
            os.waitpid(ended.si_pid, 0)


def descendants() -> dict[int, str]:
    """Return {process id: command line} of everything below this process that still runs."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # the name, in parentheses, may hold spaces; state and parent follow it
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
            commands[int(folder.name)] = command
    found: set[int] = set()
    fresh = {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return {pid: commands[pid] for pid in found}


def end_descendants() -> list[str]:
    """End every process below this one; return the command lines of those that had been left."""
    reap()
    left = descendants()
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while descendants() and time.monotonic() < deadline:
            time.sleep(0.1)
            reap()
    reap()
    return [command[:160] for command in left.values()]
