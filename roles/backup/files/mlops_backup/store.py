"""Where backups are kept, in a directory: names with slashes, whole files or none."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from pathlib import Path

from mlops_backup.problems import BackupError

BLOCK = 1024 * 1024
INCOMING = ".incoming"
STALE_SECONDS = 600


def fsync_directory(path):
    """Bring the names in the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Incoming:
    """A file on its way into a directory: it has no name until commit(), and leaves nothing when it is dropped."""

    def __init__(self, store):
        self.store = store
        folder = store.root / INCOMING
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, self.path = tempfile.mkstemp(dir=folder)
        self.file = os.fdopen(descriptor, "wb")

    def write(self, data):
        """Take `data`. Raises OSError."""
        self.file.write(data)

    def commit(self, name):
        """Give the file its name, once it is on the disk. Raises OSError."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        place = self.store.root / name
        self.store.make(place.parent)
        Path(self.path).replace(place)
        fsync_directory(place.parent)

    def drop(self):
        """Remove what was written. Does nothing after commit()."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(FileNotFoundError):
            Path(self.path).unlink()

    def __enter__(self):
        """Return the file."""
        return self

    def __exit__(self, *_unused):
        """Leave nothing, unless it was given a name."""
        self.drop()


class Directory:
    """A directory that holds the backups of one installation, below `top`, the destination."""

    def __init__(self, root, top=None):
        self.root = Path(root)
        self.top = Path(top or root)
        self.where = str(root)

    def unusable(self, path, error):
        """Return why `path` cannot be used, with the remedy where it is somebody else's: another host's disk has its user ids."""
        path = Path(error.filename or path)
        words = f"{path}: {error.strerror}"
        if not isinstance(error, PermissionError):
            return words
        for place in (path, *path.parents):
            # of what is in a folder that is closed to us, not even the owner can be asked for
            with contextlib.suppress(OSError):
                words += f" ({place} belongs to user id {place.stat().st_uid}, the backups' is {os.geteuid()})"
                break
        if self.top in (place, *place.parents):
            return f"{words}: chown -R {os.geteuid()} {self.top}"
        # what is closed above is not ours to take
        return f"{words}: let user id {os.geteuid()} through {place}"

    def below(self, name):
        """Return the store of the files whose names begin with `name`/."""
        return Directory(self.root / name, self.top)

    def folders(self):
        """Return the names of the folders at the top. Raises BackupError."""
        try:
            # a disk of its own has the directory of its repairs
            names = [entry.name for entry in self.root.iterdir() if entry.is_dir() and entry.name != "lost+found"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BackupError(self.unusable(self.root, error)) from None
        return sorted(name for name in names if not name.startswith("."))

    def prepare(self):
        """Make the directory, and see that it can be written. Raises BackupError."""
        try:
            self.make(self.root)
            incoming = Incoming(self)
            incoming.drop()
        except OSError as error:
            raise BackupError(f"mlops_backup_directory: cannot write to {self.unusable(self.root, error)}") from None

    def make(self, folder):
        """Make a directory and those above it, each on the disk before the next."""
        if folder.is_dir():
            return
        self.make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        fsync_directory(folder.parent)

    def clean(self):
        """Remove what a killed backup left on its way. The archive of the write-ahead log needs no lock: what is new may be its."""
        for path in (self.root / INCOMING).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()

    def incoming(self):
        """Return a new file on its way. Raises OSError."""
        return Incoming(self)

    def blocks(self, name):
        """Yield the content of `name`. Raises BackupError where it is not there or cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                while block := file.read(BLOCK):
                    yield block
        except OSError as error:
            raise BackupError(self.unusable(self.root / name, error)) from None

    def size(self, name):
        """Return the size of `name`, or None where it is not there. Raises BackupError."""
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BackupError(self.unusable(self.root / name, error)) from None

    def names(self, prefix):
        """Return {name: (size, time)} of all files below the folder `prefix`. Raises BackupError: what cannot be read is not empty."""
        found = {}

        def unread(error):
            if not isinstance(error, FileNotFoundError):
                raise BackupError(self.unusable(Path(error.filename), error))

        for folder, _folders, files in os.walk(self.root / prefix, onerror=unread):
            for name in files:
                path = Path(folder, name)
                try:
                    status = path.stat()
                except OSError as error:
                    unread(error)
                else:
                    found[str(path.relative_to(self.root))] = (status.st_size, status.st_mtime)
        return found

    def delete(self, names):
        """Remove files, and the folders that they leave empty."""
        for name in names:
            path = self.root / name
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def explain(error, store):
    """Return an OSError of `store` in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{store.where} is full ({error.strerror}): make room there, or lower backup_retention_days. Complete backups stay"
    if isinstance(error, PermissionError) and isinstance(store, Directory):
        return store.unusable(store.root, error)
    return f"{store.where}: {error}"
