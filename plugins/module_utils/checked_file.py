# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are brought from a URL or a directory, and are used only if they have the SHA-256 that is expected."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time

from ansible.module_utils.urls import open_url

ATTEMPTS = 3


class Failed(Exception):
    """A file that cannot be had, or is not what it should be."""


def parse_checksums(text):
    """Return {name: SHA-256} of a checksum list."""
    return {match[2]: match[1] for match in re.finditer(r"^([0-9a-f]{64}) [ *](\S+)$", text, re.MULTILINE)}


def digest(path):
    """Return the SHA-256 of a file in hexadecimal, or None where it cannot be read."""
    total = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for part in iter(lambda: stream.read(1 << 20), b""):
                total.update(part)
    except OSError:
        return None
    return total.hexdigest()


def opened(source):
    """Return a stream of a URL or a path. Raises Failed."""
    if source.startswith("/"):
        try:
            return open(source, "rb")
        except OSError as error:
            raise Failed(f"{source}: {error.strerror}") from error
    for attempt in range(ATTEMPTS):
        try:
            return open_url(source, timeout=30, follow_redirects="all")
        except Exception as error:  # whatever urllib, ssl and the proxy have to say
            if attempt == ATTEMPTS - 1 or getattr(error, "code", 0) in (401, 403, 404):
                raise Failed(f"{source}: {error}") from error
            time.sleep(2 * (attempt + 1))
    return None


def read(source):
    """Return the text of a URL or a path. Raises Failed."""
    with opened(source) as stream:
        return stream.read().decode("utf-8", "replace")


def fetch(source, target, wanted):
    """Bring a URL or a path to the file `target`, which has nothing else than what has the SHA-256 `wanted`. Raises Failed."""
    total = hashlib.sha256()
    try:
        with opened(source) as stream, open(target, "wb") as out:
            for part in iter(lambda: stream.read(1 << 20), b""):
                total.update(part)
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        remove(target)
        raise Failed(f"{source}: {error}") from error
    if total.hexdigest() != wanted:
        remove(target)
        raise Failed(
            f"{source} has the SHA-256 {total.hexdigest()} and should have {wanted}; what is installed was left as it is."
            " Something between here and there changes the file, or the mirror is damaged: fetch it anew there"
        )


def remove(path):
    """Remove a file or a directory that may not be there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)
