# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal of an upgrade in a cluster, and who works at it: two keys of one ConfigMap. What they mean is in upgrade_journal.py.

Who writes names the version that it has read, and the server refuses what is written over another one: two runs never have the turn both.
"""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced

ATTEMPTS = 8  # each lost one means that another run has written: more than a handful of runs at once is a mistake


class Notes:
    """The ConfigMap `name` in `namespace`, which gets `labels` where it is made. Asks the server for nothing by itself."""

    def __init__(self, cluster, namespace, name, labels):
        self.cluster, self.namespace, self.name, self.labels = cluster, namespace, name, labels
        self.path = namespaced(namespace, "configmaps", name)
        self.where = f"the ConfigMap {name} in the namespace {namespace}"

    def read(self):
        """Return (the object, None where there is none; what it holds by key). Raises ClusterError and ValueError."""
        found = self.cluster.find(f"read {self.where}", self.path)
        held = {}
        for key, text in ((found or {}).get("data") or {}).items():
            try:
                held[key] = json.loads(text or "{}")
            except ValueError as error:
                raise ValueError(f"{self.where}, {key}: {error}") from None
            if not isinstance(held[key], dict):
                raise ValueError(f"{self.where}, {key} holds no dictionary")
        return found, held

    def write(self, found, changes):
        """Write `changes` by key into what read() has returned; return whether nobody has written in between. Raises ClusterError."""
        data = {key: json.dumps(value, indent=1, sort_keys=True) for key, value in changes.items()}
        try:
            if found:
                body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "data": data}
                self.cluster.call(f"write {self.where}", "PATCH", self.path, body=body)
            else:
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name, "labels": self.labels}, "data": data}
                self.cluster.call(f"create {self.where}", "POST", namespaced(self.namespace, "configmaps"), body=body)
        except ClusterError as error:
            if error.status == 409 or (error.status == 404 and found):
                return False
            raise
        return True

    def change(self, decide):
        """Write what decide(what is held by key) returns, until nobody else has written in between; return what is held then.

        `decide` returns the keys to write, and none for nothing to do. Raises ClusterError, ValueError and what `decide` raises.
        """
        for _unused in range(ATTEMPTS):
            found, held = self.read()
            changes = decide(held)
            if not changes or self.write(found, changes):
                return {**held, **changes}
        raise ClusterError(f"cannot write {self.where}: something else writes it all the time", "stop the other runs, and run again")


def read(notes):
    """Return the journal, empty where there is none. Raises ClusterError and ValueError."""
    return notes.read()[1].get("journal") or {}


def claim(notes, holder, over=None):
    """Write `holder` down as the one whose turn it is; return the other one who has it, or None.

    `over`: one who is known to be dead, whose place may be taken. Raises ClusterError and ValueError.
    """

    def decide(held):
        present = held.get("holder")
        if present and (upgrade_journal.same(present, holder) or not (over and upgrade_journal.same(present, over))):
            return {}
        return {"holder": {**holder, "since": upgrade_journal.now()}}

    present = notes.change(decide)["holder"]
    return None if upgrade_journal.same(present, holder) else present


def held_by(held, holder):
    """See that it is the turn of `holder`. Raises Lost."""
    present = held.get("holder")
    if not present or not upgrade_journal.same(present, holder):
        raise upgrade_journal.Lost(present or {"user": "nobody"})


def release(notes, holder):
    """Let the next one in. Raises Lost, ClusterError and ValueError."""

    def decide(held):
        held_by(held, holder)
        return {"holder": {}}

    notes.change(decide)


def record(notes, holder, entry, anew=False):
    """Add `entry` to the journal, or begin it `anew` with it; return the journal. Raises Lost, ClusterError and ValueError."""

    def decide(held):
        held_by(held, holder)
        return {"journal": upgrade_journal.grown(held.get("journal") or {}, entry, anew)}

    return notes.change(decide)["journal"]
