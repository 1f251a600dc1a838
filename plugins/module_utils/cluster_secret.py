# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets of one installation in one Secret object: generated once, read back afterwards, agreed on by runs at the same time."""

from __future__ import annotations

import base64
import binascii

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.secret_values import SecretError, generate

PREVIOUS = ".previous"
ATTEMPTS = 8  # each lost one means that another run has written: more than a handful of runs at once is a mistake


def encode(value):
    """Return `value` as a Secret's data holds it."""
    return base64.b64encode(value.encode()).decode()


def decode(data, key):
    """Return the value of `key` in a Secret's data, None where there is none or an empty one. Raises SecretError."""
    try:
        return base64.b64decode(data.get(key) or "", validate=True).decode().rstrip("\n") or None
    except (binascii.Error, UnicodeDecodeError):
        raise SecretError(f"secret {key}: what is stored is no text; remove this key, and the next run generates it") from None


def plan(data, specs, forget=()):
    """Return (changes, result): what to write into a Secret that has `data`, None for a key to remove, and the module's values.

    `specs` are checked ones, see secret_values.wanted(). Values in `changes` are encoded, those in the result are not. Raises SecretError.
    """
    changes = {}
    result = {"secrets": {}, "previous": {}, "generated": [], "replaced": [], "forgotten": []}
    for name, spec in sorted(specs.items()):
        old = decode(data, name)
        new = spec["value"] or old
        history = (decode(data, name + PREVIOUS) or "").split("\n")
        if name in forget and any(history):
            history = []
            changes[name + PREVIOUS] = None
            result["forgotten"].append(name)
        if new is None:
            new = generate(spec)
            result["generated"].append(name)
        elif old is not None and new != old:
            result["replaced"].append(name)
            if spec["keep_previous"]:
                history = list(dict.fromkeys([old, *history]))
                changes[name + PREVIOUS] = encode("\n".join(value for value in history if value))
        if new != old:
            changes[name] = encode(new)
        if spec["keep_previous"] and any(history):
            result["previous"][name] = [value for value in history if value]
        result["secrets"][name] = new
    return changes, result


class SecretKeeper:
    """One Secret object. keep() brings it to its state."""

    def __init__(self, cluster, namespace, name):
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.path = namespaced(namespace, "secrets", name)
        self.where = f"the Secret {name} in the namespace {namespace}"

    def keep(self, specs, forget=(), labels=None, kind=None, check=False):
        """Return the module's values, with `changed` and `labels_changed`. Raises ClusterError and SecretError.

        What is stored wins over what this run has generated: whoever writes second reads the first one's values.
        """
        for _unused in range(ATTEMPTS):
            found = self.cluster.find(f"read {self.where}", self.path)
            data = (found or {}).get("data") or {}
            changes, result = plan(data, specs, forget)
            new_labels = self._labels(found, labels)
            if found and kind and found.get("type") != kind:
                raise ClusterError(
                    f"{self.where} has the type {found.get('type')}, and {kind} is wanted",
                    "a Secret cannot change its type: save what is in it, delete it and run again",
                )
            result["changed"] = bool(changes or new_labels or not found)
            result["labels_changed"] = sorted(new_labels)
            if check or not result["changed"] or self._write(found, changes, new_labels, kind):
                return result
        raise ClusterError(f"cannot write {self.where}: something else writes it all the time", "stop the other runs, and run again")

    @staticmethod
    def _labels(found, labels):
        there = ((found or {}).get("metadata") or {}).get("labels") or {}
        return {key: str(value) for key, value in (labels or {}).items() if there.get(key) != str(value)}

    def _write(self, found, changes, labels, kind):
        """Write, and return whether nobody else has written in between. Raises ClusterError."""
        metadata = {"labels": labels} if labels else {}
        try:
            if found:
                # the version makes the server refuse this where the object is not what the plan was made for
                metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
                self.cluster.call(f"write {self.where}", "PATCH", self.path, body={"metadata": metadata, "data": changes})
            else:
                metadata["name"] = self.name
                body = {"apiVersion": "v1", "kind": "Secret", "type": kind or "Opaque", "metadata": metadata, "data": changes}
                self.cluster.call(f"create {self.where}", "POST", namespaced(self.namespace, "secrets"), body=body)
        except ClusterError as error:
            gone = error.status == 404 and found
            if error.status == 409 or gone:
                return False
            if error.status == 404:
                raise ClusterError(error.what, f"create the namespace first: kubectl create namespace {self.namespace}", 404) from None
            raise
        return True
