# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal of an upgrade, and who works at it: two files in `upgrade` below the data directory.

The journal says what a run that was killed has left. The record of the holder says whose turn it is: tasks are processes of their own, so
no lock of the kernel's lasts from one to the next. upgrade_journal_cluster.py keeps the same in a cluster.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os

DIRECTORY = "upgrade"
# The states in order, and what a run that finds one has to do. In the first two nothing but MLflow's processes was touched.
#   preparing  -> begin anew               stopped    -> begin anew, MLflow stands still
#   migrating  -> go on, or back           starting   -> go on, or back          verifying -> go on, or back
#   returning  -> go back again            done, returned -> nothing
STATES = ("preparing", "stopped", "migrating", "starting", "verifying", "done", "returning", "returned")
# states in which the platform is neither of before nor of after
PENDING = ("stopped", "migrating", "starting", "verifying", "returning")
# the options of both modules, beside the place of the journal
OPTIONS = {
    "state": {"type": "str", "choices": ["claimed", "recorded", "released"], "required": True},
    "run": {"type": "dict", "required": True},
    "over": {"type": "dict", "default": {}},
    "entry": {"type": "dict", "default": {}},
    "anew": {"type": "bool", "default": False},
}


class Lost(Exception):
    """It is not, or not any more, the turn of the run that writes. `holder`: the one whose turn it is."""

    def __init__(self, holder):
        super().__init__(words(holder))
        self.holder = holder


def now():
    """Return the time in UTC, in whole seconds, as text."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def place(data_dir, name):
    """Return the path of the file `name` of the journal."""
    return os.path.join(data_dir, DIRECTORY, name)


def read(data_dir, name="journal.json"):
    """Return what a file of the journal holds, None where there is none. Raises ValueError for one that cannot be read."""
    try:
        with open(place(data_dir, name), encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{place(data_dir, name)}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{place(data_dir, name)} holds no dictionary")
    return found


def write(data_dir, content, name="journal.json"):
    """Write a file of the journal as a whole, so that a power cut leaves the old or the new one. Raises OSError.

    It is its writer's alone: why an upgrade failed is in the words of whatever failed.
    """
    path = place(data_dir, name)
    new = path + ".new"
    with open(new, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        json.dump(content, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(new, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def alone(data_dir):
    """Make the journal's directory, and let nobody else read and write both files during the block. Raises OSError."""
    os.makedirs(os.path.join(data_dir, DIRECTORY), mode=0o755, exist_ok=True)
    descriptor = os.open(place(data_dir, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def same(one, other):
    """Return whether two holders are the same run."""
    return all(one.get(key) == other.get(key) for key in ("machine", "pid", "started"))


def words(holder):
    """Return who a holder is, in words."""
    return f"{holder.get('user')} on {holder.get('host')}, process {holder.get('pid')}, since {holder.get('since')}"


def claim(data_dir, holder, over=None):
    """Write `holder` down as the one whose turn it is; return the other one who has it, or None.

    `over`: one who is known to be dead, whose place may be taken. Raises OSError, and ValueError for a record that cannot be read.
    """
    with alone(data_dir):
        present = read(data_dir, "holder.json")
        if present and not same(present, holder) and not (over and same(present, over)):
            return present
        if not present or not same(present, holder):
            write(data_dir, {**holder, "since": now()}, "holder.json")
    return None


@contextlib.contextmanager
def turn(data_dir, holder):
    """Be alone during the block, in the turn of `holder`. Raises Lost where it is another one's, who was told that this run is dead."""
    with alone(data_dir):
        present = read(data_dir, "holder.json")
        if not present or not same(present, holder):
            raise Lost(present or {"user": "nobody"})
        yield


def release(data_dir, holder):
    """Let the next one in. Raises Lost, OSError and ValueError."""
    with turn(data_dir, holder):
        os.unlink(place(data_dir, "holder.json"))


def grown(before, entry, anew=False):
    """Return the journal that becomes of `before` with `entry`, or of nothing where it begins `anew`. Raises ValueError."""
    if entry.get("state") not in STATES:
        raise ValueError(f"no state of an upgrade: {entry.get('state')!r}")
    return {"since": now(), **({} if anew else before), **entry, "updated": now()}


def record(data_dir, holder, entry, anew=False):
    """Add `entry` to the journal, or begin it `anew` with it; return the journal. Raises Lost, OSError and ValueError."""
    # what is no entry is told to anybody
    grown({}, entry)
    with turn(data_dir, holder):
        journal = grown(read(data_dir) or {}, entry, anew)
        write(data_dir, journal)
    return journal


def act(ways, place, given, check=False):
    """Do what the options in `given` ask for at `place`; return the module's result.

    `ways`: this module, or upgrade_journal_cluster; `check`: change nothing. Raises Lost, OSError, ValueError and what `ways` raises.
    """
    other = None
    if not check:
        if given["state"] == "claimed":
            other = ways.claim(place, given["run"], given["over"])
        if given["state"] == "recorded" or given["entry"]:
            ways.record(place, given["run"], given["entry"], given["anew"])
        if given["state"] == "released":
            ways.release(place, given["run"])
    return {
        "changed": not other and bool(given["entry"]),
        "held_by": other or {},
        "holder": words(other) if other else "",
        "journal": ways.read(place) or {},
    }


def lost(error):
    """Return the message of a module where it is not, or not any more, the turn of its run."""
    return f"this run does not upgrade any more: {error} does. Nothing more is done here"
