"""What a restore would do, and what it refuses before anything is touched; the archive of the write-ahead log. No server is needed."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lib.backup_program import KEY, Bucket, cluster, complete, key_file, settings
from mlops_backup import lock, restore, schedule, wal
from mlops_backup.plan import plan, release
from mlops_backup.problems import BackupError

UTC = datetime.timezone.utc
FIRST, SECOND = "20260101T000000Z", "20260102T000000Z"


@pytest.fixture
def installation(tmp_path):
    """Settings whose destination has two complete backups of this installation."""
    found = settings(tmp_path)
    vault = found.vault(cluster(tmp_path))
    vault.store.prepare()
    bucket = Bucket()
    bucket.put("a", b"content")
    for name in (FIRST, SECOND):
        complete(vault, name, bucket)
    return found


def segment(found, number, moment=None):
    store = found.vault("42").store
    found.vault("42").put(f"wal/00000001{number:016X}.gz", [b"log"])
    if moment:
        os.utime(store.root / f"wal/00000001{number:016X}.gz", (moment, moment))


def seconds(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp()


def test_the_newest_is_taken_unless_another_is_named(installation):
    assert plan(installation, {})["backup"] == SECOND
    assert plan(installation, {"backup": "latest"})["backup"] == SECOND
    assert plan(installation, {"backup": FIRST})["backup"] == FIRST
    with pytest.raises(BackupError, match=f"there are: {FIRST}, {SECOND}"):
        plan(installation, {"backup": "20260103T000000Z"})


def test_another_one_that_is_under_way_is_told_before_anything_stops(installation):
    # its PostgreSQL does not run
    installation.postgresql.update(host="127.0.0.1", port=1)
    (installation.data / "secrets/postgresql_superuser_password").write_text("p")
    # nobody has taken a backup yet: there is no lock, and looking makes none
    assert restore.preview(installation, {})["backup"] == SECOND
    assert not installation.lock.exists()
    installation.lock.parent.mkdir(exist_ok=True)
    with lock.held(installation.lock, "drill"), pytest.raises(lock.Busy, match=f"another drill is under way: process {os.getpid()}"):
        restore.preview(installation, {})
    assert restore.preview(installation, {})["backup"] == SECOND


def test_a_time_takes_the_newest_backup_before_it(installation):
    for number in range(3, 6):
        segment(installation, number, seconds("2026-01-02T12:00:00"))
    assert plan(installation, {"time": "2026-01-01T10:00:00Z"})["backup"] == FIRST
    assert plan(installation, {"time": "2026-01-02 10:00:00"})["backup"] == SECOND
    assert plan(installation, {"time": "2026-01-02T12:00:00+02:00"})["backup"] == SECOND


@pytest.mark.parametrize(
    "wanted, words",
    [
        ("2025-12-31T23:59:59Z", "before the window of the backups, which begins at 2026-01-01T00:00:00Z"),
        ("2026-01-02T12:00:01Z", "outside of what 20260102T000000Z and the write-ahead log reach"),
        ("2099-01-01T00:00:00Z", "outside"),
        ("yesterday", "is no time: write it as"),
    ],
)
def test_a_time_outside_the_window_is_refused_with_the_window(installation, wanted, words):
    segment(installation, 3, seconds("2026-01-02T12:00:00"))
    with pytest.raises(BackupError, match=words):
        plan(installation, {"time": wanted})


def test_a_server_that_still_runs_reaches_up_to_now(installation):
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    assert plan(installation, {"time": now.isoformat(), "live": "42"})["backup"] == SECOND
    with pytest.raises(BackupError, match="outside"):
        plan(installation, {"time": now.isoformat()})


def test_a_gap_in_the_archive_is_named_and_what_is_before_it_can_be_restored(installation):
    segment(installation, 3, seconds("2026-01-02T12:00:00"))
    segment(installation, 5, seconds("2026-01-02T13:00:00"))
    words = r"lacks 1 segment\(s\) after 20260102T000000Z.*0000000000000004.*Set backup_restore_time to 2026-01-02T12:00:00Z or earlier"
    with pytest.raises(BackupError, match=words):
        plan(installation, {})
    # its own end needs no archive
    assert plan(installation, {"time": "backup"})["backup"] == SECOND
    assert plan(installation, {"time": "2026-01-02T12:00:00Z"})["reaches"] == "2026-01-02T12:00:00Z"
    with pytest.raises(BackupError, match="outside"):
        plan(installation, {"time": "2026-01-02T12:30:00Z"})


def test_a_gap_makes_another_backup_due(installation):
    at = datetime.datetime(2026, 1, 2, 20, tzinfo=UTC)
    segment(installation, 3)
    assert not schedule.wanted(installation, at)
    segment(installation, 5)
    assert schedule.wanted(installation, at)


def test_a_truncated_backup_is_refused_before_anything_is_touched(installation):
    path = installation.vault("42").store.root / f"backups/{SECOND}/base.tar"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BackupError, match="base.tar.*truncated"):
        plan(installation, {})
    assert plan(installation, {"backup": FIRST})["backup"] == FIRST


def test_an_object_that_is_missing_or_truncated_is_named(installation):
    (path,) = (path for path in (installation.vault("42").store.root / "objects").rglob("*") if path.is_file())
    path.write_bytes(b"short")
    with pytest.raises(BackupError, match=r"1 object\(s\).*'a'"):
        plan(installation, {})
    path.unlink()
    with pytest.raises(BackupError, match="missing or truncated"):
        plan(installation, {})


def test_another_installations_backups_are_refused_unless_they_are_named(installation, tmp_path):
    cluster(tmp_path, 43)
    with pytest.raises(BackupError, match=r"no backup of this installation \(43\). Of others: 42; .*backup_restore_installation"):
        plan(installation, {})
    found = plan(installation, {"installation": "42"})
    assert (found["backup"], found["own"]) == (SECOND, False)
    with pytest.raises(BackupError, match="44 has no backups.*there are: 42"):
        plan(installation, {"installation": "44"})


def test_an_installation_whose_data_are_lost_is_still_known(installation, tmp_path):
    (tmp_path / "data/backup/installation").write_text("42\n")
    (tmp_path / "data/postgresql/18/global/pg_control").unlink()
    assert plan(installation, {})["own"] is True


def test_an_empty_destination_says_so(tmp_path):
    cluster(tmp_path)
    with pytest.raises(BackupError, match="It is empty"):
        plan(settings(tmp_path), {})


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"versions": {"mlflow": "mlflow[auth]==3.18.0\n"}}, "of MLflow 3.18.0.*3.17.2 does not know"),
        (
            {"database": {"first_wal": "000000010000000000000003", "version": 190001, "size": 1}},
            "PostgreSQL 19, and this installation has 18",
        ),
        (
            {"database": {"first_wal": "000000010000000000000003", "version": 170001, "size": 1}},
            "PostgreSQL 17, and this installation has 18",
        ),
    ],
)
def test_a_backup_of_another_version_is_refused(installation, changed, words):
    complete(installation.vault("42"), "20260103T000000Z", **changed)
    with pytest.raises(BackupError, match=words):
        plan(installation, {})


def test_releases():
    assert release("# why\nmlflow[auth]==3.17.2\nother==9\n") == (3, 17, 2)
    assert release("") == ()
    assert release("mlflow==3.9\n") < release("mlflow==3.17.2\n")


# --- the write-ahead log ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["clear", "encrypted"])
def archiving(request, tmp_path, monkeypatch):
    found = settings(tmp_path, key_file=key_file(tmp_path, KEY) if request.param == "encrypted" else "")
    cluster(tmp_path)
    found.vault("42").store.prepare()
    # where the server runs its commands
    monkeypatch.chdir(found.postgresql["data"])
    return found


def test_a_segment_is_archived_once_and_comes_back(archiving, tmp_path):
    (tmp_path / "segment").write_bytes(b"log" * 1000)
    name = "000000010000000000000003"
    wal.archive(archiving, tmp_path / "segment", name)
    # a server that was killed asks again
    wal.archive(archiving, tmp_path / "segment", name)
    assert wal.fetch(archiving, "42", name, tmp_path / "back") is True
    assert (tmp_path / "back").read_bytes() == b"log" * 1000
    assert wal.fetch(archiving, "42", "000000010000000000000004", tmp_path / "none") is False
    (tmp_path / "segment").write_bytes(b"other")
    with pytest.raises(BackupError, match="another server archives to the same place"):
        wal.archive(archiving, tmp_path / "segment", name)


def test_a_damaged_segment_is_not_the_end_of_the_archive(archiving, tmp_path):
    (tmp_path / "segment").write_bytes(os.urandom(5000))
    name = "000000010000000000000003"
    wal.archive(archiving, tmp_path / "segment", name)
    path = archiving.vault("42").store.root / f"wal/{name}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BackupError):
        wal.fetch(archiving, "42", name, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_numbers_of_segments_go_on_over_a_log():
    assert wal.number("0000000100000001000000FF") + 1 == wal.number("000000020000000200000000")
    assert wal.comparable("00000002.history") < wal.comparable("000000020000000000000001") < wal.comparable("000000030000000000000001")


def test_what_was_given_up_by_a_restore_does_not_count(archiving):
    store = archiving.vault("42").store
    # the first life went on to 9; a restore began the second one at 4
    for name, moment in [("01", number) for number in range(3, 10)] + [("02", number) for number in range(4, 7)]:
        archiving.vault("42").put(f"wal/000000{name}{moment:016X}.gz", [b"log"])
        os.utime(store.root / f"wal/000000{name}{moment:016X}.gz", (int(name) * 1000 + moment,) * 2)
    assert wal.reach(store, "000000010000000000000003") == (2006, [])
    assert wal.reach(store, "000000020000000000000005") == (2006, [])
    # another restore, whose first segments are lost
    archiving.vault("42").put(f"wal/00000003{9:016X}.gz", [b"log"])
    assert wal.reach(store, "000000020000000000000005") == (2006, ["0000000000000007", "0000000000000008"])


def test_a_new_timeline_closes_no_gap_and_makes_none(archiving):
    for name in ("000000010000000000000003", "000000010000000000000004", "000000020000000000000004", "000000020000000000000005"):
        archiving.vault("42").put(f"wal/{name}.gz", [b"log"])
    last, missing = wal.reach(archiving.vault("42").store, "000000010000000000000003")
    assert missing == [] and abs(last - time.time()) < 60
    assert wal.reach(archiving.vault("42").store, "000000020000000000000009") == (None, [])


# --- the schedule -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time_of_day, at, expected",
    [
        ("00:00", (2026, 1, 2, 0, 0, 0), (2026, 1, 2, 0, 0)),
        ("00:00", (2026, 1, 2, 23, 59, 59), (2026, 1, 2, 0, 0)),
        ("03:30", (2026, 1, 2, 3, 29, 59), (2026, 1, 1, 3, 30)),
        ("03:30", (2026, 1, 1, 0, 0, 0), (2025, 12, 31, 3, 30)),
    ],
)
def test_when_a_backup_was_due(time_of_day, at, expected):
    assert schedule.due(time_of_day, datetime.datetime(*at, tzinfo=UTC)) == datetime.datetime(*expected, tzinfo=UTC)


def test_a_backup_is_wanted_once_a_day_and_where_there_is_none(installation, tmp_path):
    assert not schedule.wanted(installation, datetime.datetime(2026, 1, 2, 20, tzinfo=UTC))
    assert schedule.wanted(installation, datetime.datetime(2026, 1, 3, 0, 0, 1, tzinfo=UTC))
    (tmp_path / "fresh").mkdir()
    assert schedule.wanted(settings(tmp_path / "fresh"), datetime.datetime(2026, 1, 1, tzinfo=UTC))


SCHEDULED = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open(sys.argv[0] + ".pids", "w").write(f"{__import__('os').getpid()} {other.pid} end")
time.sleep(300)
"""


def test_a_backup_ends_with_its_schedule(tmp_path):
    """And so does what it has started: it would keep the lock, and nobody would know of it."""
    program, pids = tmp_path / "backup.py", tmp_path / "backup.py.pids"
    program.write_text(SCHEDULED)
    code = (
        f"import pathlib, signal, sys; sys.path.insert(0, {str(Path(schedule.__file__).parents[1])!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))\n"
        f"from mlops_backup import schedule; schedule.PROGRAM = pathlib.Path({str(program)!r}); schedule.run('backup')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until = time.monotonic() + 30
        while not (pids.exists() and pids.read_text().endswith("end")) and time.monotonic() < until:
            time.sleep(0.05)
        started = [int(word) for word in pids.read_text().split()[:2]]
        process.terminate()
        assert process.wait(30) == 143
    assert not [pid for pid in started if Path(f"/proc/{pid}/stat").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()]
