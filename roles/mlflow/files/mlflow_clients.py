"""MLflow's application for uvicorn, with a note of which versions of MLflow's client it answers.

    uvicorn --app-dir DIRECTORY --factory mlflow_clients:create_app          in the directory that shall have clients.json
    uvicorn --app-dir DIRECTORY --factory mlflow_clients:create_app_in_pod   a pod has no such directory: its log has them

Nothing else knows them: MLflow keeps no list, its access log has no User-Agent, and the one of an entry point is as long as the traffic,
so that a busy client would soon push a rare one out. Here it is {version: when it was last answered} and nothing else of a request: no
address, no user, no path. A version counts once MLflow has let its login in, so that nobody without one has a word in it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

NOTES = "clients.json"
# Seconds in which a version is noted once: the file is written that seldom, and all other requests pass as they come.
EVERY = 600
# The same for a log, which grows with each of them and is kept for a while only.
EVERY_IN_LOG = 3600
# versions in the file: who logs in can say any, and the oldest makes room
MOST = 100
AGENT = re.compile(rb"(?:^|\s)mlflow-python-client/(\d{1,4}(?:\.\d{1,6}){1,3}[0-9A-Za-z.+-]{0,24})(?:\s|$)")
# Where clients ask, and how; everything else may be answered without a login, as a browser's OPTIONS, /health and /static-files are.
PLACE = "/api/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# the one below it that is open: a client reads it before it logs in
OPEN = "/server-info"


def read(path: Path) -> dict[str, float]:
    """Return what is noted; nothing where there is no file, or one that is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {version: when for version, when in found.items() if isinstance(when, (int, float)) and not isinstance(when, bool)}


def write(path: Path, notes: dict[str, float]) -> None:
    """Replace the notes as a whole. Raises OSError."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(notes, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105 - on the way of a request


class File:
    """Notes in a file."""

    every = EVERY

    def __init__(self, path: Path):
        """Note in the file `path`."""
        self.path = path

    def add(self, version: str, moment: float) -> None:
        """Note a version. Raises OSError."""
        # the file is what counts, so that one that was deleted stays forgotten
        notes = {**read(self.path), version: int(moment)}
        write(self.path, dict(sorted(notes.items(), key=lambda one: one[1])[-MOST:]))


class Log:
    """Notes in the process's own log: plugins/module_utils/clients_seen.py reads the lines."""

    every = EVERY_IN_LOG

    def add(self, version: str, moment: float) -> None:
        """Note a version. Raises OSError."""
        # one write, so that no other thread's line gets into it
        sys.stdout.write(f"mlops-client {version} {int(moment)}\n")
        sys.stdout.flush()


class Clients:
    """An ASGI application around another one."""

    def __init__(self, application, notes: File | Log, clock=time.time):
        """Note in `notes` who is answered by `application`."""
        self.application, self.notes, self.clock = application, notes, clock
        self.noted: dict[bytes, float] = {}

    async def __call__(self, scope, receive, send):
        """Hand a request on, and look at its answer where that may be worth a note."""
        version = self.due(scope)
        if version is None:
            await self.application(scope, receive, send)
            return

        async def look(message):
            # 404: what a server that is too old says to a client
            if message["type"] == "http.response.start" and (200 <= message["status"] < 300 or message["status"] == 404):
                self.note(version)
            await send(message)

        await self.application(scope, receive, look)

    def due(self, scope) -> bytes | None:
        """Return the version of the client that asks, None where it is none of MLflow's or was noted a moment ago."""
        if scope["type"] != "http" or scope["method"] not in METHODS:
            return None
        path = scope["path"]
        if not path.startswith(PLACE) or path.rstrip("/").endswith(OPEN):
            return None
        for name, value in scope["headers"]:
            if name == b"user-agent":
                match = AGENT.search(value[:200])
                if match and self.clock() - self.noted.get(match[1], 0) >= self.notes.every:
                    return match[1]
        return None

    def note(self, version: bytes) -> None:
        """Note a version. A disk that is full is no reason to answer nobody."""
        moment = self.clock()
        self.noted[version] = moment
        if len(self.noted) > MOST:
            del self.noted[min(self.noted, key=self.noted.get)]
        try:
            self.notes.add(version.decode(), moment)
        except OSError:
            return


def around(notes: File | Log) -> Clients:
    """Return MLflow's application, noting its clients in `notes`."""
    # what `mlflow server --app-name basic-auth` starts
    from mlflow.server.auth import create_app as create

    return Clients(create(), notes)


def create_app():
    """Return MLflow's application, noting its clients in the directory that the process was started in."""
    return around(File(Path.cwd() / NOTES))


def create_app_in_pod():
    """Return MLflow's application, noting its clients in its log."""
    return around(Log())
