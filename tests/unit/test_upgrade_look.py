"""What an upgrade reckons that it needs of the disks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from lib.render import ROOT

MIB = 2**20


@pytest.fixture
def look(monkeypatch):
    """The program, on a disk with 100 MiB of free space; what is below a directory `other` is on another one, with 6 MiB."""
    spec = importlib.util.spec_from_file_location("upgrade_look", ROOT / "roles/upgrade/files/upgrade_look.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "space", lambda path: (1, 6) if "other" in path.parts else (0, 100))
    # by their length: how many blocks they take is the file system's
    monkeypatch.setattr(module, "size", lambda path: sum(one.stat().st_size for one in Path(path).rglob("*") if one.is_file()) // MIB)
    return module


def fill(path, megabytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(megabytes * MIB))


@pytest.fixture
def ask(tmp_path):
    """A platform with 2 MiB of database and 5 of objects, of which a backup has 3; it has 4 MiB of the database besides."""
    fill(tmp_path / "data/postgresql/18/base", 2)
    fill(tmp_path / "data/seaweedfs/volume/1.dat", 5)
    for place in ("backups", "other"):
        fill(tmp_path / place / "42/objects/aa/one", 3)
        fill(tmp_path / place / "42/backups/20261129T000000Z/base.tar", 4)
    return {"data_dir": str(tmp_path / "data"), "backs_up": True, "backup_dir": "", "runtime_mb": 10, "reserve_mb": 20}


@pytest.mark.parametrize(
    "place, backs_up, needed, elsewhere",
    [
        # environment, reserve, a base backup that is made and one that is restored; two that are kept, and the objects without a backup
        ("backups", True, 10 + 20 + 2 * 2 + 2 * 2 + (5 - 3), None),
        ("other", True, 10 + 20 + 2 * 2, 2 * 2 + (5 - 3)),
        # a bucket takes the backups, but not what is made and restored here
        ("", True, 10 + 20 + 2 * 2, None),
        ("", False, 10 + 20, None),
    ],
)
def test_what_is_needed(look, ask, tmp_path, place, backs_up, needed, elsewhere):
    found, problems = look.room({**ask, "backs_up": backs_up, "backup_dir": str(tmp_path / place) if place else ""})
    assert (found["needed"], found.get("needed_for_backups"), problems) == (needed, elsewhere, [])


def test_a_disk_that_is_too_small_is_told_with_what_is_needed(look, ask, tmp_path):
    _found, (problem,) = look.room({**ask, "reserve_mb": 200})
    assert f"{tmp_path}/data has 100 MiB of free disk, and an upgrade with its way back needs 214" in problem
    fill(tmp_path / "data/seaweedfs/volume/2.dat", 1)
    _found, (problem,) = look.room({**ask, "backup_dir": str(tmp_path / "other")})
    assert f"{tmp_path}/other has 6 MiB of free disk, and the backups of an upgrade need 7" in problem
