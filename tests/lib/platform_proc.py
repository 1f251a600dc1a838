"""Processes, ports and files of an installation, read from /proc: independent of the collection's own modules."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import time
from pathlib import Path


class Process:
    """One process at one moment."""

    def __init__(self, pid):
        base = Path("/proc", str(pid))
        self.pid = pid
        self.cwd = str((base / "cwd").readlink())
        self.name = (base / "comm").read_text(errors="replace").strip()
        self.command = (base / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        fields = (base / "stat").read_text(errors="replace").rpartition(")")[2].split()
        self.state, self.parent, self.start = fields[0], int(fields[1]), int(fields[19])
        self.uid = base.stat().st_uid

    def __repr__(self):
        return f"{self.name}({self.pid}) {self.command[:80]}"


def below(directory):
    """Return the processes that work in `directory` or below it, by process id."""
    place = os.path.realpath(directory) + "/"
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                process = Process(int(entry.name))
                if (process.cwd + "/").startswith(place) and process.state != "Z":
                    found[process.pid] = process
    return found


def identities(processes):
    """Return what tells whether the same processes still run: (pid, start time) of each."""
    return {(process.pid, process.start) for process in processes.values()}


def _address(column):
    host, port = column.split(":")
    words = b"".join(struct.pack("=I", int(host[i : i + 8], 16)) for i in range(0, len(host), 8))
    return socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words), int(port, 16)


def listeners(processes):
    """Return {(address, port): process} of the TCP sockets on which `processes` (a dict by pid) listen."""
    inodes = {}
    for pid, process in processes.items():
        with contextlib.suppress(OSError):
            for descriptor in Path("/proc", str(pid), "fd").iterdir():
                with contextlib.suppress(OSError):
                    match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
                    if match:
                        inodes[match.group(1)] = process
    found = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                row = line.split()
                if row[3] == "0A" and row[9] in inodes:
                    found[_address(row[1])] = inodes[row[9]]
    return found


def listening(port):
    """Return whether anything listens on TCP `port` (any address)."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                row = line.split()
                if row[3] == "0A" and _address(row[1])[1] == port:
                    return True
    return False


def unix_sockets(uid):
    """Return the paths of the Unix sockets that user `uid` has in the file system."""
    found = set()
    for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        columns = line.split(maxsplit=7)
        if len(columns) == 8 and columns[7].startswith("/"):
            with contextlib.suppress(OSError):
                if Path(columns[7]).stat().st_uid == uid:
                    found.add(columns[7])
    return sorted(found)


def wait_until(what, test, timeout, interval=0.1):
    """Call `test` every `interval` s until it returns something true, and return that; after `timeout` s, AssertionError with `what`."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = test()
            if last:
                return last
        except Exception as error:  # a server that is coming up fails in every way
            last = repr(error)
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s; last: {last}"
        time.sleep(interval)
