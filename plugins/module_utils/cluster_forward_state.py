# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where running forwards are noted, so that they are found again, used again and ended."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import stat
import tempfile
import time

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError

STOP = 5  # seconds that a forward may take to end


def private_directory():
    """Return a directory that is this user's alone. Raises ClusterError where somebody else has put something in its place."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if not base or not os.access(base, os.W_OK):
        base = tempfile.gettempdir()
    path = os.path.join(base, f"mlops-port-forward-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ClusterError(f"{path} is not a directory of this user alone", "remove it, or have its owner remove it")
    return path


def identity(parts):
    """Return a name for what `parts` (anything that JSON can hold) describe."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class State:
    """The notes about one forward. A lock that its process holds as long as it lives tells whether it does: no number can be mistaken."""

    def __init__(self, name):
        self.base = os.path.join(private_directory(), name)
        self.scratch = f"{self.base}.d"  # for what the client library writes
        self.log_path = f"{self.base}.log"
        self._held = None

    @contextlib.contextmanager
    def alone(self):
        """Keep others from starting or ending the same forward meanwhile."""
        descriptor = os.open(f"{self.base}.start", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def hold(self):
        """Take the lock that says that this process is the forward; return whether nobody else has it."""
        descriptor = os.open(f"{self.base}.alive", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._held = descriptor
        return True

    def release(self):
        """Give the lock back."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def running(self):
        """Return the notes of the forward that runs, None where none does."""
        if self.hold():
            self.release()
            return None
        try:
            with open(f"{self.base}.json", encoding="utf-8") as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return None

    def note(self, values):
        """Write the notes, whole or not at all."""
        temporary = f"{self.base}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(values, stream)
        os.rename(temporary, f"{self.base}.json")

    def log(self, line):
        """Write a line where the module, or a person, can find it."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")

    def stop(self):
        """End the forward that runs, if one does; return whether there was one."""
        notes = self.running()
        if not notes:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(notes["pid"], number)
            until = time.monotonic() + STOP
            while time.monotonic() < until:
                if not self.running():
                    self.clean()
                    return True
                time.sleep(0.05)
        raise ClusterError(f"the process {notes['pid']} does not end", "look at what keeps it")

    def clean(self):
        """Remove what a forward has left; the locks stay, as another process may be about to take them."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for ending in ("json", "log"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.base}.{ending}")
