"""What a restore of a base backup leaves when it fails or is killed, and that it is nobody's only copy. The recovery is a stand-in."""

from __future__ import annotations

import contextlib
import types
from pathlib import Path

import pytest
from lib.backup_program import complete, settings
from mlops_backup import exchange, recovery, restore
from mlops_backup.problems import BackupError

NAME, NUMBER = "20260101T000000Z", "4711"


@pytest.fixture
def found(tmp_path):
    """Settings of a pod with a volume that has a cluster, and a backup."""
    login = {"data": str(tmp_path / "volume" / "17"), "run": "/nowhere", "major": 17, "schemas": {}}
    made = settings(tmp_path, pod=True, installation=NUMBER, postgresql=login)
    made.vault(NUMBER).store.prepare()
    about = {
        "version": 170004,
        "size": 1,
        "archive": True,
        "log": "wal/1",
        "first_wal": "000000010000000000000003",
        "last_lsn": "0/3000000",
    }
    complete(made.vault(NUMBER), NAME, installation=NUMBER, database=about)
    place = Path(login["data"])
    place.mkdir(parents=True)
    (place / "PG_VERSION").write_text("old")
    return made


class Recovered:
    """A recovery whose server is up; `failing`: the step of it that fails, and how."""

    run, port = "/nowhere", 1

    def __init__(self, monkeypatch, failing=None, error=None):
        self.failing, self.error, self.stopped = failing, error, False
        monkeypatch.setattr(restore, "plan", lambda _settings, _request: self.planned())
        monkeypatch.setattr(restore.pod, "reached", lambda _settings: self.failing == "meanwhile" and self.stopped)
        monkeypatch.setattr(restore.database, "room", lambda *_words: self.step("room"))
        monkeypatch.setattr(restore.addresses, "check", lambda *_words: self.step("check"))
        monkeypatch.setattr(restore.database, "schemas", lambda *_words, **_more: {})
        monkeypatch.setattr(recovery, "recovered", self.recovered)
        monkeypatch.setattr(recovery, "forget_objects", lambda _server: None)
        monkeypatch.setattr(recovery, "replayed", lambda _server: None)

    def planned(self):
        return {"installation": NUMBER, "backup": NAME, "time": "", "own": True, "point": {"time": "2026-01-01T00:00:00Z"}}

    def step(self, name):
        if name == self.failing:
            raise self.error

    def recovered(self, _settings, _vault, _manifest, directory, *_words, **_more):
        restore.shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / "PG_VERSION").write_text("new")
        self.step("recovery")
        return self

    def session(self, _name):
        return contextlib.nullcontext()

    def stop(self):
        self.stopped = True

    def keep_archived(self, _manifest, _vault):
        self.step("archive")


def there(found):
    """Return what the volume has, by its directories."""
    volume = Path(found.postgresql["data"]).parent
    return {path.relative_to(volume).parts[0].partition("-")[0]: path.read_text() for path in volume.rglob("PG_VERSION")}


def test_the_new_cluster_takes_the_place_of_the_old_one(found, monkeypatch):
    Recovered(monkeypatch)
    restore.databases(found, {})
    assert there(found) == {"17": "new", "replaced": "old"}


@pytest.mark.parametrize("step", ["recovery", "check", "archive", "meanwhile"])
@pytest.mark.parametrize("error", [BackupError("damaged"), OSError(28, "No space left on device"), SystemExit(143)])
def test_one_that_fails_or_is_ended_leaves_the_old_cluster_alone(found, monkeypatch, step, error):
    Recovered(monkeypatch, step, error)
    with pytest.raises(SystemExit if isinstance(error, SystemExit) and step != "meanwhile" else BackupError):
        restore.databases(found, {})
    assert there(found) == {"17": "old"}


def left(found):
    """Make what a killed run leaves."""
    path = Path(found.postgresql["data"]).with_name("restored")
    path.mkdir()
    (path / "PG_VERSION").write_text("killed")


def test_what_a_killed_one_left_does_not_take_the_room_of_the_next(found, monkeypatch):
    left(found)
    Recovered(monkeypatch, "room", BackupError("make room"))
    with pytest.raises(BackupError, match="make room"):
        restore.databases(found, {})
    assert there(found) == {"17": "old"}


@pytest.mark.parametrize("call", range(2))
def test_one_that_is_killed_while_they_change_places_leaves_a_whole_cluster_there(found, monkeypatch, call):
    """A server that found nothing in the place of its data would make an empty cluster, which looks like one that has lost everything."""
    Recovered(monkeypatch)
    data, calls = Path(found.postgresql["data"]), []

    def killed(made):
        def step(*words):
            calls.append(words)
            if len(calls) == call + 1:
                raise SystemExit(137)
            return made(*words)

        return step

    monkeypatch.setattr(Path, "rename", killed(Path.rename))
    monkeypatch.setattr(exchange, "exchange", killed(exchange.exchange))
    # who is killed takes nothing away
    monkeypatch.setattr(restore, "_draft", contextlib.nullcontext)
    with pytest.raises(SystemExit):
        restore.databases(found, {})
    assert len(calls) == call + 1
    assert (data / "PG_VERSION").read_text() == "old"
    assert sorted(there(found).values()) == ["new", "old"]


def test_a_file_system_that_knows_no_exchange_takes_two_steps(found, monkeypatch):
    Recovered(monkeypatch)
    monkeypatch.setattr(exchange, "exchange", lambda *_paths: False)
    restore.databases(found, {})
    assert there(found) == {"17": "new", "replaced": "old"}


def test_what_cannot_be_exchanged_is_told(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError, match="other"):
        exchange.exchange(tmp_path / "one", tmp_path / "other")


def test_a_cluster_that_only_was_not_put_in_its_place_stays_until_it_is_made_anew(found, monkeypatch):
    """One that was killed between the two steps that some file systems need: nothing is in the place of the data."""
    data, step = Path(found.postgresql["data"]), Recovered(monkeypatch, "room", BackupError("make room"))
    aside = data.with_name("replaced-20260101T000000Z")
    aside.mkdir()
    data.rename(aside / "postgresql")
    left(found)
    with pytest.raises(BackupError, match="make room"):
        restore.databases(found, {})
    assert there(found) == {"restored": "killed", "replaced": "old"}
    step.failing = None
    restore.databases(found, {})
    assert there(found) == {"17": "new", "replaced": "old"}


def test_one_that_does_not_begin_takes_nothing_away(found, monkeypatch):
    left(found)
    monkeypatch.setattr(restore, "plan", lambda *_words: pytest.fail("another one has the lock"))
    with restore.held(Path(found.postgresql["data"]).parent / "restore.lock", "restore"), pytest.raises(BackupError, match="under way"):
        restore.databases(found, {})
    monkeypatch.setattr(restore, "plan", lambda *_words: {"time": ""})
    monkeypatch.setattr(restore, "pod", types.SimpleNamespace(reached=lambda _settings: True))
    with pytest.raises(BackupError, match="still runs"):
        restore.databases(found, {})
    assert there(found) == {"17": "old", "restored": "killed"}
