"""How a fault is declared, and what the faults of more than one layer plant with."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import urllib.parse
from pathlib import Path
from typing import Callable, NamedTuple


class Fault(NamedTuple):
    """A fault. `findings`: each an id or "id/subject". `because`: {id: the causes that it has to name}."""

    plant: Callable
    findings: tuple
    because: dict


def fault(*findings, because=None):
    """Make the function a fault with `findings`, all that it makes: nothing else may be found.

    It is a generator function of (platform, plan) that yields what of the doctor's plan differs, and puts everything back.
    """

    def declare(function):
        return Fault(contextlib.contextmanager(function), findings, because or {})

    return declare


@contextlib.contextmanager
def kept(path):
    """Put a file back as it was: content, mode and owner."""
    path = Path(path)
    content, status = path.read_bytes(), path.stat()
    try:
        yield path
    finally:
        path.write_bytes(content)
        path.chmod(status.st_mode & 0o7777)
        os.chown(path, status.st_uid, status.st_gid)


def told(report):
    """Return the findings of a report, each as id/subject."""
    return {f"{one['id']}/{one['subject']}" for one in report["findings"]}


def matches(found, wanted):
    """Return whether each wanted finding was found, and nothing else."""
    return all(any(one == want or one.startswith(f"{want}/") for one in found) for want in wanted) and all(
        any(one == want or one.startswith(f"{want}/") for want in wanted) for one in found
    )


def forms(value):
    """A secret as it is, and as URLs, JSON and headers have it."""
    encoded = [base64.b64encode(text.encode()).decode() for text in (value, f"admin:{value}")]
    return [value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value), json.dumps(value)[1:-1], *encoded]
