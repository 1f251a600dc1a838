"""The module host_files: many files in one call, whole or not at all, and no secret in a diff."""

from __future__ import annotations

import json
import stat

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.platform.plugins.modules import host_files
from lib.modules import run_module

SECRET = "not-in-any-diff"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def arguments(root):
    return {
        "directories": [{"path": f"{root}/a"}, {"path": f"{root}/a/b", "mode": "0755"}],
        "files": [
            {"path": f"{root}/a/shown", "content": "ü one\n"},
            {"path": f"{root}/a/program", "content": "#!/bin/sh\n", "mode": "0500"},
        ],
        "secret_files": [{"path": f"{root}/a/b/secret", "content": f"{SECRET}\n"}],
    }


def identity(path):
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def paths(root):
    return [f"{root}/{name}" for name in ("a", "a/b", "a/shown", "a/program", "a/b/secret")]


def test_check_mode_says_what_a_real_run_does_and_a_second_run_does_nothing(tmp_path):
    predicted = run_module("host_files", arguments(tmp_path), check=True)
    # parents would exist by then
    assert predicted["changed"] and predicted["changed_paths"] == paths(tmp_path)
    assert list(tmp_path.iterdir()) == []
    done = run_module("host_files", arguments(tmp_path))
    assert done["changed_paths"] == predicted["changed_paths"]
    assert (tmp_path / "a" / "shown").read_text(encoding="utf-8") == "ü one\n"
    assert (tmp_path / "a" / "b" / "secret").read_text(encoding="utf-8") == f"{SECRET}\n"
    found = {path: mode(tmp_path / path) for path in ("a", "a/b", "a/shown", "a/program", "a/b/secret")}
    assert found == {"a": 0o700, "a/b": 0o755, "a/shown": 0o600, "a/program": 0o500, "a/b/secret": 0o600}
    again = run_module("host_files", arguments(tmp_path))
    assert (again["changed"], again["changed_paths"]) == (False, [])


def test_only_what_differs_is_changed(tmp_path):
    run_module("host_files", arguments(tmp_path))
    (tmp_path / "a" / "shown").write_text("two\n")
    (tmp_path / "a" / "b").chmod(0o700)
    # not the time of access: reading changes it
    untouched = identity(tmp_path / "a" / "program")
    assert run_module("host_files", arguments(tmp_path), check=True)["changed_paths"] == [f"{tmp_path}/a/b", f"{tmp_path}/a/shown"]
    assert (tmp_path / "a" / "shown").read_text() == "two\n"
    assert run_module("host_files", arguments(tmp_path))["changed_paths"] == [f"{tmp_path}/a/b", f"{tmp_path}/a/shown"]
    assert identity(tmp_path / "a" / "program") == untouched


def checked(root, content, command):
    return {
        "directories": [{"path": f"{root}/a"}],
        "files": [{"path": f"{root}/other", "content": "o"}, {"path": f"{root}/conf", "content": content, "check": command}],
    }


def words_of(root):
    """A command that takes a file with the word good in it, says so of others, and counts how often it was asked."""
    return ["/bin/sh", "-c", f"echo asked >>{root}/asked; grep -q good $1 || {{ echo $1 is bad; cat $1; exit 3; }}", "sh", "%s"]


@pytest.mark.parametrize("check", [True, False])
def test_refused_content_changes_nothing_and_is_told_in_the_commands_words(tmp_path, check):
    run_module("host_files", checked(tmp_path, "good", words_of(tmp_path)))
    before = sorted(tmp_path.iterdir()), (tmp_path / "conf").read_text()
    bad = checked(tmp_path, "worse", words_of(tmp_path))
    bad["files"][0]["content"] = "another"
    done = run_module("host_files", bad, check=check)
    assert done["failed"] and done["changed_paths"] == []
    assert f"{tmp_path}/conf is bad\nworse" in done["msg"]
    assert (sorted(tmp_path.iterdir()), (tmp_path / "conf").read_text()) == before
    assert (tmp_path / "other").read_text() == "o"


def test_content_is_checked_only_where_it_changes(tmp_path):
    run_module("host_files", checked(tmp_path, "good", words_of(tmp_path)))
    assert not run_module("host_files", checked(tmp_path, "good", words_of(tmp_path)))["changed"]
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert run_module("host_files", checked(tmp_path, "good too", words_of(tmp_path)))["changed_paths"] == [f"{tmp_path}/conf"]
    assert (tmp_path / "asked").read_text() == "asked\n" * 2


def test_a_check_without_its_program_is_left_out_in_check_mode_alone(tmp_path):
    wanted = checked(tmp_path, "good", ["env", f"{tmp_path}/not-installed-yet", "%s"])
    assert run_module("host_files", wanted, check=True)["changed"]
    done = run_module("host_files", wanted)
    assert done["failed"] and "not-installed-yet" in done["msg"]
    assert list(tmp_path.iterdir()) == []


