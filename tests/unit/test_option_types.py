"""Options that are typed bool or int arrive as text when a user gives them as `-e name=value`: every use of one converts it.

Argument specifications check such a text and leave it as it is; and nothing in a play takes precedence over `-e`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from jinja2 import nodes
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[2]
# an expression without braces
CONDITIONS = ("when", "until", "that", "changed_when", "failed_when", "break_when", "assert")
ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg)
TEXTS = {"join", "string", "length"}
FILES = [
    path
    for path in sorted([*ROOT.glob("roles/*/*/**/*.yml"), *ROOT.glob("roles/*/templates/**/*.j2"), *ROOT.glob("playbooks/**/*.yml")])
    if path.parent.name != "meta"
]


def options():
    """Return {type: names} of the options of all roles."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            for name, option in (spec.get("options") or {}).items():
                found.setdefault(option.get("type", "str"), set()).add(name)
    return found


OPTIONS = options()


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


def is_converted(above, kind):
    return isinstance(above[0], nodes.Filter) and above[0].name == kind


def is_reckoned(node, above):
    """Return whether a number is needed where `node` stands: in arithmetic, a comparison, a dictionary, a call or a condition."""
    nearest = above[0]
    if isinstance(nearest, nodes.Filter):
        return nearest.name not in TEXTS and nearest.node is node
    if isinstance(nearest, nodes.Operand):
        return True
    if isinstance(nearest, nodes.CondExpr):
        return nearest.test is node
    return isinstance(
        nearest, (*ARITHMETIC, nodes.Compare, nodes.Call, nodes.And, nodes.Or, nodes.Not, nodes.Test, nodes.Getitem, nodes.Pair)
    )


def unconverted(template):
    """Return the options that `template` uses as they came."""
    for node, above in parents(ENVIRONMENT.parse(template)):
        if not isinstance(node, nodes.Name) or node.ctx != "load":
            continue
        if node.name in OPTIONS["bool"] and not is_converted(above, "bool"):
            yield f"{node.name} without | bool"
        elif node.name in OPTIONS["int"] and not is_converted(above, "int") and is_reckoned(node, above):
            yield f"{node.name} without | int"


# Ansible takes backslashes as they stand
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_option_is_converted_where_it_is_used(path):
    assert [word for template in templates(path) for word in unconverted(template)] == []
