"""A backup as the server that a copy of object versions reads from: it answers the few requests that one sends."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error

from mlops_backup.objects import CONTEXT
from mlops_backup.problems import BackupError


class Body:
    """The content of an answer, as botocore's body is read."""

    def __init__(self, blocks, first, length):
        self.blocks, self.skip, self.left, self.pending = blocks, first, length, b""

    def read(self, size):
        """Return up to `size` bytes, b"" at the end."""
        while len(self.pending) < size and (block := next(self.blocks, None)) is not None:
            drop = min(self.skip, len(block))
            self.skip -= drop
            self.pending += block[drop:]
            if len(self.pending) >= self.left:
                break
        found = self.pending[: min(size, self.left)]
        self.pending, self.left = self.pending[len(found) :], self.left - len(found)
        return found

    def close(self):
        """Read no further."""
        self.blocks.close()


class Kept:
    """The backup as the server that versions are copied from: it answers the few requests that a copy sends."""

    def __init__(self, vault, records):
        self.vault, self.records, self.where = vault, records, vault.store.where

    def call(self, _what, operation, Key, VersionId=None, Range=None, **_unused):  # noqa: N803 - as S3 calls them
        """Answer one request. Raises S3Error when what is kept is damaged."""
        record = self.records[Key, VersionId or "null"]
        if operation == "head_object":
            # the parts in which it was written, so that it gets the same ETag again
            return {**record["headers"], "ContentLength": record["part"] or record["size"], "TagCount": 0}
        first, last = (int(word) for word in Range[len("bytes=") :].split("-")) if Range else (0, record["size"] - 1)
        blocks = self._blocks(record)
        return {"Body": Body(blocks, first, last - first + 1)}

    def _blocks(self, record):
        try:
            yield from self.vault.blocks(record["place"], CONTEXT, compress=False, record=record)
        except BackupError as error:
            raise S3Error(str(error)) from None