def test_diff_shows_files_and_no_secret(tmp_path):
    result = run_module("host_files", arguments(tmp_path), diff=True)
    by_path = {entry.get("after_header"): entry for entry in result["diff"]}
    assert (by_path[f"{tmp_path}/a/shown"]["before"], by_path[f"{tmp_path}/a/shown"]["after"]) == ("", "ü one\n")
    assert f"{tmp_path}/a/b/secret" in by_path
    assert SECRET not in json.dumps(result)


def test_a_replaced_secret_is_not_in_the_diff_either(tmp_path):
    run_module("host_files", arguments(tmp_path))
    changed = arguments(tmp_path)
    changed["secret_files"][0]["content"] = "the-next-secret\n"
    result = run_module("host_files", changed, diff=True)
    assert result["changed_paths"] == [f"{tmp_path}/a/b/secret"]
    assert SECRET not in json.dumps(result)
    assert "the-next-secret" not in json.dumps(result)


def test_what_must_not_be_there_is_removed_after_the_rest_was_written(tmp_path):
    (tmp_path / "old").write_text(SECRET)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("mine")
    wanted = {
        "files": [{"path": f"{tmp_path}/new", "content": "x"}],
        "absent": [f"{tmp_path}/{name}" for name in ("old", "link", "none", "elsewhere/below")],
    }
    predicted = run_module("host_files", wanted, check=True, diff=True)
    assert predicted["changed_paths"] == [f"{tmp_path}/{name}" for name in ("new", "old", "link")]
    assert SECRET not in json.dumps(predicted) and f"file {tmp_path}/old\n" in [entry["before"] for entry in predicted["diff"]]
    assert (tmp_path / "old").exists()
    assert run_module("host_files", wanted)["changed_paths"] == predicted["changed_paths"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "new"]
    again = run_module("host_files", wanted)
    assert (again["changed"], again["changed_paths"]) == (False, [])


def test_a_directory_is_not_removed(tmp_path):
    (tmp_path / "data").mkdir()
    result = run_module("host_files", {"absent": [f"{tmp_path}/data"]})
    assert result["failed"] and "remove it yourself" in result["msg"]
    assert (tmp_path / "data").is_dir()


def test_a_link_in_a_files_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    result = run_module("host_files", {"files": [{"path": str(tmp_path / "link"), "content": "theirs"}]})
    assert result["failed"]
    assert "no regular file" in result["msg"]
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_file_in_a_directorys_place_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    result = run_module("host_files", {"directories": [{"path": str(tmp_path / "file")}]})
    assert "is there and no directory" in result["msg"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"owner": "no-such-user-here"}, "no user 'no-such-user-here'"),
        ({"directories": [{"path": "/tmp", "mode": "rwx"}]}, "octal"),
        ({"files": [{"path": "/nonexistent/a/b", "content": ""}]}, "/nonexistent/a/b"),
    ],
)
def test_bad_requests_fail_in_words(options, words):
    result = run_module("host_files", options)
    assert result["failed"]
    assert words in result["msg"]


def test_what_an_interrupted_run_left_is_in_nobodys_way(tmp_path):
    (tmp_path / "file.mlops-new").symlink_to(tmp_path / "elsewhere")
    assert run_module("host_files", {"files": [{"path": str(tmp_path / "file"), "content": "x"}]})["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# what Python's notation writes otherwise: quotation marks, a backslash, a line break, a letter beyond ASCII
ODD_SECRETS = ["first-line\nsecond-line\n", 'it\'s-"odd"', "back\\slash", "plain", "tab\tsecret", "\x01ü"]
FRAGMENTS = ("first-line", "second-line", "odd", "slash", "plain", "tab", "secret", "x01")


def journal(monkeypatch, capsys, root):
    """Run the module with odd secrets, and return what it logs on the host."""
    logged = []
    monkeypatch.setattr(host_files.Module, "log", lambda _self, message, **_unused: logged.append(message))
    entries = [{"path": f"{root}/{number}", "content": content} for number, content in enumerate(ODD_SECRETS)]
    arguments = {"secret_files": entries, "files": [{"path": f"{root}/shown", "content": "not-of-interest"}], "absent": [f"{root}/old"]}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        host_files.main()
    assert json.loads(capsys.readouterr().out)["changed"] is True
    return " ".join(logged)


def test_no_content_is_in_the_hosts_journal(monkeypatch, capsys, tmp_path):
    logged = journal(monkeypatch, capsys, tmp_path)
    assert f"{tmp_path}/0 {tmp_path}/1" in logged and f"{tmp_path}/shown" in logged and logged.endswith(f"{tmp_path}/old")
    assert [fragment for fragment in (*FRAGMENTS, "not-of-interest") if fragment in logged.replace(str(tmp_path), "")] == []


def test_ansibles_own_log_would_hold_secrets(monkeypatch, capsys, tmp_path):
    """Positive control: once this fails, AnsibleModule masks secrets in lists, and the module's own way is needed no more."""
    monkeypatch.setattr(host_files.Module, "_log_invocation", AnsibleModule._log_invocation)
    logged = journal(monkeypatch, capsys, tmp_path)
    assert "plain" not in logged
    assert "second-line" in logged


def test_examples_are_tasks():
    assert all("mlops.platform.host_files" in task for task in yaml.safe_load(host_files.EXAMPLES))
