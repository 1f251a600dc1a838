# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The requirements on MLflow in a requirements file of pip, with the files that it includes."""

from __future__ import annotations

import os
import re

from ansible_collections.mlops.platform.plugins.module_utils.client_pin import from_text

_INCLUDE = re.compile(r"(?:(?P<requirement>-r|--requirement)|(?P<constraint>-c|--constraint))(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?P<where>\S.*)")
# --hash and the other options of one requirement
_OPTIONS = re.compile(r"\s+--?[a-z][\w-]*(?:[=\s].*)?$", re.DOTALL)


def lines(text):
    """Yield (number, line) as pip reads them: what ends in a backslash goes on, and comments are cut off."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        whole = re.sub(r"(^|\s)#.*$", "", "".join([*parts, "" if comment else line])).strip()
        if whole:
            yield begun, whole
        begun, parts = 0, []
    if parts and "".join(parts).strip():
        yield begun, "".join(parts).strip()


def one(line, path, number, constraint, follow):
    """Yield the pins of one line; `follow(path, constraint)` yields those of an included file."""
    include = _INCLUDE.match(line)
    if include:
        target = include["path"].strip().strip("\"'")
        if "://" not in target:
            target = os.path.join(os.path.dirname(path), target)
        yield from follow(target, constraint or bool(include["constraint"]))
        return
    editable = _EDITABLE.match(line)
    if line.startswith("-") and not editable:
        return
    text = editable["where"] if editable else _OPTIONS.sub("", line)
    pin = from_text(text, path, number, constraint=constraint, together=True)
    if pin:
        yield pin


def pins(text, path, constraint, follow):
    """Yield the pins of a requirements file."""
    for number, line in lines(text):
        yield from one(line, path, number, constraint, follow)
