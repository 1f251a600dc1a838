# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was copied and compared, in a file of JSON lines that outlives a run which is killed."""

from __future__ import annotations

import json
import os
import threading
import time


class State:
    """The record of one pair of buckets.

    Every line is about one version: its key, its id and ETag at the source, its id at the target, the SHA-256 of the content, and whether
    what the target holds was read again and compared. Without a file it is kept in memory alone.
    """

    def __init__(self, path, pair, write=True):
        """Read the file `path` (or None); `pair` names the two buckets. Raises OSError, and ValueError for a file of another pair."""
        self.path, self.lock, self.records, self.keys, self.file = path, threading.Lock(), {}, set(), None
        begun = bool(path) and os.path.exists(path) and os.path.getsize(path) > 0
        whole = self._read(pair) if begun else True
        if path and write:
            self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
            os.fchmod(self.file.fileno(), 0o600)
            if not whole:
                self.file.write("\n")
            if not begun:
                self._write({"pair": pair})

    def _read(self, pair):
        with open(self.path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for number, line in enumerate(lines):
            try:
                found = json.loads(line)
            except ValueError:  # the half line of a run that was killed: its version is looked at again
                continue
            if number == 0 and found.get("pair") != pair:
                raise ValueError(f"{self.path} is the record of {found.get('pair')}, not of {pair}: give another file")
            if "key" in found:
                self.records[found["key"], found["source"], found["etag"]] = found
                self.keys.add(found["key"])
        return lines[-1] == ""

    def _write(self, record):
        self.file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self.file.flush()

    def note(self, entry, target, sha256, verified):
        """Remember that `entry` of the source is version `target` of the target."""
        record = {"key": entry.key, "source": entry.version, "etag": entry.etag, "target": target, "sha256": sha256, "verified": verified}
        with self.lock:
            self.records[entry.key, entry.version, entry.etag] = record
            self.keys.add(entry.key)
            if self.file:
                self._write(record)

    def of(self, entry):
        """Return what is known of `entry` of the source, or an empty dict."""
        return self.records.get((entry.key, entry.version, entry.etag), {})

    def knows(self, key):
        """Return whether anything of `key` was copied here."""
        return key in self.keys

    def close(self):
        """Write everything to the disk."""
        if self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()


class Progress:
    """A file with one line of JSON that says how far the work is, for whoever waits."""

    EVERY = 5  # seconds

    def __init__(self, path):
        self.path, self.lock, self.began, self.told = path, threading.Lock(), time.monotonic(), 0.0
        self.done = {"keys": 0, "versions": 0, "delete_markers": 0, "bytes": 0}
        self.all = dict(self.done)

    def add(self, **counts):
        """Count what was done, and write the file where its time has come."""
        with self.lock:
            for name, count in counts.items():
                self.done[name] += count
            now = time.monotonic()
            if self.path and now - self.told >= self.EVERY:
                self.told = now
                self._write(now)

    def _write(self, now):
        seconds = max(now - self.began, 0.001)
        line = {"done": self.done, "of": self.all, "seconds": round(seconds), "bytes_per_second": int(self.done["bytes"] / seconds)}
        with open(f"{self.path}.new", "w", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        os.replace(f"{self.path}.new", self.path)

    def end(self):
        """Write the file for the last time."""
        if self.path:
            with self.lock:
                self._write(time.monotonic())
