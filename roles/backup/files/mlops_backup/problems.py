"""What stops a backup or a restore, in words for whoever asked for it."""

from __future__ import annotations


class BackupError(Exception):
    """Something is refused, or failed; its text says what, and what to do."""


class Busy(BackupError):
    """Another one is under way."""
