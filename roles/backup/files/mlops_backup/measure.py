"""Size and SHA-256 of what passes by."""

from __future__ import annotations

import hashlib


class Measure:
    """What has passed so far: `size` in bytes, `sha256` in hexadecimal."""

    def __init__(self, blocks=()):
        self.size, self._digest = 0, hashlib.sha256()
        for block in blocks:
            self.add(block)

    def add(self, block):
        """Take one more byte string."""
        self._digest.update(block)
        self.size += len(block)

    @property
    def sha256(self):
        """Return the SHA-256 of all that has passed."""
        return self._digest.hexdigest()
