# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies one bucket's history, or its current objects, into another bucket; what is there already is left alone."""

from __future__ import annotations

import collections

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import each
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import missing, same, totals
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import Changed, Transfer

# what one key needs: versions and delete markers to write, in order
Task = collections.namedtuple("Task", "key entries remove")


class Copy:
    """The copy of one bucket. `counts` says what was copied (or would be), `changes` and `problems` name keys."""

    def __init__(self, ends, progress, workers, check):
        self.ends, self.progress, self.workers, self.check = ends, progress, workers, check
        self.transfer = Transfer(ends.source, ends.target)
        self.counts = {"keys": 0, "versions": 0, "delete_markers": 0, "bytes": 0}
        self.changes, self.problems, self.moved = [], [], 0

    def run(self):
        """Copy everything that is missing. Raises S3Error when something could not be copied."""
        tasks = []
        for _key, task, problem in each(self.plan, self.ends.keys, self.workers):
            if problem:
                self.problems.append(problem)
            elif task:
                tasks.append(task)
        self.progress.all = totals({task.key: task.entries for task in tasks})
        for task, done, problem in each(self.one, sorted(tasks), self.workers):
            if problem:
                self.problems.append(f"{task.key!r}: {problem}")
            elif done is None:
                self.moved += 1
        self.progress.end()
        if self.problems:
            raise S3Error(
                f"{len(self.problems)} problem(s), the first: {'; '.join(self.problems[:5])}. What was copied stays; run it again to go on"
            )

    def plan(self, key):
        """Return the Task of `key`, or None. Raises S3Error where the target holds a history that the source does not have."""
        wanted, there = self.ends.wanted.get(key, []), self.ends.there.get(key, [])
        if not wanted:
            # gone from the source since it was copied; what others wrote is theirs
            return Task(key, [], True) if self.ends.current and self.ends.state.knows(key) else None
        if self.ends.current:
            return None if there and same(wanted[0], there[0], self.ends.proof) else Task(key, wanted, False)
        count, _older = missing(wanted, there, self.ends.proof)
        if count is None:
            raise S3Error(
                f"{key!r}: the target's versions are none of the source's, and an order cannot be kept behind them; "
                "remove them there, or copy the current objects alone"
            )
        return Task(key, wanted[len(wanted) - count :], False) if count else None

    def one(self, task):
        """Do one task; return True, or None where the object moved on under our hands."""
        try:
            for entry in task.entries:
                if not self.check:
                    self.write(entry)
                self.count(versions=int(entry.size is not None), delete_markers=int(entry.size is None), bytes=entry.size or 0)
            if task.remove:
                if not self.check:
                    self.transfer.remove(task.key)
                self.count(delete_markers=1)
        except Changed:
            return None
        self.count(keys=1)
        self.note(task)
        return True

    def write(self, entry):
        """Bring one version or delete marker to the target. Raises S3Error and Changed."""
        if entry.size is None:
            self.transfer.remove(entry.key)
        else:
            version, digest = self.transfer.copy(entry)
            self.ends.state.note(entry, version, digest, verified=False)

    def count(self, **counts):
        """Add to the counts."""
        self.progress.add(**counts)
        with self.progress.lock:
            for name, count in counts.items():
                self.counts[name] += count

    def note(self, task):
        """Say in `changes` what was done for a key."""
        versions = [entry for entry in task.entries if entry.size is not None]
        markers = len(task.entries) - len(versions) + task.remove
        words = [f"{len(versions)} version(s), {sum(entry.size for entry in versions)} bytes"] if versions else []
        words += [f"{markers} delete marker(s)"] if markers else []
        with self.progress.lock:
            self.changes.append(f"{task.key}: {', '.join(words)}")
