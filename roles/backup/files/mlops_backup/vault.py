"""Puts content into a store and gets it back: compressed, encrypted where there is a key, and with checksums of both forms."""

from __future__ import annotations

import zlib

from mlops_backup.cipher import MAGIC, Encrypting, decrypted
from mlops_backup.measure import Measure
from mlops_backup.problems import BackupError

# gzip's own form, so that a file without encryption can be read with gzip
GZIP = 16 + zlib.MAX_WBITS


class Writer:
    """One file on its way. `record` holds, after finish(), what must be known to check it: sizes and SHA-256 of content and stored form."""

    def __init__(self, vault, context, compress):
        self.incoming = vault.store.incoming()
        self.plain = Measure()
        # what is kept as it is has one checksum, which is made once
        self.stored = Measure() if compress or vault.key else self.plain
        self.compress = zlib.compressobj(1, zlib.DEFLATED, GZIP) if compress else None
        try:
            self.cipher = Encrypting(self._sink, vault.key, context) if vault.key else None
        except BaseException:
            self.drop()
            raise

    def write(self, data):
        """Take `data`. Raises OSError."""
        self.plain.add(data)
        self._pass(self.compress.compress(data) if self.compress else data)

    def _pass(self, data):
        if data:
            (self.cipher.write if self.cipher else self._sink)(data)

    def _sink(self, data):
        if self.stored is not self.plain:
            self.stored.add(data)
        self.incoming.write(data)

    def end(self):
        """Let the last bytes pass, and return the record."""
        if self.compress:
            self._pass(self.compress.flush())
        if self.cipher:
            self.cipher.close()
        return {
            "size": self.plain.size,
            "sha256": self.plain.sha256,
            "stored_size": self.stored.size,
            "stored_sha256": self.stored.sha256,
        }

    def drop(self):
        """Leave nothing."""
        self.incoming.drop()

    def __enter__(self):
        """Return the writer."""
        return self

    def __exit__(self, *_unused):
        """Leave nothing, unless it was given a name."""
        self.drop()


class Vault:
    """A store, and the key with which its files are encrypted (None: they are not)."""

    def __init__(self, store, key):
        self.store, self.key = store, key

    def writer(self, context, compress=True):
        """Return a Writer; `context` says what the file is, and must be given again to read it. Raises OSError."""
        return Writer(self, context, compress)

    def put(self, name, blocks, context=None, compress=True):
        """Write `blocks` (an iterable of byte strings) as `name`; return its record. Raises OSError."""
        with self.writer(context or name, compress) as writer:
            for block in blocks:
                writer.write(block)
            record = writer.end()
            writer.incoming.commit(name)
        return record

    def blocks(self, name, context=None, compress=True, record=None):
        """Yield the content of `name`, held against `record` if it is given. Raises BackupError when it is not what was written."""
        stored = self._opened(self.store.blocks(name), context or name, name)
        content = _decompressed(stored, name) if compress else stored
        found = Measure()
        for block in content:
            found.add(block)
            yield block
        if record and (found.sha256, found.size) != (record["sha256"], record["size"]):
            raise BackupError(
                f"{name} in {self.store.where} is damaged: {found.size} bytes with SHA-256 {found.sha256} instead of"
                f" {record['size']} with {record['sha256']}"
            )

    def read(self, name, **options):
        """Return the whole content of a small file. Raises BackupError."""
        return b"".join(self.blocks(name, **options))

    def check(self, name, record):
        """Read `name` as it is stored, without the key. Raises BackupError when it is not what was written."""
        found = Measure(self.store.blocks(name))
        if (found.sha256, found.size) != (record["stored_sha256"], record["stored_size"]):
            raise BackupError(
                f"{name} in {self.store.where} is {'truncated' if found.size < record['stored_size'] else 'damaged'}:"
                f" {found.size} of {record['stored_size']} bytes, SHA-256 {found.sha256} instead of {record['stored_sha256']}"
            )

    def _opened(self, blocks, context, name):
        """Yield what was encrypted, or what was not, as the file's own head says."""
        first = next(blocks, b"")
        if not first.startswith(MAGIC):
            yield first
            yield from blocks
            return
        if not self.key:
            raise BackupError(f"{name} is encrypted, and there is no key: give backup_key")
        yield from decrypted(_again(first, blocks), self.key, context, name)


def _again(first, blocks):
    """Yield `first`, which was read to look at it, and the rest."""
    yield first
    yield from blocks


def _decompressed(blocks, name):
    """Yield what gzip made of the content. Raises BackupError."""
    machine = zlib.decompressobj(GZIP)
    try:
        for block in blocks:
            if data := machine.decompress(block):
                yield data
    except zlib.error as error:
        raise BackupError(f"{name} is damaged: {error}") from None
    if not machine.eof:
        raise BackupError(f"{name} is truncated")
