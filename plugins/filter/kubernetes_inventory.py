# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what an earlier configuration left in the namespace."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kubernetes_inventory
short_description: What must be remembered of Kubernetes objects, and which ones an earlier configuration left
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - An inventory is a ConfigMap whose key C(objects) has one line C(APIVERSION KIND NAME) for each object that was applied.
  - The filter compares the objects that are wanted now with the inventory of before. What is in another inventory has moved there and is
    not removed. PersistentVolumeClaims are neither remembered nor removed.
positional: inventory, inventories, apis
options:
  _input:
    description: The objects that are wanted.
    type: list
    elements: dict
    required: true
  inventory:
    description: The name of the inventory.
    type: str
    required: true
  inventories:
    description: The ConfigMaps of all inventories in the namespace.
    type: list
    elements: dict
    required: true
  apis:
    description:
      - The apiVersion that the server serves, by kind; empty for a kind that it does not know (any more). For other kinds that of the
        inventory is used.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what is to be removed
  ansible.builtin.debug:
    msg: "{{ (objects | mlops.platform.kubernetes_inventory('mlops-inventory-web', inventories)).removed }}"
"""

RETURN = r"""
_value:
  description:
    - C(union) is the inventory while objects are applied and removed, so that a run that is killed forgets none. C(wanted) is the inventory
      afterwards. C(removed) are the objects to remove, as apiVersion, kind and metadata.
  type: dict
  sample: {"wanted": "v1 Service web\n", "union": "v1 ConfigMap old\nv1 Service web\n", "removed": []}
"""


def same(line):
    """Return what makes a line's object the same in another version of its API: group, kind and name."""
    version, kind, name = line.split()
    return version.rpartition("/")[0], kind, name


def lines(inventories):
    """Return the lines of `inventories`."""
    return [line for found in inventories for line in ((found.get("data") or {}).get("objects") or "").splitlines() if line]


def text(found):
    """Return the lines `found` as one text, each once."""
    return "".join(f"{line}\n" for line in sorted(set(found)))


def kubernetes_inventory(items, inventory, inventories, apis=None):
    """Return {union, wanted, removed} of the objects `items` and the ConfigMaps `inventories`."""
    apis = apis or {}
    wanted = [
        f"{item['apiVersion']} {item['kind']} {item['metadata']['name']}" for item in items if item["kind"] != "PersistentVolumeClaim"
    ]
    own = lines(found for found in inventories if found["metadata"]["name"] == inventory)
    others = lines(found for found in inventories if found["metadata"]["name"] != inventory)
    kept, elsewhere = {same(line) for line in wanted}, {same(line) for line in others}
    stale = [line for line in own if same(line) not in kept]
    removed = []
    for line in stale:
        version, kind, name = line.split()
        version = apis.get(kind, version)
        # a server that has given up an API has removed its objects
        if version and same(line) not in elsewhere:
            removed.append({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
    return {"wanted": text(wanted), "union": text(wanted + stale), "removed": removed}


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"kubernetes_inventory": kubernetes_inventory}
