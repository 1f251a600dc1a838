"""A PostgreSQL server for a recovery in a cluster's pod: it is in the other container, which has the server's image and no Python.

It gets the log by files in a directory that both containers have: files/fetch.sh asks, a thread here answers. What it archives itself it
puts beside them, and `keep_archived` takes it to the destination.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path

from mlops_backup import pod, tools, wal
from mlops_backup.private_server import PrivateServer
from mlops_backup.problems import BackupError

LOOK_SECONDS = 0.02


class PodRecovery(PrivateServer):
    """The same server, started by a request."""

    def __init__(self, settings, directory, port):
        super().__init__(settings, directory, port)
        self.request, self.place = None, settings.data / "run" / f"log-{port}"
        shutil.rmtree(self.place, ignore_errors=True)
        (self.place / "archived").mkdir(mode=0o700, parents=True)

    def fetches(self, manifest):
        """Return the restore_command with which it gets the log that follows a backup, and begin to answer it."""
        threading.Thread(target=self._answer, args=(manifest,), daemon=True).start()
        return f"/bin/sh {self.settings.data / 'etc' / 'fetch.sh'} {self.place} %f %p"

    def archives(self, _manifest):
        """Return the archive_command with which it keeps its own log until `keep_archived`."""
        folder = self.place / "archived"
        return f"cp %p {folder}/%f.new && mv {folder}/%f.new {folder}/%f"

    def login(self):
        """Write who may log in: whoever enters the socket's directory. The kernel does not know this user id by a name everywhere."""
        superuser = self.settings.postgresql["administrator"]
        (self.etc / "hba").write_text(f'local all "{superuser}" trust\n', encoding="utf-8")
        (self.etc / "ident").touch()

    def start(self, **options):
        """Start it with `options` of postgresql.conf."""
        self.configure(options)
        words = ["postgres", "-D", str(self.directory), "-c", f"config_file={self.etc / 'postgresql.conf'}"]
        self.request = pod.Request(self.settings, words)

    def runs(self):
        """Return whether its process is there. Raises BackupError where the other container is not."""
        return self.request.code() is None

    def log(self):
        """Return what it has said."""
        return self.request.words()

    def stop(self):
        """Stop it in order; what it wrote is on the disk then."""
        if self.request and self.runs():
            tools.run(self.settings, "pg_ctl", "stop", f"--pgdata={self.directory}", "--mode=fast", "--timeout=86400")
            self.request.wait()
        shutil.rmtree(self.etc, ignore_errors=True)

    def keep_archived(self, manifest, vault):
        """Take the log that it has written to the archive, after its end. Raises BackupError and OSError."""
        for path in sorted((self.place / "archived").iterdir(), key=lambda path: wal.comparable(path.name)):
            wal.keep(vault, wal.of(manifest), path.name, path.read_bytes())

    def _answer(self, manifest):
        """Bring what is asked for, one after the other as the server asks, as long as this process lives."""
        while True:
            time.sleep(LOOK_SECONDS)
            # where a disk is full nothing can be said either: the next look does it again, or fails as this one
            with contextlib.suppress(OSError):
                for asked in self.place.glob("*.asked"):
                    self._give(manifest, asked)

    def _give(self, manifest, asked):
        """Bring the file that `asked` is about to its place, and say how that ended. Raises OSError where that cannot be said."""
        name = asked.name.removesuffix(".asked")
        try:
            place = Path(asked.read_text(encoding="utf-8").rstrip("\n"))
            code = 0 if wal.fetch(self.settings, manifest["installation"], name, place, wal.of(manifest)) else 1
        except (BackupError, OSError) as error:
            (self.place / f"{name}.said").write_text(f"{error}\n", encoding="utf-8")
            code = wal.DAMAGED
        new = self.place / f"{name}.new"
        new.write_text(f"{code}\n", encoding="ascii")
        # the server may ask for the same file again as soon as it has the code
        asked.unlink()
        new.replace(self.place / f"{name}.code")
