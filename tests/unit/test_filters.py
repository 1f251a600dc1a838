"""The collection's filters, and their documentation's examples."""

from __future__ import annotations

import base64
import hashlib
import importlib

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.filter.durations import durations
from ansible_collections.mlops.platform.plugins.filter.htpasswd import htpasswd
from lib.render import ODD, ROOT, Roles

NAMES = sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.py"))


def load(name):
    return importlib.import_module(f"ansible_collections.mlops.platform.plugins.filter.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_filter_is_named_as_its_file_and_documented(name):
    module = load(name)
    assert set(module.FilterModule().filters()) == {name}
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["name"] == name
    assert set(documentation["options"]) >= {"_input"}
    assert isinstance(yaml.safe_load(module.EXAMPLES), list)
    assert "_value" in yaml.safe_load(module.RETURN)


def test_a_part_ends_where_the_next_one_begins():
    assert durations([["PostgreSQL", 100.0], ["MLflow", 104.5]], 130.0) == ["PostgreSQL 4.5 s", "MLflow 25.5 s"]


def test_times_of_the_same_part_are_added():
    assert durations([["a", 0], ["b", 1], ["a", 3]], 10) == ["a 8.0 s", "b 2.0 s"]


def test_no_part_takes_no_line():
    assert durations([], 1.0) == []


def test_times_that_became_text_in_a_fact_are_numbers():
    assert durations([["a", "1.5"]], "3") == ["a 1.5 s"]


def test_htpasswd_is_the_documented_line():
    example = yaml.safe_load(load("htpasswd").RETURN)["_value"]["sample"]
    line = htpasswd("secret", "ops")
    assert line == "ops:{SHA}" + base64.b64encode(hashlib.sha1(b"secret", usedforsecurity=False).digest()).decode()
    assert example.partition(":")[0] == "ops"
    assert len(example) == len(line)


def test_htpasswd_is_the_same_for_the_same_password_alone():
    assert htpasswd(ODD, "a") == htpasswd(ODD, "a")
    assert len({htpasswd(password, "a") for password in (ODD, ODD + " ", ODD[:-1], "é")}) == 4


def test_filters_are_called_by_their_full_names_in_templates():
    assert Roles().value("'x' | mlops.platform.htpasswd('a')") == htpasswd("x", "a")
    assert Roles().value("[['a', 1]] | mlops.platform.durations(2)") == ["a 1.0 s"]
