"""The backups in a store: which are complete, what each holds, and which are too old.

A backup is complete when its manifest is there, which is written last and as a whole. Everything else below backups/ is what a killed
backup left, is never listed, and is removed by the next one.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import re

from mlops_backup.problems import BackupError

FORMAT = 1
NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?\Z")
SEGMENT = re.compile(r"(wal(?:/\d+)?)/[0-9A-F]{8}([0-9A-F]{16})\.gz\Z")
MANIFEST = re.compile(r"backups/([^/]+)/manifest\.json\Z")


def place(sha256, key):
    """Return the name of an object's content under `key` (None: not encrypted): with another key it is another file."""
    return f"objects/{sha256[:2]}/{sha256}" + (f".{key.id}" if key else "")


def moment(text):
    """Return the time of `text` (ISO 8601), in UTC where it names no zone. Raises BackupError."""
    try:
        found = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise BackupError(f"{text!r} is no time: write it as 2026-11-28T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


def signature(manifest, key):
    """Return what proves that a manifest was written with `key` (None: that it is whole)."""
    text = json.dumps({name: value for name, value in manifest.items() if name != "signature"}, sort_keys=True).encode()
    return hmac.new(key.secret, text, hashlib.sha256).hexdigest() if key else hashlib.sha256(text).hexdigest()


class Catalog:
    """The backups of one installation, in a vault."""

    def __init__(self, vault):
        self.vault = vault

    def names(self):
        """Return the names of the complete backups, oldest first."""
        return sorted(match[1] for name in self.vault.store.names("backups") if (match := MANIFEST.match(name)))

    def new_name(self):
        """Return a name for a new backup, made of the time: names sort by age."""
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        taken = {name.split("/")[1] for name in self.vault.store.names("backups")}
        return next(name for number in range(1000) if (name := f"{stamp}-{number}" if number else stamp) not in taken)

    def read(self, name):
        """Return the manifest of backup `name`. Raises BackupError when there is none, or it is not as it was written."""
        known = self.names()
        if name not in known:
            raise BackupError(f"there is no complete backup {name!r} in {self.vault.store.where}; there are: {', '.join(known) or 'none'}")
        place = f"backups/{name}/manifest.json"
        try:
            manifest = json.loads(b"".join(self.vault.store.blocks(place)))
            found, key_id, form = manifest["signature"], manifest["key_id"], manifest["format"]
        except (ValueError, KeyError, TypeError):
            raise BackupError(f"{place} in {self.vault.store.where} is truncated or damaged; take another backup") from None
        if form > FORMAT:
            raise BackupError(f"backup {name} has format {form}, which is newer than this collection's ({FORMAT}): update the collection")
        own = self.vault.key.id if self.vault.key else ""
        if key_id and key_id != own:
            raise BackupError(
                f"backup {name} is encrypted with the key {key_id}, and "
                + (f"backup_key is the key {own}: give the one that it was taken with" if own else "there is no key: give backup_key")
            )
        if not hmac.compare_digest(found, signature(manifest, self.vault.key if key_id else None)):
            raise BackupError(f"{place} in {self.vault.store.where} was changed since it was written")
        return manifest

    def write(self, name, manifest):
        """Make backup `name` a complete one. Raises OSError."""
        manifest["signature"] = signature(manifest, self.vault.key)
        with self.vault.store.incoming() as incoming:
            incoming.write((json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
            incoming.commit(f"backups/{name}/manifest.json")

    def latest(self):
        """Return the name of the newest complete backup. Raises BackupError where there is none."""
        names = self.names()
        if not names:
            raise BackupError(f"there is no complete backup in {self.vault.store.where}")
        return names[-1]

    def objects(self, name):
        """Yield the records of the object versions that belong to backup `name`. Raises BackupError."""
        manifest = self.read(name)
        record = manifest["files"]["objects.jsonl"]
        rest = b""
        for block in self.vault.blocks(f"backups/{name}/objects.jsonl", record=record):
            *lines, rest = (rest + block).split(b"\n")
            yield from map(json.loads, lines)

    def clean(self):
        """Remove what killed backups left. The lock must be held."""
        complete = {f"backups/{name}/" for name in self.names()}
        left = [name for name in self.vault.store.names("backups") if not any(map(name.startswith, complete))]
        self.vault.store.delete(left)
        self.vault.store.clean()
        return len(left)

    def expire(self, days):
        """Remove backups that are older than `days`, but never the newest; then what no backup needs. Returns the removed names."""
        border = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
        names = self.names()
        old = [name for name in names[:-1] if NAME.match(name) and moment(_iso(name)) < border]
        for name in old:
            # the manifest first: what is left of a removal that is killed is no backup
            self.vault.store.delete([f"backups/{name}/manifest.json"])
            self.vault.store.delete(list(self.vault.store.names(f"backups/{name}")))
        if old:
            self._sweep([name for name in names if name not in old], border.timestamp())
        return old

    def _sweep(self, kept, border):
        """Remove objects that no backup of `kept` names, the log from before the first of them, and other logs before `border`."""
        needed = {record["place"] for name in kept for record in self.objects(name) if record["sha256"]}
        self.vault.store.delete([name for name in self.vault.store.names("objects") if name not in needed])
        first = {}
        for database in (self.read(name)["database"] for name in kept):
            if segment := database.get("first_wal"):
                # the timeline is not compared: an older one's later segments lead to where the newer one began
                first.setdefault(database.get("log", "wal"), []).append(segment[8:])
        useless = []
        for name, (_size, written) in self.vault.store.names("wal").items():
            match = SEGMENT.match(name)
            if match and (match[2] < min(first[match[1]]) if match[1] in first else written < border):
                useless.append(name)
        self.vault.store.delete(useless)


def _iso(name):
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}Z"
