# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: how long each part of a run took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: durations
short_description: How long each part of a run took
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Takes the starts of the parts of a run, in order, and returns one line for each. A part ends where the next one begins.
positional: end
options:
  _input:
    description: Lists of a name and a time in seconds. A name that stands twice counts once, with both times added.
    type: list
    elements: list
    required: true
  end:
    description: The time at which the last part ended.
    type: float
    required: true
"""

EXAMPLES = r"""
- name: Say how long it took
  ansible.builtin.debug:
    msg: "{{ [['PostgreSQL', 100.0], ['MLflow', 104.5]] | mlops.platform.durations(130.0) }}"
    # => ["PostgreSQL 4.5 s", "MLflow 25.5 s"]
"""

RETURN = r"""
_value:
  description: One line for each part.
  type: list
  elements: str
  sample: ["PostgreSQL 4.5 s", "MLflow 25.5 s"]
"""


def durations(starts, end):
    """Return one line "NAME SECONDS s" for each part of `starts`, the list of (name, time); the last part ends at `end`."""
    took = {}
    for (name, begin), (_next, until) in zip(starts, [*starts[1:], (None, end)]):
        took[name] = took.get(name, 0.0) + float(until) - float(begin)
    return [f"{name} {seconds:.1f} s" for name, seconds in took.items()]


class FilterModule:
    """Filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {"durations": durations}
