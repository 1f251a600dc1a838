"""Who holds a port, read from real sockets and from made-up tables."""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import host_ports

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def column(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed)) + f":{port:04X}"


def row(address, port, state="0A", uid=4242, inode=77):
    return f"   0: {column(address, port)} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid} 0 {inode} 1\n"


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()

    def make(*rows, six=()):
        (tmp_path / "net" / "tcp").write_text(HEADER + "".join(rows))
        (tmp_path / "net" / "tcp6").write_text(HEADER + "".join(six))
        return str(tmp_path)

    return make


def process(proc, pid, inode, name="a server", cwd="/srv/data"):
    folder = os.path.join(proc, str(pid))
    os.makedirs(f"{folder}/fd")
    os.symlink(f"socket:[{inode}]", f"{folder}/fd/3")
    os.symlink(cwd, f"{folder}/cwd")
    with open(f"{folder}/comm", "w", encoding="utf-8") as stream:
        stream.write(f"{name}\n")


def test_a_listening_socket_of_this_process_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        key = server.getsockname()
        holder = host_ports.holders([key])[key]
    assert holder["pid"] == os.getpid()
    assert holder["user"] == pwd.getpwuid(os.geteuid()).pw_name
    assert os.path.realpath(holder["cwd"]) == os.path.realpath(os.getcwd())


def test_a_closed_port_is_held_by_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        key = server.getsockname()
    assert host_ports.holders([key]) == {}


@pytest.mark.skipif(sys.byteorder != "little", reason="the literal below is from a little-endian machine")
def test_the_kernels_own_form_is_read():
    assert host_ports._address("0100007F:1F90") == ("127.0.0.1", 8080)
    assert host_ports._address("00000000000000000000000001000000:0050") == ("::1", 80)


def test_only_listening_sockets_count(proc):
    established, waiting = row("127.0.0.1", 80, state="01"), row("127.0.0.1", 80, state="06")
    assert host_ports.listeners(proc(established, waiting)) == []


@pytest.mark.parametrize(
    "wanted, taken, collides",
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "10.0.0.5", False),
        ("0.0.0.0", "10.0.0.5", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("10.0.0.5", "::1", False),
        ("::", "127.0.0.1", True),
    ],
)
def test_which_sockets_stand_in_the_way(proc, wanted, taken, collides):
    table = proc(six=[row(taken, 80)]) if ":" in taken else proc(row(taken, 80))
    assert ((wanted, 80) in host_ports.holders([(wanted, 80), (wanted, 81)], table)) is collides
    assert (wanted, 81) not in host_ports.holders([(wanted, 81)], table)


def test_the_process_behind_a_socket_is_named(proc):
    table = proc(row("127.0.0.1", 80, inode=77))
    process(table, 12, 76, name="another")
    process(table, 13, 77)
    holder = host_ports.holders([("127.0.0.1", 80)], table)[("127.0.0.1", 80)]
    assert holder == {"pid": 13, "name": "a server", "cwd": "/srv/data", "user": "4242"}


def test_a_process_that_cannot_be_looked_into_still_has_an_owner(proc):
    holder = host_ports.holders([("127.0.0.1", 80)], proc(row("127.0.0.1", 80, uid=0)))[("127.0.0.1", 80)]
    assert holder == {"pid": None, "name": None, "cwd": None, "user": "root"}


def test_a_table_that_is_not_there_is_empty(tmp_path):
    assert host_ports.listeners(str(tmp_path)) == []


def test_a_process_that_has_ended_has_no_name(tmp_path):
    assert host_ports.describe(99, str(tmp_path)) == {"pid": 99, "name": None, "cwd": None}
