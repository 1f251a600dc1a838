"""The lookup that fills in templates: as ansible.builtin.template does, and without its copy of all variables."""

from __future__ import annotations

import copy

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TEXT = """# {{ ansible_managed }}: {{ template_path | basename }}
{% for one in things %}
{{ one }} {{ later | default('-') }} {{ deep.er.value }}
{% endfor %}
{% include 'part.j2' %}
"""


class Uncopied:
    """A value that must not be copied."""

    def __deepcopy__(self, memo):
        raise AssertionError("a variable was copied")


@pytest.fixture
def look_up(tmp_path):
    """Return a function that fills in the template with one of both lookups."""
    (tmp_path / "text.j2").write_text(TEXT)
    (tmp_path / "part.j2").write_text("included {{ things | length }}")
    variables = {
        "ansible_managed": "Ansible managed",
        "things": [1, trust_as_template("{{ 1 + 1 }}")],
        "deep": {"er": {"value": trust_as_template("{{ things[1] }}")}},
        "path": str(tmp_path / "text.j2"),
    }

    def fill_in(plugin, more="", **others):
        templar = Templar(loader=DataLoader(), variables={**variables, **others})
        return templar.template(trust_as_template("{{ query('" + plugin + "', path, path" + more + ") }}"))

    fill_in.variables = variables
    return fill_in


@pytest.mark.parametrize("more", ["", ", template_vars={'later': 'now', 'things': [3, 2]}"])
def test_it_gives_what_the_builtin_one_gives(look_up, more):
    before = copy.deepcopy(look_up.variables)
    ours = look_up("mlops.platform.template", more)
    assert ours == look_up("ansible.builtin.template", more)
    assert ours[0] == ours[1] and ours[0].startswith("# Ansible managed: text.j2\n")
    assert ("\n3 now 2\n" if more else "\n2 - 2\n") in ours[0] and ours[0].endswith("\nincluded 2\n")
    assert look_up.variables == before


def test_no_variable_is_copied(look_up):
    look_up("mlops.platform.template", another=Uncopied())


def test_a_missing_template_is_named(look_up):
    with pytest.raises(AnsibleError, match="nowhere.j2"):
        look_up("mlops.platform.template", path="/nowhere.j2")
