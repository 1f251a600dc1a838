"""Archives of images on their way to a host: which are sent, what is refused, and that none is put in place by halves."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.platform.plugins.module_utils import k3s_archives, k3s_lock
from ansible_collections.mlops.platform.plugins.modules import k3s_images
from lib.render import Roles

LAST = 1_700_000_000


@pytest.fixture
def controller(tmp_path):
    """Two archives on the controller, by their paths."""
    paths = [tmp_path / "controller" / name for name in ("mlflow.tar.zst", "postgres.tar")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(f"images of {path.name}")
        os.utime(path, (LAST, LAST))
    return [str(path) for path in paths]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host's data directory, and the place where archives arrive."""
    monkeypatch.setattr(k3s_lock, "LOCK", str(tmp_path / "lock"))
    (tmp_path / "data" / "agent" / "arrived").mkdir(parents=True)
    return tmp_path / "data"


def run(host, archives, check=False):
    """Run the module and return what it says."""
    arguments = {
        "archives": [{key: one[key] for key in ("name", "size", "mtime")} for one in archives],
        "directory": str(host / "agent" / "arrived"),
        "data_dir": str(host),
        "_ansible_check_mode": check,
    }
    output = io.StringIO()
    with patch_module_args(arguments), redirect_stdout(output), pytest.raises(SystemExit):
        k3s_images.main()
    return json.loads(output.getvalue())


def arrive(host, archives):
    """Copy archives as Ansible does, which does not keep their time."""
    (host / "agent" / "arrived").mkdir(exist_ok=True)
    for one in archives:
        with open(one["path"], "rb") as stream:
            (host / "agent" / "arrived" / one["name"]).write_bytes(stream.read())


def test_what_a_host_has_is_not_sent_again(controller, host):
    sent = k3s_archives.differing(controller, k3s_archives.present(str(host)))
    assert [one["name"] for one in sent] == ["mlflow.tar.zst", "postgres.tar"]
    expected = [str(host / "agent" / "images" / one["name"]) for one in sent]
    assert run(host, sent, check=True)["changed_paths"] == expected
    assert not (host / "agent" / "images").exists()
    arrive(host, sent)
    assert run(host, sent)["changed_paths"] == expected
    assert not (host / "agent" / "arrived").exists()
    assert [os.stat(path).st_mode & 0o777 for path in expected] == [0o644, 0o644]
    assert k3s_archives.differing(controller, k3s_archives.present(str(host))) == []
    assert run(host, sent)["changed"] is False


@pytest.mark.parametrize("change", ["size", "mtime"])
def test_one_that_changed_is_sent_again_and_no_other(controller, host, change):
    sent = k3s_archives.differing(controller, {})
    arrive(host, sent)
    run(host, sent)
    if change == "size":
        with open(controller[1], "a") as stream:
            stream.write("more")
    os.utime(controller[1], (LAST + (change == "mtime"), LAST + (change == "mtime")))
    assert [one["name"] for one in k3s_archives.differing(controller, k3s_archives.present(str(host)))] == ["postgres.tar"]


def test_half_an_archive_is_not_put_in_place(controller, host):
    sent = k3s_archives.differing(controller, {})
    arrive(host, sent)
    (host / "agent" / "arrived" / "mlflow.tar.zst").write_text("images")
    assert "and should have" in run(host, sent)["msg"]
    assert k3s_archives.present(str(host)) == {}


def test_all_that_is_wrong_with_the_paths_is_told(controller, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "postgres.tar").write_text("another one")
    (other / "notes.md").write_text("no archive")
    lists = [[*controller, str(other / "postgres.tar")], [str(other / "notes.md"), str(tmp_path), "mlflow.tar", "/nonexistent/one.tar"]]
    found = k3s_archives.problems(lists)
    assert len(found) == 5
    for text, part in zip(
        found, ("two files of the name postgres.tar", "none of the endings", "is no file", "whole path", "no such file"), strict=True
    ):
        assert part in text
    assert k3s_archives.problems([controller, controller]) == []


def test_the_role_sends_only_what_differs(controller):
    there = {"mlflow.tar.zst": k3s_archives.facts(controller[0])}
    role = Roles("k3s", k3s_image_archives=controller, k3s_state={"node": {"images": there}})
    assert [one["path"] for one in role.value("k3s_archives_sent")] == controller[1:]
