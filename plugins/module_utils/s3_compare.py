# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares one bucket's history, or its current objects, with another's."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import each
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import totals
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import sha256


class Comparison:
    """Holds both ends against each other without the copy's own plan: counts by folder, and each version's content.

    `differences` names what is not the same; `read` counts the versions whose content was read on both sides.
    """

    def __init__(self, ends, progress, workers, contents, ignore_extra):
        self.ends, self.progress, self.workers = ends, progress, workers
        self.contents, self.ignore_extra = contents, ignore_extra
        self.differences, self.read, self.older, self.extra = [], 0, 0, 0

    def run(self):
        """Compare everything. Raises S3Error when something cannot be read."""
        problems = []
        self.progress.all = totals(self.ends.wanted)
        for key, found, problem in each(self.one, self.ends.keys, self.workers):
            if problem:
                problems.append(f"{key!r}: {problem}")
            elif found:
                self.differences.append(f"{key}: {found}")
        self.progress.end()
        if problems:
            raise S3Error(f"{len(problems)} object(s) cannot be compared, the first: {'; '.join(problems[:5])}")
        self.differences.sort()

    def one(self, key):
        """Return in words how the ends differ in `key`, or an empty text."""
        wanted, there = self.ends.wanted.get(key, []), self.ends.there.get(key, [])
        if not wanted:
            with self.progress.lock:
                self.extra += 1
            return "" if self.ignore_extra else "not at the source"
        if not there:
            return "not at the target"
        older = len(there) - len(wanted)
        if older < 0:
            return f"{len(wanted)} versions and delete markers at the source, {len(there)} at the target"
        with self.progress.lock:
            self.older += older
        for number, (one, other) in enumerate(zip(wanted, there[older:]), 1):
            problem = self.differ(one, other)
            if problem:
                return f"number {number} of {len(wanted)}, version {one.version}: {problem}" if len(wanted) > 1 else problem
        self.progress.add(keys=1)
        return ""

    def differ(self, one, other):
        """Return in words how two versions differ, or an empty text."""
        if (one.size is None) != (other.size is None):
            return "a version at one end, a delete marker at the other"
        if one.size != other.size:
            return f"{one.size} bytes at the source, {other.size} at the target"
        if one.size is None:
            self.progress.add(delete_markers=1)
            return ""
        if self.contents:
            known = self.ends.state.of(one)
            if not (known.get("verified") and known["target"] == other.version != "null"):
                digests = [sha256(*self.ends.source, one), sha256(*self.ends.target, other)]
                with self.progress.lock:
                    self.read += 1
                if digests[0] != digests[1]:
                    return "the contents differ"
                self.ends.state.note(one, other.version, digests[0], verified=True)
        self.progress.add(versions=1, bytes=one.size)
        return ""


def by_folder(found):
    """Return {folder: counts} of a history, by the first two parts of its keys: artifacts and experiment."""
    folders = {}
    for key, entries in found.items():
        folders.setdefault("/".join(key.split("/")[:-1][:2]), {})[key] = entries
    return {folder: totals(one) for folder, one in sorted(folders.items())}
