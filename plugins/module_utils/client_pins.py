# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Holds the pins of clients, and clients of known versions, against a server."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.client_files import Reader
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import judge
from ansible_collections.mlops.platform.plugins.module_utils.client_specifiers import UNKNOWN, narrowed, verdict


def holding(pin, pins):
    """Return the pins that hold together with `pin`: the constraints, and in a requirements file the other lines for the same package.

    A line with an environment marker holds for another one only where that has the same marker: elsewhere nobody knows that both apply.
    """
    return [
        other
        for other in pins
        if other is not pin
        and other.name == pin.name
        and not other.problem
        and len(other.alternatives) == 1
        and other.marker in ("", pin.marker)
        and (other.constraint or (pin.together and other.together))
    ]


def effective(pin, others):
    """Return the specifiers, of which any may hold, of a pin with what holds together with it."""
    more = [other.alternatives[0] for other in others]
    return [",".join(part for part in dict.fromkeys([one, *more]) if part) for one in pin.alternatives]


def judged(pin, others, server):
    """Return a pin with its verdict, as the module returns it."""
    alternatives = effective(pin, others)
    answer, example = (UNKNOWN, pin.problem) if pin.problem else verdict(alternatives, server)
    return {
        "path": pin.path,
        "line": pin.line,
        "name": pin.name,
        "text": pin.text,
        "specifier": " || ".join(alternatives),
        "marker": pin.marker,
        "constrained_by": [f"{other.path}:{other.line}" for other in others],
        "verdict": answer,
        "example": example,
        "remedy_specifier": f"{pin.name}{narrowed(alternatives, server)}",
    }


class Clients:
    """What is known of the clients: read once, held against as many servers as are asked about."""

    def __init__(self, paths, constraints, versions, seen=None):
        """Read the files."""
        reader = Reader()
        for path in paths:
            reader.add(path)
        before = len(reader.pins)
        self.files = list(reader.files)
        for path in constraints:
            reader.add(path, constraint=True)
        self.everywhere, self.named = reader.pins[before:], reader.pins[:before]
        self.unread, self.versions, self.seen = reader.unread, versions, seen or {}

    def pins(self, server):
        """Return every pin with its verdict. A constraint whose package the same file asks for is part of that line, not one of its own."""
        found = []
        for pin in self.named:
            together = [one for one in self.named if one.root == pin.root] + self.everywhere
            if not (pin.constraint and any(one.name == pin.name and not one.constraint for one in together)):
                found.append(judged(pin, holding(pin, together), server))
        return found

    def known(self, server):
        """Return {version: verdict} of the clients of known versions."""
        return {version: judge(version, server) for version in self.versions}
