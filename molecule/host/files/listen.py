"""Listens on TCP ports, the arguments, and greets whoever comes; the last one is opened when all others are."""

from __future__ import annotations

import selectors
import socket
import sys


def main() -> None:
    """Serve for ever."""
    ready = selectors.DefaultSelector()
    for port in sys.argv[1:]:
        ready.register(socket.create_server(("", int(port))), selectors.EVENT_READ)
    while True:
        for key, _events in ready.select():
            connection, _peer = key.fileobj.accept()
            with connection:
                connection.sendall(b"here\n")


if __name__ == "__main__":
    main()
