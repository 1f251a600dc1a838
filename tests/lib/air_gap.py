"""A network without a way out, and the mirror that stands for the internet where a bundle is made."""

from __future__ import annotations

import http.server
import os
import secrets
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
# makes releases of the stand-in for K3s
MIRROR = Path(os.environ.get("MLOPS_TEST_MIRROR", SHARED / "kube" / "mirror"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and counts what was asked for."""

    def log_message(self, *arguments):
        self.server.requests.append(self.path)


@contextmanager
def served(directory):
    """Serve a directory on loopback; gives the server, with `url` and `requests`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        server.requests, server.url = [], f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def make_internet(directory, version):
    """Put what GitHub would give into a directory: the stand-in's release of K3s, and the real manifests."""
    subprocess.run([MIRROR, "make", directory, version], check=True, capture_output=True, timeout=300)
    for host in ("github.com/cloudnative-pg", "raw.githubusercontent.com"):
        shutil.copytree(SHARED / "mirror" / host, Path(directory, host))


class Gap:
    """A network namespace of its own with a loopback interface and nothing else."""

    def __init__(self, name):
        self.name = name

    def inside(self, *command):
        """Return the command as it runs in there."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, timeout=1800, **environment):
        """Run a command in there, with none of this machine's settings of pip; return it finished, its output as one text."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "ANSIBLE_", "MLOPS_", "PYTHON"))}
        return subprocess.run(
            self.inside(*command),
            env={**kept, "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )


@contextmanager
def gap():
    """Give a Gap, and remove it with everything that still runs in it."""
    name = f"mlops-test-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield Gap(name)
    finally:
        left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout.split()
        for pid in left:
            subprocess.run(["kill", "-9", pid], check=False)
        subprocess.run(["ip", "netns", "delete", name], check=True)
        assert left == [], f"processes that were left in the namespace: {left}"
