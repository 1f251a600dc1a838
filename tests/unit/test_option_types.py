"""Options that are typed bool or int arrive as text when a user gives them as `-e name=value`: every use of one converts it.

Argument specifications check such a text and leave it as it is; and nothing in a play takes precedence over `-e`.
"""

from __future__ import annotations

import pytest
import yaml
from jinja2 import nodes
from lib.expressions import FILES, ROOT, parents, trees

ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg)
TEXTS = {"join", "string", "length"}


def options():
    """Return {type: names} of the options of all roles."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            for name, option in (spec.get("options") or {}).items():
                found.setdefault(option.get("type", "str"), set()).add(name)
    return found


OPTIONS = options()


def is_converted(above, kind):
    """Return whether the nodes `above` an option make it a `kind`; another role's option may need a default before."""
    nearest = next(one for one in above if not (isinstance(one, nodes.Filter) and one.name == "default"))
    return isinstance(nearest, nodes.Filter) and nearest.name == kind


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


def unconverted(tree):
    """Return the options that a template uses as they came."""
    for node, above in parents(tree):
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
    assert [word for tree in trees(path) for word in unconverted(tree)] == []
