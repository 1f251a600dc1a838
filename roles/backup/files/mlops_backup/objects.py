"""The object store's part of a recovery point: every version and delete marker of the bucket, each content once.

A content is kept under its SHA-256, so that a version that an earlier backup has is not copied again, and two artifacts with the same
content take the room of one.
"""

from __future__ import annotations

import json
import threading

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import each
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import history
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import Transfer, read

from mlops_backup.catalog import place
from mlops_backup.measure import Measure
from mlops_backup.problems import BackupError

# what an object's content is encrypted with as context: its name is its checksum, which is known only in the end
CONTEXT = "object"


class Copy:
    """Copies what is new in a bucket into a vault. `records` is what the bucket holds, `counts` what was copied."""

    def __init__(self, vault, source, known, workers):
        self.vault, self.source, self.workers = vault, source, workers
        # {(key, version, etag): record} of an earlier backup
        self.known, self.lock = known, threading.Lock()
        # a file that is not as long as it was written is as good as none: it is copied again
        self.there = {name: size for name, (size, _moment) in vault.store.names("objects").items()}
        self.counts = {"versions": 0, "bytes": 0, "new_versions": 0, "new_bytes": 0}
        # it knows how to read an object's headers and tags, and in which parts it was written; it writes nothing here
        self.reader = Transfer(source, source)

    def run(self):
        """Copy everything. Raises BackupError when something could not be read or kept."""
        try:
            found = history(*self.source)
        except S3Error as error:
            raise self.away(error) from None
        entries = [entry for key in sorted(found) for entry in found[key]]
        records, problems = {}, []
        for entry, record, problem in each(self.one, entries, self.workers):
            if problem:
                problems.append(f"{entry.key!r}: {problem}")
            else:
                records[entry] = record
        if problems or len(records) != len(entries):
            # one answer for all of them, where it is the server that is away
            try:
                self.source[0].call(f"reach bucket {self.source[1]}", "head_bucket", Bucket=self.source[1])
            except S3Error as error:
                raise self.away(error) from None
            raise BackupError(
                f"{len(problems)} object version(s) cannot be copied, the first: {'; '.join(problems[:3])}. Earlier backups stay;"
                " what was copied is not copied again"
            )
        return [records[entry] for entry in entries]

    def away(self, error):
        """Return the BackupError for a server that does not answer with what is needed."""
        return BackupError(
            f"the object store: {error}. Earlier backups stay, and what was copied is not copied again: run it again when make status says"
            " that the object store runs"
        )

    def one(self, entry):
        """Return the record of one version or delete marker, and see that its content is in the vault."""
        if entry.size is None:
            return {"key": entry.key, "version": entry.version, "size": None, "etag": "", "sha256": "", "latest": entry.latest}
        record = self.known.get((entry.key, entry.version, entry.etag))
        if (
            record is None
            or self.there.get(record["place"]) != record["stored_size"]
            or record["place"] != place(record["sha256"], self.vault.key)
        ):
            record = self.copy(entry)
            self.count(new_versions=1, new_bytes=entry.size)
        self.count(versions=1, bytes=entry.size)
        return {**record, "latest": entry.latest}

    def copy(self, entry):
        """Copy one version. Raises S3Error, Changed and OSError."""
        kept, part = self.reader.kept(entry), self.reader.part_length(entry)
        with self.vault.writer(CONTEXT, compress=False) as writer:
            for block in content(self.source, entry):
                writer.write(block)
            found = writer.end()
            name = place(found["sha256"], self.vault.key)
            if self.there.get(name) != found["stored_size"]:
                writer.incoming.commit(name)
                with self.lock:
                    self.there[name] = found["stored_size"]
        record = {"key": entry.key, "version": entry.version, "size": entry.size, "etag": entry.etag, "part": part, "headers": kept}
        # the stored form's checksum is not kept: where the content was there already, it is that of another encryption
        return {**record, "sha256": found["sha256"], "place": name, "stored_size": found["stored_size"]}

    def count(self, **counts):
        """Add to the counts."""
        with self.lock:
            for name, count in counts.items():
                self.counts[name] += count


def content(source, entry):
    """Return an iterable of the content of `entry`, which is read in one piece for each block. Raises S3Error and Changed."""
    blocks = []

    def sink(chunk):
        if chunk is None:
            blocks.clear()
        else:
            blocks.append(chunk)

    # a broken connection voids what came: so a piece is kept in memory until it is whole
    size = 16 * 1024 * 1024
    for first in range(0, entry.size, size):
        blocks.clear()
        read(*source, entry, sink, first, min(size, entry.size - first))
        yield from list(blocks)


def digest(source, entry):
    """Return the SHA-256 of what a server holds of `entry`. Raises S3Error and Changed."""
    return Measure(content(source, entry)).sha256


def lines(records):
    """Yield the records as JSON lines."""
    for record in records:
        yield (json.dumps(record, sort_keys=True, default=str) + "\n").encode()
