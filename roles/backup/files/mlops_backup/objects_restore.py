"""Brings a bucket to what a backup says of it: what is missing is written again, what came too late is covered, nothing is lost.

The versions themselves are written by the code that copies buckets between servers: the backup stands in for the source's server.
"""

from __future__ import annotations

import functools
import threading
import time

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import each
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import Entry, history, missing
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import Changed, Transfer

from mlops_backup.catalog import moment
from mlops_backup.objects import digest
from mlops_backup.objects_kept import Kept
from mlops_backup.problems import BackupError

# Seconds until what could not be read is read once more: a store that was away, or is on its way up, has lost nothing. They are two
# minutes in all, in which a cluster has started a pod anew.
PAUSES = (5, 15, 40, 60)


def newer(catalog, name, target):
    """Return how many versions the bucket `target` (connection, name) has, and the backup `name` has not. Raises BackupError."""
    copied = {(record["key"], record["version"]) for record in catalog.objects(name)}
    return sum((entry.key, entry.version) not in copied for entries in listed(target).values() for entry in entries)


def listed(target):
    """Return all versions of the bucket `target` (connection, name), by key. Raises BackupError."""
    try:
        return history(*target)
    except S3Error as error:
        raise BackupError(f"the object store: {error}") from None


class Restore:
    """The restore of one bucket."""

    def __init__(self, vault, records, target, workers, taken, until):
        """Restore `records`, of a backup `taken` at a time, to `target`. `until`: the time whose content readers get, None for now's."""
        self.vault, self.target, self.workers, self.lock = vault, target, workers, threading.Lock()
        self.taken, self.until = taken, until
        self.records = {(record["key"], record["version"]): record for record in records}
        self.wanted = {}
        for record in records:
            entry = Entry(record["key"], record["size"], record["etag"], record["version"], record["latest"])
            self.wanted.setdefault(record["key"], []).append(entry)
        self.transfer = Transfer((Kept(vault, self.records), target[1]), target)
        # for what the server has, and no backup
        self.again = Transfer(target, target)
        self.there = history(*target)
        # SHA-256 by key and version of what the server holds
        self.found = {}
        self.counts = {"keys": len(self.wanted), "checked": 0, "checked_bytes": 0, "written": 0, "written_bytes": 0, "unreadable": 0}

    def run(self):
        """Restore every key. Raises BackupError when one could not be, and S3Error where the server does not answer any more."""
        self._patiently(self.one, self.wanted)
        if self.until:
            self._patiently(self.later, self.there.keys() - self.wanted.keys())
        return self.counts

    def _patiently(self, work, keys):
        """Do `work` for all `keys`, and again for those for which it says that it is not done, `sure` at the last time."""
        doubtful, pauses = self._each(work, sorted(keys)), list(PAUSES)
        while doubtful:
            self.reach()
            time.sleep(pauses.pop(0))
            doubtful = self._each(functools.partial(work, sure=not pauses), doubtful)

    def _each(self, work, keys):
        """Do `work` for all `keys`; return those for which it says that it is not done. Raises BackupError when one could not be."""
        doubtful, problems = [], []
        for key, done, problem in each(work, keys, self.workers):
            if problem:
                problems.append(f"{key!r}: {problem}")
            elif not done:
                doubtful.append(key)
        if problems:
            self.reach()
            raise BackupError(f"{len(problems)} object(s) could not be restored, the first: {'; '.join(problems[:3])}")
        return sorted(doubtful)

    def reach(self):
        """See that the server answers. Raises S3Error."""
        connection, bucket = self.target
        connection.call(f"reach bucket {bucket}", "head_bucket", Bucket=bucket)

    def one(self, key, sure=False):
        """Bring one key to what is wanted; return whether it is. Raises S3Error and Changed.

        What cannot be read would be removed for good, so nothing is done then unless it is `sure`, or the backup has all that is there.
        """
        wanted, there = self.wanted[key], self.there.get(key, [])
        broken = [entry for entry in there if entry.size is not None and not self.readable(entry)]
        if broken and not sure and not all(map(self.kept, there)):
            return False
        if broken:
            # Names without content go. Nothing can be put between versions: where the backup has all the others too, the history is written
            # anew; where somebody has written since, that stays.
            known = {self.records[entry.key, entry.version]["sha256"] for entry in wanted}
            later = [entry for entry in there if entry not in broken and entry.size is not None and self.sha256(entry) not in known]
            gone = broken if later else there
            for entry in gone:
                self.drop(entry)
            self.count(unreadable=len(broken))
            there = [entry for entry in there if entry not in gone]
        count, _older = missing(wanted, there, self.proof)
        if count is None:
            # somebody has written since
            count = 0
            if self.until and (then := self.within(there)):
                self.cover(then, there[-1])
            elif self.until and not self.alike(wanted[-1], there[-1]):
                count = 1
        for entry in wanted[len(wanted) - count :]:
            self.write(entry)
        return True

    def later(self, key, sure=False):
        """Bring back of one key that is in no backup what readers got at `until`; return whether that is done. Raises S3Error and Changed.

        What came to be later stays: no row of that time names it.
        """
        there = self.there[key]
        then = self.within(there)
        if then is None or then is there[-1]:
            return True
        if not all(entry.size is None or self.readable(entry) for entry in (then, there[-1])):
            # nothing else has it: it stays as it is, and the audit says what lacks it
            self.count(unreadable=sure)
            return sure
        self.cover(then, there[-1])
        return True

    def within(self, there):
        """Return the newest of `there` that came after the backup and not after `until`, or None: the backup has what readers got then."""
        return next((entry for entry in reversed(there) if self.taken < entry.time <= self.until), None)

    def cover(self, then, last):
        """See that readers get `then` and not `last`, which both are on the server. Raises S3Error and Changed."""
        if then.size is None and last.size is not None:
            self.again.remove(then.key)
        elif then.size is not None and (last.size is None or self.sha256(then) != self.sha256(last)):
            self.copy(self.again, then, self.sha256(then))

    def kept(self, entry):
        """Return whether the backup has a version of the server, or nothing is in it."""
        record = self.records.get((entry.key, entry.version))
        return entry.size is None or (record is not None and record["etag"] == entry.etag)

    def readable(self, entry):
        """Return whether the server still has the content, and the right one where the backup knows it."""
        found = self.sha256(entry)
        if found is None:
            try:
                found = digest(self.target, entry)
            except (S3Error, Changed):
                return False
            self.count(checked=1, checked_bytes=entry.size)
            with self.lock:
                self.found[entry.key, entry.version] = found
        return not self.kept(entry) or self.records[entry.key, entry.version]["sha256"] == found

    def proof(self, one, other):
        """Return whether `one` of the backup and `other` of the server hold the same, where their ETags do not tell."""
        return self.records[one.key, one.version]["sha256"] == self.sha256(other)

    def sha256(self, entry):
        """Return the checksum of what the server holds of `entry`, as it was read."""
        return self.found.get((entry.key, entry.version))

    def alike(self, one, other):
        """Return whether readers get the same of both."""
        if one.size is None or other.size is None:
            return one.size == other.size
        return self.proof(one, other)

    def write(self, entry):
        """Write one version, or a delete marker. Raises S3Error."""
        if entry.size is None:
            self.transfer.remove(entry.key)
            return
        self.copy(self.transfer, entry, self.records[entry.key, entry.version]["sha256"])

    def copy(self, transfer, entry, wanted):
        """Write the content of one version, whose SHA-256 is `wanted`. Raises S3Error and Changed."""
        _version, found = transfer.copy(entry)
        if found != wanted:
            raise S3Error(f"what was written has SHA-256 {found} instead of {wanted}")
        self.count(written=1, written_bytes=entry.size)

    def drop(self, entry):
        """Remove one version for good. Raises S3Error."""
        connection, bucket = self.target
        connection.call(f"remove {entry.key!r}", "delete_object", Bucket=bucket, Key=entry.key, VersionId=entry.version)

    def count(self, **counts):
        """Add to the counts."""
        with self.lock:
            for name, count in counts.items():
                self.counts[name] += count


def run(catalog, name, target, workers, when=""):
    """Restore the objects of backup `name`; return counts. Raises BackupError.

    `when`: what readers get in the end of a key that was written or deleted since the backup: "" what they get now, "backup" what the
    backup has, and what they got at a time (ISO 8601) after the backup.
    """
    taken = moment(catalog.read(name)["point"]["time"])
    until = moment(when) if when not in ("", "backup") else taken if when else None
    try:
        restore = Restore(catalog.vault, list(catalog.objects(name)), target, workers, taken, until)
        counts = restore.run()
    except S3Error as error:
        raise BackupError(f"the object store: {error}") from None
    return {**counts, "changed": counts["written"] > 0}
