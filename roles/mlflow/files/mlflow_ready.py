"""Say whether this pod's MLflow server can serve: a pod's readiness probe.

    python -I -S mlflow_ready.py http|https DIRECTORY      DIRECTORY holds the files username and password

MLflow's own /health is well without a database. So this logs in and reads an experiment. A refused login was compared with the users'
database too: a password may have been changed a moment ago. Exit code 1, and the server's words, for any other answer.

A probe runs every few seconds, and its time is the server's: no HTTP client is imported, which would take most of it.
"""

from __future__ import annotations

import binascii
import socket
import sys

PORT = 5000
# below the probe's own
TIMEOUT_SECONDS = 9
READY = (b"200", b"401")
MAX_BYTES = 2000


def read(directory: str, name: str) -> bytes:
    """Return the content of a file. Raises OSError."""
    with open(f"{directory}/{name}", "rb") as stream:  # noqa: PTH123 - pathlib takes longer to import than all the rest
        return stream.read()


def ask(scheme: str, directory: str, port: int = PORT) -> bytes:
    """Return the beginning of the server's answer. Raises OSError."""
    login = binascii.b2a_base64(read(directory, "username") + b":" + read(directory, "password"), newline=False)
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    if scheme == "https":
        import ssl

        # within the pod: there is nobody between, and loopback is in no certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    with connection:
        connection.sendall(
            b"GET /api/2.0/mlflow/experiments/search?max_results=1 HTTP/1.1\r\n"
            b"Host: 127.0.0.1:%d\r\nAuthorization: Basic %s\r\nConnection: close\r\n\r\n" % (port, login)
        )
        answer = b""
        while len(answer) < MAX_BYTES and (part := connection.recv(MAX_BYTES)):
            answer += part
    return answer


def main(arguments: list[str]) -> int:
    """Ask the server and return the exit code."""
    try:
        answer = ask(*arguments[:2], *map(int, arguments[2:]))
    except (OSError, TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    if answer.split(b" ", 2)[1:2] and answer.split(b" ", 2)[1] in READY:
        return 0
    head, _blank, body = answer.partition(b"\r\n\r\n")
    print((head.split(b"\r\n")[0] + b" " + body).decode(errors="replace").strip())
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
