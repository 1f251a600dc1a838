"""Conditions are texts: one with a colon and a blank that nobody quoted is a mapping to YAML, and is told of only when its task runs."""

from __future__ import annotations

import pytest
import yaml
from lib.expressions import CONDITIONS, FILES, ROOT

PATHS = [path for path in [*FILES, *sorted(ROOT.glob("molecule/**/*.yml"))] if path.suffix == ".yml"]


def odd(content):
    """Return the conditions of a YAML document that are neither text nor true or false."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in CONDITIONS and not isinstance(value, dict):
                yield from (one for one in (value if isinstance(value, list) else [value]) if not isinstance(one, (str, bool)))
            yield from odd(value)
    elif isinstance(content, list):
        for value in content:
            yield from odd(value)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_condition_is_text(path):
    assert list(odd(yaml.safe_load(path.read_text(encoding="utf-8")))) == []


def test_one_that_is_not_is_seen():
    assert list(odd(yaml.safe_load("- assert:\n    that:\n      - a is search('b: c')\n      - d\n"))) == [{"a is search('b": "c')"}]
