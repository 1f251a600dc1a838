"""The archive of PostgreSQL's write-ahead log: archive_command, restore_command, and what the archive reaches."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from pathlib import Path

from mlops_backup.problems import BackupError

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\.gz\Z")
# initdb's own size, 16 MiB: so many segments have one number in the middle of their names
SEGMENTS = 256
# where a host's backups have the log
HOST = "wal"
# What ends a recovery at once. Any other failure means to PostgreSQL that the archive ends here, and it would go on without the rest.
DAMAGED = 200


def installation(directory):
    """Return the system identifier of the database cluster in `directory`, or None: the first eight bytes of its control file."""
    try:
        head = (Path(directory) / "global" / "pg_control").read_bytes()[:8]
    except OSError:
        return None
    return str(int.from_bytes(head, sys.byteorder)) if len(head) == 8 else None


def own(settings):
    """Return the number of this installation, also when its data are lost; None where it never had a backup.

    It is the system identifier of the database cluster. In a cluster, where that cannot be read when it is
    lost, it is the one that the namespace keeps.
    """
    if settings.installation:
        return settings.installation
    found = installation(settings.postgresql["data"])
    with contextlib.suppress(OSError):
        found = found or (settings.data / "backup" / "installation").read_text(encoding="ascii").strip()
    return found


def folder(settings, system):
    """Return where the log of the database cluster with the identifier `system` is kept.

    A host's backups have that number themselves. In a cluster their number outlives the database, and each has a log of its own.
    """
    return f"{HOST}/{system}" if settings.pod else HOST


def of(manifest):
    """Return where the log is that follows a backup."""
    return manifest["database"].get("log", HOST)


def archive(settings, path, name):
    """Archive one file, as archive_command: `path` is relative to the cluster's directory, where the server runs this."""
    keep(settings.vault(installation(".")), HOST, name, Path(path).read_bytes())


def keep(vault, log, name, content):
    """Put one file into the folder `log` of the archive. Raises BackupError where it is there with another content, and OSError."""
    place = f"{log}/{name}.gz"
    if vault.store.size(place) is not None:
        # a server that was killed asks again for what is there. Anything else would be the log of another life of this cluster
        if hashlib.sha256(vault.read(place)).digest() == hashlib.sha256(content).digest():
            return
        raise BackupError(f"{place} is in {vault.store.where} with another content: another server archives to the same place")
    vault.put(place, [content])


def fetch(settings, identifier, name, path, log=HOST):
    """Bring one file back, as restore_command. Returns whether it is there. Raises BackupError when it is damaged."""
    vault = settings.vault(identifier)
    place = f"{log}/{name}.gz"
    if vault.store.size(place) is None:
        return False
    Path(path).write_bytes(vault.read(place))
    return True


def number(name):
    """Return the number of a segment, by its name without the timeline."""
    return int(name[8:16], 16) * SEGMENTS + int(name[16:24], 16)


def comparable(name):
    """Return what orders segments of one life of a cluster: a history file, which begins a timeline, comes before its segments."""
    return (name[:8], name[8:24])


def reach(store, first, log=HOST):
    """Return (time of the last segment that follows `first` in the archive without a gap, names of those that are missing then).

    A recovery ends at a gap: nothing that comes later can be restored.
    """
    found = {}
    for name, (_size, moment) in store.names(log).items():
        if match := SEGMENT.match(name.rpartition("/")[2]):
            found.setdefault(number("".join(match.groups())), {})[match[1]] = moment
    one, timeline, last = number(first), first[:8], None
    # As a recovery to the latest timeline goes: from where a newer one began, the older one's segments are of a life that was given up.
    while newer := [known for known in found.get(one, {}) if known >= timeline]:
        timeline = max(newer)
        last = found[one][timeline]
        one += 1
    beyond = [later for later, known in found.items() if later > one and max(known) >= timeline]
    missing = range(one, min(beyond)) if beyond else ()
    return last, [f"{lost // SEGMENTS:08X}{lost % SEGMENTS:08X}" for lost in missing]
