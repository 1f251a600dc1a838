"""Lets two directories change places at once, so that there is no moment at which a name of theirs is nobody's."""

from __future__ import annotations

import ctypes
import errno
import os

# renameat2(2): linux/fcntl.h and linux/fs.h
AT_FDCWD = -100
RENAME_EXCHANGE = 2
# of a kernel, a sandbox or a file system that does not know it, as NFS
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EPERM)


def exchange(one, other):
    """Let the paths `one` and `other`, both on one file system, change places; return False where that cannot be done. Raises OSError."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        # a C library without it
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def put(new, place, old):
    """Put the directory `new` in the `place` of another, which goes to the free name `old`. Raises OSError.

    All are on one file system. Whoever is killed on the way leaves a whole directory in the place: a server that finds none there would
    make an empty one.
    """
    if not place.exists():
        new.rename(place)
        return
    new.rename(old)
    if exchange(old, place):
        return
    # two steps, where the file system knows no single one
    old.rename(new)
    place.rename(old)
    new.rename(place)
