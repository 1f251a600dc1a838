# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives of images: those of the controller, and those that a host has. Size and time tell them apart, as they do for K3s and rsync.

Hashes would do so too, by reading gigabytes on both sides in each run.
"""

from __future__ import annotations

import os
import stat

# what K3s imports; it passes over all others without a word. A text has names of images to pull
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz", ".tar.lz4", ".txt")


def folder(data_dir):
    """Return where K3s imports archives from."""
    return os.path.join(data_dir, "agent", "images")


def facts(path):
    """Return {size, mtime} of a file. Raises OSError, also where it is none."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "is no file", path)
    return {"size": status.st_size, "mtime": int(status.st_mtime)}


def present(data_dir):
    """Return the archives that a host has, as {name: {size, mtime}}."""
    try:
        with os.scandir(folder(data_dir)) as entries:
            return {entry.name: facts(entry.path) for entry in entries if entry.is_file() and not entry.name.startswith(".")}
    except OSError:
        return {}


def problems(lists):
    """Return what is wrong with lists of paths on the controller, each that of some hosts."""
    found = []
    for paths in lists:
        names = [os.path.basename(path) for path in paths]
        found += [
            f"k3s_image_archives has two files of the name {name}, and a host keeps them in one directory: rename one"
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        for path in paths:
            try:
                if not os.path.isabs(os.path.expanduser(path)):
                    raise OSError(0, "is no whole path, such as /srv/images/mlflow.tar.zst", path)
                facts(os.path.expanduser(path))
                if not os.access(os.path.expanduser(path), os.R_OK):
                    raise OSError(0, "may not be read by you", path)
                if not path.endswith(ENDINGS):
                    raise OSError(0, f"has none of the endings that K3s imports, {' '.join(ENDINGS)}", path)
            except OSError as error:
                found.append(f"k3s_image_archives: {path}: {(error.strerror or str(error)).lower()}")
    return sorted(set(found), key=found.index)


def differing(paths, there):
    """Return {path, name, size, mtime} of each file that `there`, from present(), does not have as it is. Raises OSError."""
    found = []
    for path in map(os.path.expanduser, paths):
        known = facts(path)
        if there.get(os.path.basename(path)) != known:
            found.append({"path": path, "name": os.path.basename(path), **known})
    return found
