"""A PostgreSQL server for a rehearsal on a host: new and empty, made by the programs that the platform's is of."""

from __future__ import annotations

import shutil

from mlops_backup import tools
from mlops_backup.private_server import PrivateServer

# only names the socket
PORT = 2


class NewServer(PrivateServer):
    """As a context: it takes connections; it and its data are gone afterwards. `address`: where database.session() finds it."""

    def __init__(self, settings, directory):
        super().__init__(settings, directory, PORT)
        # the kernel says who connects
        self.address = {"host": self.run, "port": PORT, "password": False}

    def __enter__(self):
        """Return it when it takes connections. Raises BackupError with its last words when it ends instead."""
        shutil.rmtree(self.directory, ignore_errors=True)
        # who may log in is written by configure()
        login = ["--username", self.settings.postgresql["administrator"], "--auth-local", "peer", "--auth-host", "reject"]
        tools.run(self.settings, "initdb", "--pgdata", self.directory, *login, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        try:
            # nothing of it outlives the rehearsal
            self.start(fsync="off", full_page_writes="off")
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_unused):
        """End it, and remove what it made."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
