# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether nodes reach each other's ports: a listener that ends by itself, and the connections to it."""

from __future__ import annotations

import errno
import os
import select
import socket
import time

GREETING = b"mlops-reach "
# how often a datagram is sent
TRIES = 4


def expand(ports, limit=2):
    """Return some ports of a list: of a range its first and last ones."""
    found = []
    for text in ports:
        first, _unused, last = text.partition("-")
        numbers = range(int(first), int(last or first) + 1)
        found += [numbers[0], numbers[-1]][:limit] if len(numbers) > 1 else [numbers[0]]
    return found


def open_sockets(address, wanted):
    """Listen on each of `wanted`, (protocol, port). Returns (sockets by both, those that another process holds)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets, held = {}, []
    for protocol, port in wanted:
        one = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        try:
            if protocol == "tcp":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
            if protocol == "tcp":
                one.listen(64)
            sockets[protocol, port] = one
        except OSError as error:
            one.close()
            if error.errno != errno.EADDRINUSE:
                raise
            held.append((protocol, port))
    return sockets, held


def serve(sockets, key, lifetime):
    """Answer until somebody who knows the key says that it is enough, or the time is over."""
    by_socket = {one: protocol for (protocol, _port), one in sockets.items()}
    deadline = time.monotonic() + lifetime
    while time.monotonic() < deadline:
        ready, _none, _nothing = select.select(list(by_socket), [], [], min(1.0, max(0.0, deadline - time.monotonic())))
        for one in ready:
            if by_socket[one] == "tcp":
                connection, _peer = one.accept()
                with connection:
                    connection.settimeout(2)
                    try:
                        text = connection.recv(256)
                        connection.sendall(text)
                    except OSError:
                        continue
            else:
                text, peer = one.recvfrom(256)
                one.sendto(text, peer)
            if text == b"end " + key:
                return


def detach(sockets, key, lifetime):
    """Leave a process behind that serves; return its id. It is nobody's child, has no terminal, and ends by itself."""
    end, other = os.pipe()
    first = os.fork()
    if first == 0:
        os.setsid()
        second = os.fork()
        if second:
            os.write(other, str(second).encode())
            os._exit(0)
        try:
            # the module's result goes through these
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            os.close(end)
            os.close(other)
            os.chdir("/")
            serve(sockets, key, lifetime)
        finally:
            os._exit(0)
    os.close(other)
    os.waitpid(first, 0)
    pid = int(os.read(end, 32) or b"0")
    os.close(end)
    for one in sockets.values():
        one.close()
    return pid


def reason(error):
    """Return why a connection failed, in words."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer: a firewall on the way or on the target drops it"
    if error.errno == errno.ECONNREFUSED:
        return "refused: a firewall rejects it, or nothing listens"
    return f"{error.strerror or error}"


def try_tcp(address, port, timeout, held):
    """Return None where a connection works, else why not. held: another program listens, which need not answer."""
    try:
        with socket.create_connection((address, port), timeout) as connection:
            if not held:
                connection.sendall(GREETING)
                if connection.recv(64) != GREETING:
                    return "another program answered"
    except OSError as error:
        return reason(error)
    return None


def try_udp(address, port, timeout):
    """Return None where a datagram comes back, else why not."""
    last = "no answer: a firewall on the way or on the target drops it"
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(timeout / TRIES)
        one.connect((address, port))
        for _number in range(TRIES):
            try:
                one.send(GREETING)
                if one.recv(64) == GREETING:
                    return None
            except socket.timeout:
                continue
            except OSError as error:
                last = reason(error)
                time.sleep(0.2)
    return last


def end(address, protocol, port, key, timeout):
    """Tell the listener at an address that it may go."""
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        ) as one:
            one.settimeout(timeout)
            one.connect((address, port))
            one.send(b"end " + key)
            one.recv(64)
    except OSError:
        # it has gone
        pass
