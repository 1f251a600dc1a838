"""A PostgreSQL server for a rehearsal, in this pod's other container: of the image, and of the version, that the platform's is of."""

from __future__ import annotations

import contextlib
import shutil
import time

from mlops_backup import database, pod, tools
from mlops_backup.problems import BackupError

# on the pod's own loopback, beside nothing
PORT = 15432
WAIT_SECONDS = 300
# The official image's entrypoint also lends a name to a user id that has none; CloudNativePG's image has no entrypoint.
BEGIN = (
    'if command -v docker-entrypoint.sh >/dev/null; then exec docker-entrypoint.sh "$0" "$@"; fi;'
    ' initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS && exec "$0" -k /tmp "$@"'
)


class PodServer:
    """A new, empty server with its data in `directory`; it and its data are gone afterwards. `address`: where it listens."""

    address = {"host": "127.0.0.1", "port": PORT}  # noqa: RUF012 - nobody changes it

    def __init__(self, settings, directory):
        self.settings, self.directory = settings, directory

    def __enter__(self):
        """Return it when it takes connections. Raises BackupError with its last words when it ends instead."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(mode=0o700, parents=True)
        login = self.settings.postgresql
        given = {
            "PGDATA": self.directory / "data",
            "POSTGRES_USER": login["administrator"],
            # the platform's own, which this program knows; nothing reaches the server but this pod
            "POSTGRES_PASSWORD_FILE": login["password_file"],
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C.UTF-8 --auth-local=scram-sha-256 --auth-host=scram-sha-256",
        }
        options = {"listen_addresses": "127.0.0.1", "port": PORT, "fsync": "off", "shared_buffers": "64MB"}
        words = [*(f"{name}={value}" for name, value in given.items()), "sh", "-c", BEGIN, "postgres"]
        for name, value in options.items():
            words += ["-c", f"{name}={value}"]
        self.request = pod.Request(self.settings, ["env", *words])
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        deadline = time.monotonic() + WAIT_SECONDS
        while self.request.code() is None and time.monotonic() < deadline:
            with contextlib.suppress(BackupError), database.session(self.settings, **self.address):
                return
            time.sleep(0.3)
        words = " / ".join(self.request.words().splitlines()[-4:])
        raise BackupError(f"the drill's PostgreSQL does not start: {words or 'without a word'}")

    def __exit__(self, *_unused):
        """End it: nothing of it is needed."""
        if self.request.code() is None:
            with contextlib.suppress(BackupError):
                tools.run(self.settings, "pg_ctl", "stop", f"--pgdata={self.directory / 'data'}", "--mode=immediate")
        shutil.rmtree(self.directory, ignore_errors=True)
