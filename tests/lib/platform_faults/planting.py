"""How a fault is declared, and what the faults of more than one layer plant with."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import urllib.parse
from pathlib import Path
from typing import Callable, NamedTuple

from lib import platform_proc as proc
from lib import platform_sweep as sweep

# what is shorter stands in ordinary words too
SHORTEST_SECRET = 16
# seconds, the longest that an earlier fault is remembered: MLflow keeps a login for a minute
REMEMBERED = 100


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


def found_when_planted(platform, plan, one, examine, **given):
    """Plant a fault, and see that the doctor finds what it makes, with causes and remedies, and nothing else, and says no secret.

    `examine` is a function of (platform, plan, **what differs of the plan) that returns its report; `given` differs for each fault.
    """
    secrets = sweep.needles({name: value for name, value in platform.secrets().items() if len(value) > SHORTEST_SECRET})
    last = {}
    with one.plant(platform, plan) as other:

        def found():
            last["report"] = examine(platform, plan, **given, **other)
            return matches(told(last["report"]), one.findings)

        try:
            proc.wait_until(f"{one.findings}", found, REMEMBERED)
        except AssertionError:
            words = json.dumps(last["report"]["findings"], indent=1)
            raise AssertionError(f"wanted {sorted(one.findings)}, found {words}") from None
    findings = last["report"]["findings"]
    assert all(entry["remedy"] and entry["what"] and entry["severity"] in ("error", "warning") for entry in findings)
    for ident, causes in one.because.items():
        for entry in findings:
            if entry["id"] == ident:
                assert set(causes) <= set(entry["because"]), entry
    assert not sweep.search(json.dumps(last["report"]).encode(), secrets)
    platform.wait_until_up()


def forms(value):
    """A secret as it is, and as URLs, JSON and headers have it."""
    encoded = [base64.b64encode(text.encode()).decode() for text in (value, f"admin:{value}")]
    return [value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value), json.dumps(value)[1:-1], *encoded]
