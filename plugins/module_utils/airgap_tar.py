# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives that are the same bytes for the same content: no time, no owner, one order."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import contextmanager


def head(name, size, executable=False):
    """Return the head of a file of an archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if executable else 0o644
    return info


def add(tar, name, content, executable=False):
    """Put a file with the bytes `content` into an archive."""
    tar.addfile(head(name, len(content), executable), io.BytesIO(content))


@contextmanager
def compressed(path):
    """Give the stream of a new .tar.gz, without the time and the name that gzip would note."""
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
        yield stream
