# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who listens on which TCP port of this host, read from /proc: no program such as ss or lsof is needed."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct

# the state column of /proc/net/tcp that means LISTEN (include/net/tcp_states.h: TCP_LISTEN = 10)
LISTEN = "0A"


def _address(column):
    """Return (address, port) of a hexadecimal address:port column of /proc/net/tcp or tcp6."""
    host, port = column.split(":")
    words = [struct.pack("=I", int(host[i : i + 8], 16)) for i in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words)), int(port, 16)


def listeners(proc="/proc"):
    """Return the listening sockets as a list of dicts address, port, uid, inode; an unreadable table counts as empty."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            with open(f"{proc}/net/{table}", encoding="ascii") as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            if row[3] == LISTEN:
                address, port = _address(row[1])
                found.append({"address": address, "port": port, "uid": int(row[7]), "inode": row[9]})
    return found


def _collides(wanted, taken):
    """Return whether a socket bound to `taken` keeps another from binding `wanted` (both are addresses)."""
    everywhere = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound
    taken = taken[7:] if taken.startswith("::ffff:") else taken
    return taken == wanted or taken in everywhere or wanted in everywhere


def _processes_by_inode(inodes, proc):
    """Return {inode: pid} for those of `inodes` whose process this user may look into."""
    found = {}
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            for descriptor in os.listdir(f"{proc}/{pid}/fd"):
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"{proc}/{pid}/fd/{descriptor}"))
                if match and match.group(1) in inodes:
                    found[match.group(1)] = int(pid)
        except OSError:
            continue
    return found


def describe(pid, proc="/proc"):
    """Return {pid, name, cwd} of a process; name and cwd are None where they cannot be read."""
    about = {"pid": pid, "name": None, "cwd": None}
    try:
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            about["name"] = stream.read().strip()
        about["cwd"] = os.readlink(f"{proc}/{pid}/cwd")
    except OSError:
        pass
    return about


def holders(wanted, proc="/proc"):
    """Return who holds the wanted sockets.

    wanted: a list of (address, port). Returns {(address, port): holder} for those that are taken; a holder is a dict with
    pid, name, cwd (None where this user may not see the process) and user (the owner's name or numeric id).
    """
    table = listeners(proc)
    taken = {}
    for address, port in wanted:
        rows = [row for row in table if row["port"] == port and _collides(address, row["address"])]
        if rows:
            taken[(address, port)] = rows[0]
    pids = _processes_by_inode({row["inode"] for row in taken.values()}, proc) if taken else {}
    result = {}
    for key, row in taken.items():
        try:
            user = pwd.getpwuid(row["uid"]).pw_name
        except KeyError:
            user = str(row["uid"])
        pid = pids.get(row["inode"])
        about = describe(pid, proc) if pid else {"pid": None, "name": None, "cwd": None}
        result[key] = {**about, "user": user}
    return result
