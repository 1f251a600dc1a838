"""In a cluster's pod: PostgreSQL's own tools are in another container of it, and do what files in a shared directory ask for.

The program's container has Python and no PostgreSQL, the other one has the server's image and no Python. Neither image has to be made for
this. files/tools.sh is the other side. Each request is a directory: `arguments` has one word a line, `ready` says that it is whole, `said`
and `code` are what came of it. Nothing secret is in them: the other container has the password from where this one has it.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

from mlops_backup.problems import BackupError

BEAT_SECONDS = 5
# without a beat for so long, the other container is gone; it is the same there
SILENCE_SECONDS = 120
LOOK_SECONDS = 0.1
# a NetworkPolicy may reach a new pod some seconds after its start
REACH_SECONDS = 60


def begin(settings):
    """Say as long as this process lives that it does, so that the other container ends when it is killed."""
    settings.tools.mkdir(mode=0o700, exist_ok=True)
    for name in ("backup", "run"):
        (settings.data / name).mkdir(mode=0o700, exist_ok=True)

    def beat():
        while True:
            (settings.tools / "alive").touch()
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=beat, daemon=True).start()


def reach(settings):
    """Return once the database can be reached, or after a while in any case: whoever asks it says what is wrong."""
    deadline = time.monotonic() + REACH_SECONDS
    while time.monotonic() < deadline and not reached(settings):
        time.sleep(1)


def reached(settings):
    """Return whether a database server listens."""
    with contextlib.suppress(OSError), socket.create_connection((settings.postgresql["host"], settings.postgresql["port"]), 5):
        return True
    return False


class Request:
    """One command in the other container."""

    def __init__(self, settings, words):
        if any("\n" in word for word in words):
            raise BackupError("a word of a command has a line's end in it")
        self.tools, self.since = settings.tools, time.time()
        self.folder = Path(tempfile.mkdtemp(dir=settings.tools))
        (self.folder / "arguments").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        (self.folder / "ready").touch()

    def code(self):
        """Return its exit code, None while it runs. Raises BackupError where nobody does what is asked for."""
        path = self.folder / "code"
        if path.exists():
            return int(path.read_text(encoding="ascii"))
        try:
            beat = (self.tools / "serving").stat().st_mtime
        except FileNotFoundError:
            # its image may still be on its way
            return None
        if time.time() - max(beat, self.since) > SILENCE_SECONDS:
            raise BackupError(
                "the container database-tools has ended, perhaps for want of memory (backup_resources): its log and"
                " `kubectl describe` of this pod say why"
            )
        return None

    def words(self):
        """Return what it said."""
        path = self.folder / "said"
        return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""

    def wait(self):
        """Return (exit code, what it said) at its end. Raises BackupError."""
        while (code := self.code()) is None:
            time.sleep(LOOK_SECONDS)
        said = self.words()
        shutil.rmtree(self.folder, ignore_errors=True)
        return code, said
