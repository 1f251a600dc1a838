"""Files that are replaced whole, and paths that are held to mode and owner."""

from __future__ import annotations

import os
import pwd
import stat

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import host_paths

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def nobody():
    return pwd.getpwnam("nobody")


def test_a_file_is_made_and_replaced(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"two \xff\x00"):
        host_paths.replace_file(str(path), content, 0o640)
        assert (path.read_bytes(), mode(path)) == (content, 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_the_given_one_whatever_the_umask_is(tmp_path):
    before = os.umask(0o777)
    try:
        host_paths.replace_file(str(tmp_path / "file"), b"", 0o600)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o600


@pytest.mark.parametrize("step", ["fchmod", "fsync", "rename"])
def test_a_run_that_ends_in_between_leaves_the_old_file_and_hinders_no_next_one(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_text("old")

    def ended(*_args):
        raise OSError("ended")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, ended)
        with pytest.raises(OSError, match="ended"):
            host_paths.replace_file(str(path), b"new", 0o644)
    assert path.read_text() == "old"
    host_paths.replace_file(str(path), b"new", 0o600)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    steps = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (steps.append(name), real(*args)))
    host_paths.replace_file(str(tmp_path / "file"), b"new", 0o600)
    assert steps == ["fsync", "rename"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    for name in ("file", "file.mlops-new"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    host_paths.replace_file(str(tmp_path / "file"), b"new", 0o600)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_check_mode_predicts_a_change_of_mode_and_makes_none(tmp_path):
    tmp_path.chmod(0o755)
    assert host_paths.hold(str(tmp_path), 0o700, check=True)
    assert mode(tmp_path) == 0o755
    assert host_paths.hold(str(tmp_path), 0o700)
    assert mode(tmp_path) == 0o700
    assert not host_paths.hold(str(tmp_path), 0o700)
    assert not host_paths.hold(str(tmp_path), 0o700, os.geteuid(), os.getegid(), check=True)


@ROOT_ONLY
def test_owner_and_group_are_held(tmp_path, nobody):
    path = tmp_path / "file"
    host_paths.replace_file(str(path), b"", 0o600, nobody.pw_uid)
    assert (path.stat().st_uid, path.stat().st_gid) == (nobody.pw_uid, os.getegid())
    assert host_paths.hold(str(path), 0o4700, nobody.pw_uid, nobody.pw_gid, check=True)
    assert path.stat().st_gid == os.getegid()
    assert host_paths.hold(str(path), 0o4700, nobody.pw_uid, nobody.pw_gid)
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (nobody.pw_uid, nobody.pw_gid, 0o4700)
    assert not host_paths.hold(str(path), 0o4700, nobody.pw_uid, nobody.pw_gid)
    assert host_paths.hold(str(path), 0o4700, 0, -1)
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (0, nobody.pw_gid, 0o4700)


@ROOT_ONLY
def test_the_owner_of_what_a_link_names_stays(tmp_path, nobody):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert host_paths.hold(str(tmp_path / "link"), 0o777, nobody.pw_uid)
    assert (tmp_path / "elsewhere").stat().st_uid == os.geteuid()
