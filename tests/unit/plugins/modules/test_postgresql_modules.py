from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from lib.modules import run_module

# the options that each needs
MODULES = {"postgresql_role": {"name": "x"}, "postgresql_database": {"name": "x"}, "postgresql_accounts": {"accounts": {}, "passwords": {}}}
ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("name", MODULES)
def test_without_the_driver(tmp_path, name):
    (tmp_path / "psycopg2.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    failed = run_module(name, MODULES[name], env={"PYTHONPATH": str(tmp_path)})
    assert failed["failed"]
    assert "psycopg2-binary" in failed["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_the_action_group_has_the_module(name):
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert name in runtime["action_groups"]["postgresql"]


@pytest.mark.parametrize("name", MODULES)
def test_documentation_declares_what_is_supported(name):
    documentation = yaml.safe_load(import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").DOCUMENTATION)
    assert {attribute: value["support"] for attribute, value in documentation["attributes"].items()} == {
        "check_mode": "full",
        "diff_mode": "full",
        "idempotent": "full",
    }
    # unset means untouched: only what steers the module itself has a default
    defaults = {option for option, value in documentation["options"].items() if "default" in value}
    steering = {
        "postgresql_role": {"state", "member_of_purge"},
        "postgresql_database": {"state", "grants_purge", "force"},
        "postgresql_accounts": {"join"},
    }
    assert defaults == steering[name]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("postgresql_database", {"locale": "C", "lc_ctype": "C"}, "mutually exclusive"),
        ("postgresql_database", {"grants": [{"role": "r", "privileges": ["SELECT"]}]}, "SELECT"),
        ("postgresql_database", {"grants": [{"privileges": ["CONNECT"]}]}, "role"),
        ("postgresql_role", {"member_of_options": {"other": True}}, "other"),
        ("postgresql_role", {}, "missing required arguments: name"),
    ],
)
def test_arguments_that_are_refused(name, options, words):
    failed = run_module(name, {"name": "x", **options} if options or name != "postgresql_role" else {})
    assert failed["failed"]
    assert words in failed["msg"]


@pytest.mark.parametrize(
    ("accounts", "words"),
    [({"a": None}, "accounts: a needs the list"), ({"a": [1]}, "accounts: a needs the list"), ({"a": []}, "passwords: there is none of a")],
)
def test_accounts_that_are_refused_before_a_server_is_asked(accounts, words):
    failed = run_module(
        "postgresql_accounts", {"accounts": accounts, "passwords": {"b": "secret"}, "login_host": "127.0.0.1", "login_port": 1}
    )
    assert words in failed["msg"]
