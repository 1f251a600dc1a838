"""Secrets in files: generated once, read back, replaced when given, and shown nowhere."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.secret_values import wanted
from ansible_collections.mlops.platform.plugins.modules import secret_files
from lib.modules import run_module

# a value that Ansible's masking would show at once
GIVEN = 'given "secret" \\ $HOME `x` ü'


def keep(directory, check=False, given=None, **specs):
    checked = {name: wanted(name, spec, (given or {}).get(name)) for name, spec in specs.items()}
    return secret_files.keep(str(directory), checked, -1, check)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def content(directory):
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()} if directory.exists() else None


def test_secrets_are_generated_once_and_read_back(tmp_path):
    directory = tmp_path / "secrets"
    first = keep(directory, a={}, b={"charset": "hex", "length": 64})
    assert first["changed"] and first["generated"] == ["a", "b"]
    assert len(first["secrets"]["a"]) == 40 and first["secrets"]["a"].isalnum()
    assert len(bytes.fromhex(first["secrets"]["b"])) == 32
    assert content(directory) == {name: value + "\n" for name, value in first["secrets"].items()}
    assert mode(directory) == 0o700
    assert {mode(path) for path in directory.iterdir()} == {0o600}
    second = keep(directory, a={}, b={"charset": "hex", "length": 64})
    assert second == {"changed": False, "secrets": first["secrets"], "previous": {}, "generated": [], "replaced": []}


def test_two_installations_have_different_secrets(tmp_path):
    assert keep(tmp_path / "one", a={})["secrets"] != keep(tmp_path / "two", a={})["secrets"]


def test_check_mode_predicts_and_writes_nothing(tmp_path):
    directory = tmp_path / "secrets"
    predicted = keep(directory, check=True, a={})
    assert predicted["changed"] and predicted["generated"] == ["a"]
    assert len(predicted["secrets"]["a"]) == 40
    assert content(directory) is None
    keep(directory, a={})
    before = content(directory)
    replaced = keep(directory, check=True, given={"a": GIVEN}, a={"keep_previous": True})
    assert (replaced["changed"], replaced["replaced"], replaced["secrets"]) == (True, ["a"], {"a": GIVEN})
    assert replaced["previous"] == {"a": [before["a"].strip()]}
    assert content(directory) == before


def test_a_given_value_replaces_and_the_old_one_is_kept_until_it_is_removed(tmp_path):
    old = keep(tmp_path, a={})["secrets"]["a"]
    result = keep(tmp_path, given={"a": GIVEN}, a={"keep_previous": True})
    assert (result["changed"], result["replaced"], result["previous"]) == (True, ["a"], {"a": [old]})
    assert content(tmp_path) == {"a": GIVEN + "\n", "a.previous": old + "\n"}
    assert mode(tmp_path / "a.previous") == 0o600
    # an earlier run was killed before it told the server: the old one is still known
    again = keep(tmp_path, given={"a": GIVEN}, a={"keep_previous": True})
    assert (again["changed"], again["replaced"], again["previous"]) == (False, [], {"a": [old]})
    # and so is every other that the server may have, newest first
    third = keep(tmp_path, given={"a": "another value"}, a={"keep_previous": True})
    assert third["previous"] == {"a": [GIVEN, old]}
    (tmp_path / "a.previous").unlink()
    assert keep(tmp_path, a={"keep_previous": True})["previous"] == {}


def test_a_replaced_value_that_nobody_asks_for_is_not_kept(tmp_path):
    keep(tmp_path, a={})
    assert keep(tmp_path, given={"a": GIVEN}, a={})["previous"] == {}
    assert content(tmp_path) == {"a": GIVEN + "\n"}


def test_an_empty_given_value_keeps_what_is_there(tmp_path):
    first = keep(tmp_path, given={"a": ""}, a={})
    assert first["generated"] == ["a"]
    assert keep(tmp_path, given={"a": ""}, a={})["secrets"] == first["secrets"]


def test_an_empty_file_is_no_secret(tmp_path):
    (tmp_path / "a").write_text("\n")
    assert keep(tmp_path, a={})["generated"] == ["a"]


def test_modes_that_were_opened_are_closed_again(tmp_path):
    keep(tmp_path, a={})
    tmp_path.chmod(0o755)
    (tmp_path / "a").chmod(0o644)
    assert keep(tmp_path, check=True, a={})["changed"]
    assert mode(tmp_path / "a") == 0o644
    assert keep(tmp_path, a={})["changed"]
    assert (mode(tmp_path), mode(tmp_path / "a")) == (0o700, 0o600)
    assert not keep(tmp_path, a={})["changed"]


def test_what_an_interrupted_run_left_is_in_nobodys_way(tmp_path):
    (tmp_path / "a.mlops-new").symlink_to(tmp_path / "elsewhere")
    keep(tmp_path, a={})
    assert sorted(content(tmp_path)) == ["a"]
    assert not (tmp_path / "elsewhere").exists()


def test_the_module_shows_no_value_without_no_log(tmp_path):
    arguments = {"directory": str(tmp_path / "secrets"), "secrets": {"a": {}, "b": {}}, "given": {"b": GIVEN}}
    result = run_module("secret_files", arguments, diff=True)
    assert result["changed"] and result["generated"] == ["a"]
    written = content(tmp_path / "secrets")
    for value in written.values():
        assert json.dumps(value.strip())[1:-1] not in json.dumps(result)
    assert result["diff"]["after"].splitlines() == ["a: generated"]
    assert run_module("secret_files", arguments)["changed"] is False


def test_the_module_hands_the_values_on_where_the_task_hides_them(tmp_path):
    arguments = {"directory": str(tmp_path), "secrets": {"a": {}}, "given": {"a": GIVEN}, "_ansible_no_log": True}
    assert run_module("secret_files", arguments)["secrets"] == {"a": GIVEN}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"secrets": {"a": {}}, "given": {"b": "value"}}, "['b'] are not among the secrets ['a']"),
        ({"secrets": {"a": {}}, "owner": "no-such-user-here"}, "there is no user 'no-such-user-here'"),
        ({"secrets": {"a": {"length": 1}}}, "between 16 and 512"),
    ],
)
def test_the_module_fails_in_words_and_writes_nothing(tmp_path, options, words):
    result = run_module("secret_files", {"directory": str(tmp_path / "secrets"), **options})
    assert result["failed"]
    assert words in result["msg"]
    assert not (tmp_path / "secrets").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_module("secret_files", {"directory": str(tmp_path / "file" / "secrets"), "secrets": {"a": {}}})
    assert result["failed"]
    assert f"cannot keep the secrets in {tmp_path / 'file' / 'secrets'}" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")
def test_files_belong_to_the_owner(tmp_path):
    import pwd

    nobody = pwd.getpwnam("nobody").pw_uid
    arguments = {"directory": str(tmp_path / "secrets"), "secrets": {"a": {}}, "owner": "nobody"}
    assert run_module("secret_files", arguments)["changed"]
    assert {path.stat().st_uid for path in (tmp_path / "secrets", tmp_path / "secrets" / "a")} == {nobody}
    os.chown(tmp_path / "secrets" / "a", 0, 0)
    assert run_module("secret_files", arguments, check=True)["changed"]
    assert (tmp_path / "secrets" / "a").stat().st_uid == 0
    assert run_module("secret_files", arguments)["changed"]
    assert (tmp_path / "secrets" / "a").stat().st_uid == nobody
    assert not run_module("secret_files", arguments)["changed"]
