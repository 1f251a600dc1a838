"""Says of ports whether they are open as they should be: each argument is + (open) or - (closed), an address, a colon and a TCP port.

Something listens on each of the ports: one that is closed is closed by a firewall.
"""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def wrong(argument: str) -> str:
    """Return what is wrong with one port, '' where it is as it should be."""
    address, _unused, port = argument[1:].rpartition(":")
    try:
        with socket.create_connection((address, int(port)), 3):
            is_open, why = True, ""
    except OSError as error:
        is_open, why = False, str(error)
    if is_open == (argument[0] == "+"):
        return ""
    return f"{address}:{port} is open" if is_open else f"{address}:{port} is closed: {why}"


def main() -> int:
    """Try all of them at once and print what is wrong."""
    with ThreadPoolExecutor(32) as pool:
        found = [text for text in pool.map(wrong, sys.argv[1:]) if text]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
