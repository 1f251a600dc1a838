"""Reads from every server of a cluster once a second until a file appears, and then prints how many reads failed, as JSON.

Usage: watch.py KUBECONFIG STOP_FILE ADDRESS...

One object is read, without a resourceVersion: the API server asks etcd for it, and etcd answers only with a quorum. So a second in which a
server answers is one in which the cluster has a quorum; `without_quorum` are those in which none did. A server that restarts fails reads
of its own for that time: `failed` counts them by server. Nothing is retried.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

SECONDS = 3


def context(kubeconfig: str) -> ssl.SSLContext:
    """Return the TLS settings of a kubeconfig's only user."""
    content = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    user = content["users"][0]["user"]
    made = ssl.create_default_context(cadata=base64.b64decode(content["clusters"][0]["cluster"]["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        file.flush()
        made.load_cert_chain(file.name)
    return made


def read(address: str, tls: ssl.SSLContext) -> str:
    """Read an object through one server; return what is wrong, '' where it came."""
    connection = http.client.HTTPSConnection(address, 6443, timeout=SECONDS, context=tls)
    try:
        connection.request("GET", "/api/v1/namespaces/kube-system")
        answer = connection.getresponse()
        body = answer.read()
        return "" if answer.status == 200 else f"{answer.status} {body[:80]!r}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__} {error}"
    finally:
        connection.close()


def main() -> int:
    """Read until it is told to stop, and print what was seen."""
    kubeconfig, stop, *addresses = sys.argv[1:]
    tls = context(kubeconfig)
    seen = []
    with ThreadPoolExecutor(len(addresses)) as pool:
        while not Path(stop).exists():
            began = time.monotonic()
            seen.append([time.strftime("%T"), *pool.map(read, addresses, [tls] * len(addresses))])
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    failed = {address: sum(bool(row[place]) for row in seen) for place, address in enumerate(addresses, 1)}
    without = [row for row in seen if all(row[1:])]
    alone = sum(sum(not text for text in row[1:]) < 2 for row in seen)
    # the reasons without repeating them: a server that is away says the same for many seconds
    why = sorted({text for row in seen for text in row[1:] if text})
    print(
        json.dumps(
            {
                "seconds": len(seen),
                "reads": len(seen) * len(addresses),
                "failed": failed,
                "without_quorum": len(without),
                "first_without_quorum": without[:3],
                "fewer_than_two_servers": alone,
                "reasons": why[:8],
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
