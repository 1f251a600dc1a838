"""Restart the MLflow processes behind Traefik one after the other, without losing a request.

For each process: take it out of the file of servers that Traefik watches (one atomic rename), wait until Traefik's API says
that it is gone, run its restart command (the old process ends what is under way: uvicorn does that on SIGTERM), wait until
the new one answers a call that reads the database, put it back, wait until Traefik says so. Example, for two units:

    mlflow_rolling_restart.py --servers-file /etc/traefik/dynamic/mlflow-servers.yml --service mlflow \\
      --api http://127.0.0.1:8081 --api-auth-file api.auth --ready-auth-file probe.auth \\
      --server http://127.0.0.1:5001 'systemctl restart mlflow@1' --server http://127.0.0.1:5002 'systemctl restart mlflow@2'

- The servers file holds JSON (Traefik reads it as YAML) and nothing but http.services.SERVICE.
- An auth file holds one line, USER:PASSWORD; so no secret is on a command line.
- Killed half-way, it leaves one process out and all others serving. Run again, it begins with the one that is out.
- A process that does not come back stays out, the others are left alone, and the exit code is 1.
- A single process cannot be drained: it is restarted in place, and clients see 502 or 503 for the seconds this takes.

Exit codes: 0 all restarted, 1 a step failed (the message says which), 2 wrong arguments, 3 another run is under way.
Needs the standard library only. stdout: one line per step, and at the end a JSON object.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

# How often Traefik and the new process are asked.
POLL_SECONDS = 0.1
# Traefik swaps its entry points' routers one by one, and the API's own may be the first: a request that is
# inside the old router for an instant more must still find the process alive.
SETTLE_SECONDS = 0.5


class StepError(Exception):
    """A step failed; the text says which, and what to do."""


def log(text: str) -> None:
    """Write a line of progress at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def get(url: str, auth_file: Path | None, timeout: float = 10) -> bytes:
    """Return the body of a GET that was answered 200. Raises OSError (urllib's errors are among them)."""
    request = urllib.request.Request(url)  # noqa: S310 - the addresses are the operator's
    if auth_file:
        token = base64.b64encode(auth_file.read_text(encoding="utf-8").rstrip("\r\n").encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    # Both are on this host: a proxy of the environment must not get them.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout) as response:
        return response.read()


def wait_for(what: str, probe: Callable[[], str | None], timeout: float) -> None:
    """Call probe until it returns None; else its last complaint is in the StepError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            complaint = probe()
        except (OSError, ValueError) as exc:
            complaint = f"{type(exc).__name__}: {exc}"
        if complaint is None:
            return
        if time.monotonic() > deadline:
            raise StepError(f"{what}: not within {timeout:.0f} s: {complaint}")
        time.sleep(POLL_SECONDS)


class Balancer:
    """Traefik's list of servers of one service: the file, and what Traefik has made of it."""

    def __init__(self, path: Path, service: str, api: str, auth_file: Path | None, timeout: float) -> None:
        self.path, self.service, self.api, self.auth_file, self.timeout = path, service, api.rstrip("/"), auth_file, timeout

    def _load(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return document, document["http"]["services"][self.service]["loadBalancer"]["servers"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise StepError(f"{self.path}: no JSON with http.services.{self.service}.loadBalancer.servers: {exc!r}") from None

    def urls(self) -> list[str]:
        """Return the URLs that the file lists. Raises StepError."""
        return [server["url"] for server in self._load()[1]]

    def set(self, url: str, listed: bool) -> None:
        """Add a server to the file or take it out, unless that is so already, and wait until Traefik has applied it. Raises StepError."""
        document, servers = self._load()
        if any(server["url"] == url for server in servers) != listed:
            servers[:] = [server for server in servers if server["url"] != url] + ([{"url": url}] if listed else [])
            if not servers:
                raise StepError(f"{self.path}: {url} is the only server that is left: put another one back first")
            servers.sort(key=lambda server: server["url"])
            self._replace(json.dumps(document, indent=2) + "\n")
        self.confirm(url, listed)

    def _replace(self, text: str) -> None:
        """Write the file in one step, with the owner and mode it had. The suffix keeps Traefik from reading the unfinished one."""
        status = self.path.stat()
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fchmod(handle, status.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(handle, status.st_uid, status.st_gid)
                os.fsync(handle)
            Path(temporary).replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def confirm(self, url: str, listed: bool) -> None:
        """Wait until Traefik itself serves with exactly the file's list (and, if listed, takes the server for up). Raises StepError."""
        want = sorted(self.urls())

        def probe() -> str | None:
            state = json.loads(get(f"{self.api}/api/http/services/{self.service}@file", self.auth_file))
            have = sorted(server["url"] for server in state["loadBalancer"].get("servers") or [])
            if have != want:
                return f"Traefik has {have}, the file {want} (does Traefik's log refuse the file?)"
            health = state.get("serverStatus", {}).get(url, "UP")
            return f"Traefik's health check says {health}" if listed and health != "UP" else None

        wait_for(f"Traefik {'takes up' if listed else 'lets go of'} {url}", probe, self.timeout)
        time.sleep(SETTLE_SECONDS)


def restart(url: str, command: list[str], arguments: argparse.Namespace) -> None:
    """Run a restart command and wait until the process behind url answers. Raises StepError."""
    log(f"{url}: {shlex.join(command)}")
    try:
        done = subprocess.run(  # noqa: S603 - the command is the operator's, and no shell reads it
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=arguments.restart_timeout,
            text=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise StepError(f"{url}: {exc}") from None
    if done.returncode:
        raise StepError(f"{url}: '{shlex.join(command)}' ended with {done.returncode}: {done.stdout.strip()}")

    def probe() -> str | None:
        try:
            get(url.rstrip("/") + arguments.ready_path, arguments.ready_auth_file)
        except urllib.error.HTTPError as exc:
            # a refused login was compared with the users' database too: the password may have been changed a moment ago
            return None if exc.code == 401 else f"HTTP {exc.code}"
        return None

    wait_for(f"{url}{arguments.ready_path} answers", probe, arguments.ready_timeout)


def roll(balancer: Balancer, commands: dict[str, list[str]], arguments: argparse.Namespace) -> None:
    """Restart every process. Those that an earlier run left out come first: until they are back, none other may go. Raises StepError."""
    listed = balancer.urls()
    if len({*commands, *listed}) == 1:
        url, command = next(iter(commands.items()))
        restart(url, command, arguments)
        balancer.set(url, listed=True)
        return
    for url, command in sorted(commands.items(), key=lambda item: item[0] in listed):
        log(f"{url}: drain" if url in listed else f"{url}: was out already")
        balancer.set(url, listed=False)
        restart(url, command, arguments)
        balancer.set(url, listed=True)
        log(f"{url}: back")


def main(argv: list[str] | None = None) -> int:
    """Run it all and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--service", default="mlflow", help="its name in the file (default: %(default)s)")
    parser.add_argument("--api", required=True, metavar="URL", help="Traefik's internal entry point")
    parser.add_argument("--api-auth-file", type=Path, metavar="FILE")
    parser.add_argument("--ready-path", default="/api/2.0/mlflow/experiments/search?max_results=1", help="(default: %(default)s)")
    parser.add_argument("--ready-auth-file", type=Path, metavar="FILE")
    parser.add_argument(
        "--server", nargs=2, action="append", required=True, metavar=("URL", "COMMAND"), help="as in the file; once per process"
    )
    parser.add_argument("--confirm-timeout", type=float, default=30, help="seconds for Traefik (default: %(default)s)")
    parser.add_argument("--restart-timeout", type=float, default=900, help="seconds for a restart command (default: %(default)s)")
    # a start takes a minute where a host has much else to do: measured with a load of 7 per processor
    parser.add_argument("--ready-timeout", type=float, default=240, help="seconds for the new process (default: %(default)s)")
    arguments = parser.parse_args(argv)
    commands = {url: shlex.split(command) for url, command in arguments.server}
    balancer = Balancer(arguments.servers_file, arguments.service, arguments.api, arguments.api_auth_file, arguments.confirm_timeout)
    started = time.monotonic()
    folder = os.open(arguments.servers_file.parent, os.O_RDONLY)  # the file itself is replaced, so its folder carries the lock
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        roll(balancer, commands, arguments)
    except BlockingIOError:
        print(f"another run holds {arguments.servers_file.parent}", file=sys.stderr)
        return 3
    except StepError as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        os.close(folder)
    print(json.dumps({"restarted": sorted(commands), "seconds": round(time.monotonic() - started, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
