"""The Jinja expressions of the collection's files, as trees: tests ask them what reading the text cannot tell."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[2]
# an expression without braces
CONDITIONS = ("when", "until", "that", "changed_when", "failed_when", "break_when", "assert")
FILES = [
    path
    for path in sorted([*ROOT.glob("roles/*/*/**/*.yml"), *ROOT.glob("roles/*/templates/**/*.j2"), *ROOT.glob("playbooks/**/*.yml")])
    if path.parent.name != "meta"
]


class AnyFilter(dict):
    """Filters and tests are looked up while a template is parsed; these are Ansible's, and none of them is run here."""

    def __contains__(self, name):
        """Accept every name."""
        return True


ENVIRONMENT = NativeEnvironment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])
ENVIRONMENT.filters = ENVIRONMENT.tests = AnyFilter()


def expressions(content, condition=False):
    """Return the templates of a YAML document, conditions in braces."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from expressions(value, key in CONDITIONS)
    elif isinstance(content, list):
        for value in content:
            yield from expressions(value, condition)
    elif isinstance(content, str) and condition:
        yield "{{ " + content + " }}"
    elif isinstance(content, str) and "{" in content:
        yield content


def templates(path):
    """Return the templates of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".j2":
        # a first line of Ansible's own
        return [re.sub(r"^#jinja2:.*\n", "", text)]
    return expressions(yaml.safe_load(text))


def parents(node, above=()):
    """Return (node, the nodes above it, nearest first) of a tree."""
    yield node, above
    for child in node.iter_child_nodes():
        yield from parents(child, (node, *above))


def trees(path):
    """Return the syntax trees of a file's templates."""
    return [ENVIRONMENT.parse(template) for template in templates(path)]
