# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a file gets its content, and a path its mode and owner, so that a run that is killed leaves the old state or the new one."""

from __future__ import annotations

import os
import stat


def _owner_differs(status, uid, gid):
    """Return whether the stat result `status` has another owner or group than those that are not -1."""
    return uid not in (-1, status.st_uid) or gid not in (-1, status.st_gid)


def replace_file(path, content, mode, uid=-1, gid=-1):
    """Put a file with the bytes `content`, `mode`, and owner and group (-1: who runs this) in the place of `path`, whole or not at all.

    What has that name before is replaced and not followed. Raises OSError.
    """
    temporary = f"{path}.mlops-new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        if _owner_differs(os.fstat(descriptor), uid, gid):
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        # else a power cut can leave the new name with nothing in it
        os.fsync(descriptor)
    os.rename(temporary, path)


def hold(path, mode, uid=-1, gid=-1, check=False):
    """Bring mode, owner and group of `path` to what is given (-1: left alone); return whether that is a change. `check` only predicts it.

    Raises OSError.
    """
    status = os.lstat(path)
    wrong_owner = _owner_differs(status, uid, gid)
    wrong_mode = stat.S_IMODE(status.st_mode) != mode
    if not check:
        if wrong_owner:
            os.chown(path, uid, gid, follow_symlinks=False)
        if wrong_owner or wrong_mode:
            # last: a new owner takes the set-user-ID bits away
            os.chmod(path, mode)
    return wrong_owner or wrong_mode
