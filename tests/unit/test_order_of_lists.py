"""Lists keep their order, and a list that is looked through again is one.

Ansible's filters of sets go through Python's `set`, which orders texts by a number that each process draws anew: the first of
`mlops_public_names` makes the public URL, and would be another one in every second run.
"""

from __future__ import annotations

import pytest
from jinja2 import nodes
from lib.expressions import ENVIRONMENT, FILES, ROOT, parents, trees

UNORDERED = ("difference", "intersect", "union", "symmetric_difference")
# these return an iterator, which `in` has used up after its first question
ITERATORS = ("map", "select", "reject", "selectattr", "rejectattr")


def disordered(tree):
    """Return the filters of sets whose order somebody could see."""
    for node, above in parents(tree):
        seen = not (above and isinstance(above[0], nodes.Filter) and above[0].name in ("length", "sort"))
        if seen and isinstance(node, nodes.Filter) and node.name in UNORDERED:
            yield f"{node.name}: reject('in', ...) and select('in', ...) keep the order"


def used_up(tree):
    """Return the iterators that `select('in', ...)` or `reject('in', ...)` would ask more than once."""
    for node, _above in parents(tree):
        if isinstance(node, nodes.Filter) and node.name in ("select", "reject", "selectattr", "rejectattr"):
            names = [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
            asked = node.args[-1] if "in" in names else None
            if isinstance(asked, nodes.Filter) and asked.name in ITERATORS:
                yield f"{node.name}('in', ... | {asked.name}(...)): the inner one needs | list"


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("path", [*FILES, *sorted(ROOT.glob("molecule/**/*.yml"))], ids=lambda path: str(path.relative_to(ROOT)))
def test_order_is_kept(path):
    assert [word for tree in trees(path) for check in (disordered, used_up) for word in check(tree)] == []


@pytest.mark.parametrize(
    "text, count",
    [
        ("{{ a | difference(b) }}", 1),
        ("{{ a | difference(b) | first }}", 1),
        ("{{ (a | union(b)) + c | intersect(d) | sort }}", 1),
        ("{{ a | difference(b) | length }}", 0),
        ("{{ a | reject('in', b | map(attribute='c')) }}", 1),
        ("{{ a | selectattr('d', 'in', b | select) }}", 1),
        ("{{ a | reject('in', b | map(attribute='c') | list) }}", 0),
    ],
)
def test_the_rules_see(text, count):
    tree = ENVIRONMENT.parse(text)
    assert len([*disordered(tree), *used_up(tree)]) == count
