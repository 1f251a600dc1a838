# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds the requirements on MLflow in files of any kind that people pin with. Nothing is fetched, and nothing of a file is run."""

from __future__ import annotations

import glob
import os

from ansible_collections.mlops.platform.plugins.module_utils import client_files_conda, client_files_requirements, client_files_toml
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import words

# larger than any file that a person pins with; lock files of whole teams have some MB
MAX_BYTES = 50_000_000


class Unreadable(Exception):
    """A file that tells nothing; the text says why."""


def read(path):
    """Return a file's text. Raises Unreadable."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise Unreadable("it is no file; name the files in it" if os.path.isdir(path) else "it is no file")
        if os.path.getsize(path) > MAX_BYTES:
            raise Unreadable(f"it has more than {MAX_BYTES // 1_000_000} MB")
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8-sig")
    except OSError as problem:
        raise Unreadable(words(problem)) from problem
    except UnicodeDecodeError as problem:
        raise Unreadable(f"it is not UTF-8 (byte {problem.start})") from problem


class Reader:
    """Reads files and what they include; `pins` and `unread`, [(path, why)], are what was found."""

    def __init__(self):
        """Begin with nothing."""
        self.pins, self.unread, self.files = [], [], []

    def add(self, pattern, constraint=False):
        """Read the files of a path or a pattern. Files that are named as constraints install nothing, and narrow what the others admit."""
        paths = sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path)) or [pattern]
        if glob.has_magic(pattern) and paths == [pattern] and not os.path.exists(pattern):
            self.unread.append((pattern, "it matches no file"))
            return
        for path in paths:
            self.files.append(path)
            self.pins += [pin._replace(root=path, constraint=constraint or pin.constraint) for pin in self._file(path, constraint, ())]

    def _file(self, path, constraint, above):
        """Return the pins of one file; `above` are the files that led to it, which none leads back to."""
        real = os.path.realpath(path)
        if real in above:
            return []
        try:
            if "://" in path:
                raise Unreadable("it is not here, and nothing is fetched")
            return list(self._parsed(read(path), path, constraint, (*above, real)))
        except Unreadable as problem:
            self.unread.append((path, str(problem)))
        except (ValueError, RuntimeError, RecursionError) as problem:
            self.unread.append((path, f"it cannot be read: {words(problem)}"))
        return []

    def _parsed(self, text, path, constraint, above):
        def follow(target, as_constraint):
            return self._file(target if "://" in target else os.path.normpath(target), as_constraint, above)

        name = os.path.basename(path)
        if name in ("setup.py", "setup.cfg"):
            raise Unreadable(f"{name} is not read; name a requirements or lock file that is made of it")
        if name == "Pipfile.lock":
            return client_files_toml.pins_of_pipfile_lock(text, path)
        if name.endswith(".toml") or name in ("Pipfile", "poetry.lock", "uv.lock", "pdm.lock"):
            return client_files_toml.pins(text, path)
        if name.endswith((".yml", ".yaml")):
            return client_files_conda.pins(text, path, constraint, follow)
        return client_files_requirements.pins(text, path, constraint, follow)
