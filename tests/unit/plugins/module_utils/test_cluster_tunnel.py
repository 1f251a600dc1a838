"""Bytes between a local connection and a WebSocket to a pod."""

from __future__ import annotations

import contextlib
import random
import socket
import threading

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_tunnel
from ansible_collections.mlops.platform.plugins.module_utils.cluster_tunnel import Frames, Queue, Tunnel

DATA, ERROR = b"\0", b"\1"


def frame(payload, opcode=2):
    """A server's frame: not masked."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200000])
def test_frames_of_every_size(size):
    assert Frames().take(frame(b"x" * size)) == [(2, b"x" * size)]


def test_frames_in_pieces():
    stream = b"".join(frame(bytes([number % 256]) * (number * 7)) for number in range(200))
    frames, found, place = Frames(), [], 0
    pieces = random.Random(1)  # noqa: S311 - the same pieces in every run
    while place < len(stream):
        size = pieces.randint(1, 3000)
        found += frames.take(stream[place : place + size])
        place += size
    assert [payload for _opcode, payload in found] == [bytes([number % 256]) * (number * 7) for number in range(200)]


def test_a_queue_sends_what_the_socket_takes():
    class Slow:
        def __init__(self):
            self.got, self.turns = b"", 0

        def send(self, data):
            self.turns += 1
            if self.turns % 3 == 0:
                raise BlockingIOError
            self.got += bytes(data[:4])
            return len(data[:4])

    queue, slow = Queue(), Slow()
    for part in (b"hello ", b"", b"world, ", b"and all"):
        queue.put(part)
    while queue.size:
        queue.send(slow)
    assert slow.got == b"hello world, and all"


class Server:
    """The far end of a WebSocket: a socket pair, on which a test reads and writes frames."""

    def __init__(self):
        self.sock, self.far = socket.socketpair()
        self.closed = False

    def close(self, timeout=None):
        self.closed = True
        self.sock.close()

    def send(self, payload, opcode=2):
        self.far.sendall(frame(payload, opcode))

    def exactly(self, size):
        found = b""
        while len(found) < size:
            data = self.far.recv(size - len(found))
            if not data:
                return None
            found += data
        return found

    def receive(self):
        """Return (opcode, payload) of a client's frame, None at the end."""
        head = self.exactly(2)
        if not head:
            return None
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
        mask, payload = self.exactly(4), self.exactly(length)
        return head[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


@pytest.fixture
def ends(monkeypatch):
    """(client, server, tunnel, thread): a tunnel that runs."""
    monkeypatch.setattr(cluster_tunnel, "LINGER", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    local, _address = listener.accept()
    server = Server()
    server.far.settimeout(10)
    client.settimeout(10)
    tunnel = Tunnel(local, server)

    def run():
        # a test that is over breaks what is still open
        with contextlib.suppress(OSError):
            tunnel.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    # the first frame of each channel tells the port
    server.send(DATA + b"\x40\x1f")
    server.send(ERROR + b"\x40\x1f")
    yield client, server, tunnel, thread
    for one in (client, server.far, listener):
        one.close()
    thread.join(10)


def test_both_ways(ends):
    client, server, _tunnel, _thread = ends
    client.sendall(b"question")
    assert server.receive() == (2, DATA + b"question")
    server.send(DATA + b"ans")
    server.send(DATA + b"wer")
    assert client.recv(3) + client.recv(3) == b"answer"


def test_the_server_ends_it(ends):
    client, server, tunnel, thread = ends
    server.send(DATA + b"x" * 300000)
    server.send(b"\x03\xe8", opcode=8)
    found = b""
    while data := client.recv(65536):
        found += data
    assert len(found) == 300000
    thread.join(10)
    assert not thread.is_alive() and server.closed and not tunnel.error


def test_the_client_ends_it(ends):
    client, server, _tunnel, thread = ends
    client.sendall(b"the last words")
    client.close()
    assert server.receive() == (2, DATA + b"the last words")
    thread.join(10)
    assert not thread.is_alive() and server.closed


def test_a_client_that_has_said_all_still_gets_its_answer(ends):
    client, server, _tunnel, _thread = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert server.receive() == (2, DATA + b"question")
    server.send(DATA + b"answer")
    assert client.recv(100) == b"answer"


def test_nobody_listens_in_the_pod(ends):
    _client, server, tunnel, thread = ends
    server.send(ERROR + b"connection refused")
    thread.join(10)
    assert tunnel.error == "connection refused" and tunnel.refused and server.closed


def test_what_was_said_to_nobody_can_be_said_again(ends):
    client, server, tunnel, thread = ends
    client.sendall(b"question")
    assert server.receive() == (2, DATA + b"question")
    server.send(ERROR + b"failed to connect to localhost:80: connection refused")
    thread.join(10)
    assert tunnel.refused and bytes(tunnel.early) == b"question"
    other = Server()
    again = Tunnel(tunnel._local, other, bytes(tunnel.early))
    thread = threading.Thread(target=again.run, daemon=True)
    thread.start()
    assert other.receive() == (2, DATA + b"question")
    for part in (b"\x40\x1f", b"answer"):
        other.send(DATA + part)
    assert client.recv(100) == b"answer"
    other.far.close()
    thread.join(10)


@pytest.mark.parametrize("words", [b"connection reset by peer", b"connection refused"])
def test_what_was_answered_is_not_said_again(ends, words):
    client, server, tunnel, thread = ends
    if b"refused" in words:
        server.send(DATA + b"welcome")
        assert client.recv(100) == b"welcome"
    server.send(ERROR + words)
    thread.join(10)
    assert not tunnel.refused and tunnel.error
    assert client.recv(100) == b""


def test_a_ping_is_answered(ends):
    _client, server, _tunnel, _thread = ends
    server.send(b"are you there", opcode=9)
    assert server.receive() == (10, b"are you there")


def test_one_side_that_does_not_take_anything_stops_the_other(ends):
    """The tunnel must not take what it cannot pass on, and must go on in the other direction."""
    client, server, tunnel, _thread = ends
    server.far.settimeout(0.5)
    sent = 0
    with pytest.raises(socket.timeout):
        while sent < 1 << 28:
            server.send(DATA + b"y" * 65536)
            sent += 65536
    assert tunnel._to_local.size < 2 * cluster_tunnel.LIMIT and sent < 1 << 26
    client.sendall(b"still alive")
    assert server.receive() == (2, DATA + b"still alive")


def test_all_at_once(ends):
    """10 MB each way at the same time, against each other."""
    client, server, _tunnel, _thread = ends
    sent = [random.Random(number).randbytes(10_000_000) for number in (1, 2)]  # noqa: S311

    def talk():
        for place in range(0, len(sent[1]), 30000):
            server.send(DATA + sent[1][place : place + 30000])

    heard = []

    def listen():
        while sum(map(len, heard)) < len(sent[0]):
            opcode, payload = server.receive_fast()
            heard.append(payload[1:])

    def receive_fast():
        head = server.exactly(2)
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(server.exactly(2 if length == 126 else 8), "big")
        mask, payload = server.exactly(4), server.exactly(length)
        key = (mask * (length // 4 + 1))[:length]
        return 2, (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")

    server.receive_fast = receive_fast
    threads = [threading.Thread(target=target, daemon=True) for target in (talk, listen, lambda: client.sendall(sent[0]))]
    for thread in threads:
        thread.start()
    found = bytearray()
    while len(found) < len(sent[1]):
        found += client.recv(1 << 16)
    for thread in threads:
        thread.join(20)
    assert bytes(found) == sent[1]
    assert b"".join(heard) == sent[0]
