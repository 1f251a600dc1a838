# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies one bucket's history, or its current objects, into another bucket; what is there already is left alone."""

from __future__ import annotations

import collections
import concurrent.futures

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import history, missing, newest, same, totals
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import Changed, Transfer, sha256

SHOWN = 100  # of the changes and of the differences in the result
MOST_PROBLEMS = 20  # then the rest is not tried any more
# what one key needs: versions and delete markers to write, in order
Task = collections.namedtuple("Task", "key entries remove")


class Ends:
    """Both buckets with what they hold, as (connection, name) each, and the record of what is known to be equal."""

    def __init__(self, source, target, state, current):
        self.source, self.target, self.state = source, target, state
        found = [history(*source), history(*target)]
        if current:
            found = [{key: one for key, entries in side.items() if (one := newest(entries))} for side in found]
        self.wanted, self.there = found

    def proof(self, one, other):
        """Return whether `one` of the source and `other` of the target have the same content: as recorded, or as read now."""
        known = self.state.of(one)
        if known.get("target") == other.version and other.version != "null":
            return True
        digest = sha256(*self.source, one)
        if digest != sha256(*self.target, other):
            return False
        self.state.note(one, other.version, digest, verified=True)
        return True


def each(work, items, workers):
    """Call `work(item)` for all items, `workers` at a time. Yields (item, result or None, problem or "") as they end.

    Stops early after MOST_PROBLEMS problems, which then stand for the rest.
    """
    problems, left = 0, iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {}
        while True:
            # a few in advance: all at once would hold every result in memory
            while problems < MOST_PROBLEMS and len(running) < 2 * workers and (item := next(left, None)) is not None:
                running[pool.submit(work, item)] = item
            if not running:
                return
            done, _more = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                error = future.exception()
                if error is None:
                    yield item, future.result(), ""
                elif isinstance(error, (S3Error, Changed, OSError)):
                    problems += 1
                    yield item, None, str(error) or type(error).__name__
                else:
                    raise error


class Copy:
    """The copy of one bucket. `counts` says what was copied (or would be), `changes` and `problems` name keys."""

    def __init__(self, ends, progress, workers, current, check):
        self.ends, self.progress, self.workers, self.current, self.check = ends, progress, workers, current, check
        self.transfer = Transfer(ends.source, ends.target)
        self.counts = {"keys": 0, "versions": 0, "delete_markers": 0, "bytes": 0}
        self.changes, self.problems, self.moved = [], [], 0

    def run(self):
        """Copy everything that is missing. Raises S3Error when something could not be copied."""
        tasks = []
        for _key, task, problem in each(self.plan, sorted(set(self.ends.wanted) | set(self.ends.there)), self.workers):
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
            return Task(key, [], True) if self.current and self.ends.state.knows(key) else None
        if self.current:
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
        for key, found, problem in each(self.one, sorted(set(self.ends.wanted) | set(self.ends.there)), self.workers):
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
