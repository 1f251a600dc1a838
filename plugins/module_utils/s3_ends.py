# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two buckets that are to hold the same, and work on their keys side by side."""

from __future__ import annotations

import concurrent.futures

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_copy_state import State
from ansible_collections.mlops.platform.plugins.module_utils.s3_history import history, newest
from ansible_collections.mlops.platform.plugins.module_utils.s3_transfer import Changed, sha256

SHOWN = 100  # of the changes and of the differences in a module's result
MOST_PROBLEMS = 20  # then the rest is not tried any more


class Ends:
    """Both buckets with what they hold, as (connection, name) each, and the record of what is known to be equal.

    `module` says whether histories or current objects count, and where the record is; it is written unless in check mode.
    """

    def __init__(self, module, source, target):
        self.source, self.target, self.current = source, target, module.params["versions"] == "current"
        # the buckets alone are the record's name: a tunnel has another port the next time
        self.state = State(module.params["state_file"], f"{source[1]} to {target[1]}", write=not module.check_mode)
        found = [history(*source), history(*target)]
        if self.current:
            found = [{key: one for key, entries in side.items() if (one := newest(entries))} for side in found]
        self.wanted, self.there = found

    @property
    def keys(self):
        """All keys of both ends, in order."""
        return sorted({*self.wanted, *self.there})

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
