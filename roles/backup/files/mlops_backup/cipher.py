"""Encryption at rest: AES-256-GCM in chunks, so that a file of any size is encrypted and checked as it passes.

A file is a head (magic, salt) and chunks. Its own key comes from the backup key and the salt (HKDF), the number of each chunk and whether
it is the last one are part of its nonce: chunks that are cut off, swapped or taken from another file do not decrypt.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from mlops_backup.problems import BackupError

MAGIC = b"MLOPSBK1"
SALT = 32
CHUNK = 1024 * 1024
TAG = 16


class Key:
    """The backup key. `id` names it without giving it away."""

    def __init__(self, secret):
        if not re.fullmatch(r"[0-9a-fA-F]{64}", secret):
            raise BackupError("backup_key: must be 64 hexadecimal digits; make one with: openssl rand -hex 32")
        self.secret = bytes.fromhex(secret)
        self.id = hashlib.sha256(b"mlops.platform backup key" + self.secret).hexdigest()[:16]

    @classmethod
    def read(cls, path):
        """Return the key in the file `path`, or None where `path` is empty. Raises BackupError."""
        if not path:
            return None
        try:
            return cls(Path(path).read_text(encoding="ascii").strip())
        except OSError as error:
            raise BackupError(f"backup_key: cannot read {path}: {error.strerror}") from None

    def cipher(self, salt):
        """Return the cipher of the file with `salt`."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESGCM(HKDF(hashes.SHA256(), 32, salt, b"mlops.platform backup").derive(self.secret))


def nonce(number, last):
    """Return the nonce of chunk `number`: no file has two chunks with the same one, and each file has a key of its own."""
    return number.to_bytes(11, "big") + bytes([last])


class Encrypting:
    """Takes bytes and gives `sink` the encrypted file; `context` must be given again to read it."""

    def __init__(self, sink, key, context):
        salt = os.urandom(SALT)
        self.sink, self.cipher, self.context, self.number, self.pending = sink, key.cipher(salt), context.encode(), 0, bytearray()
        sink(MAGIC + salt)

    def write(self, data):
        """Take `data`."""
        self.pending += data
        # one chunk is kept back: only the end knows which is the last
        while len(self.pending) > CHUNK:
            self._chunk(bytes(self.pending[:CHUNK]), False)
            del self.pending[:CHUNK]

    def close(self):
        """Write the last chunk."""
        self._chunk(bytes(self.pending), True)

    def _chunk(self, data, last):
        self.sink(self.cipher.encrypt(nonce(self.number, last), data, self.context))
        self.number += 1


def decrypted(blocks, key, context, name):
    """Yield the content of an encrypted file, given as an iterator of byte strings. Raises BackupError."""
    from cryptography.exceptions import InvalidTag

    pending = bytearray()
    for block in blocks:
        pending += block
        if len(pending) >= len(MAGIC) + SALT:
            break
    if not pending.startswith(MAGIC) or len(pending) < len(MAGIC) + SALT:
        raise BackupError(f"{name} is not an encrypted file of a backup: it is truncated, or it was written without a key")
    cipher = key.cipher(bytes(pending[len(MAGIC) : len(MAGIC) + SALT]))
    del pending[: len(MAGIC) + SALT]
    number, whole = 0, CHUNK + TAG
    try:
        for block in blocks:
            pending += block
            while len(pending) > whole:
                yield cipher.decrypt(nonce(number, False), bytes(pending[:whole]), context.encode())
                del pending[:whole]
                number += 1
        while len(pending) > whole:
            yield cipher.decrypt(nonce(number, False), bytes(pending[:whole]), context.encode())
            del pending[:whole]
            number += 1
        yield cipher.decrypt(nonce(number, True), bytes(pending), context.encode())
    except InvalidTag:
        raise BackupError(
            f"{name} cannot be decrypted with this key: it is truncated or damaged, or it was encrypted with another backup_key"
        ) from None
