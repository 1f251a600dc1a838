"""The backup program in a cluster's pod: what it asks of the container with PostgreSQL's tools, its lock, and its drill."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time

import pytest
from lib import backup_program
from mlops_backup import dumps, lock, pod, restore, rows, schedule, tools, wal
from mlops_backup.drill_bucket import DrillBucket
from mlops_backup.plan import plan
from mlops_backup.problems import BackupError

TOOLS = backup_program.FILES / "tools.sh"
POSTGRESQL = {"data": "", "major": 17, "administrator": "postgres", "accounts": [], "schemas": {}, "host": "db.svc", "port": 5432}


@pytest.fixture
def settings(tmp_path):
    found = backup_program.settings(tmp_path, pod=True, installation="4711", engine="dump", postgresql=POSTGRESQL)
    found.tools.mkdir()
    return found


@pytest.fixture
def serve(settings, tmp_path):
    """A function that starts the other container's script, with some programs in place of PostgreSQL's."""
    started = []

    def begin(**programs):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, script in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        (tmp_path / "password").write_text("a secret's value")
        environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
        words = ["sh", str(TOOLS), str(settings.tools), str(tmp_path / "password")]
        started.append(subprocess.Popen(words, env=environ, stderr=subprocess.PIPE))
        return started[0]

    yield begin
    (settings.tools / "done").touch()
    for process in started:
        process.wait(10)
        process.stderr.close()


# --- the other container -----------------------------------------------------------------------------------------------------------------


def test_a_tool_is_run_in_the_other_container_with_its_words_as_they_are(settings, serve):
    serve(pg_dump='printf "%s|" "$@"; echo; echo "$PGHOST $PGPORT $PGUSER $PGAPPNAME $PGPASSWORD" >"$1"')
    place = settings.data / "seen"
    odd = "a b  'c' \"d\" $HOME * \\"
    assert tools.run(settings, "pg_dump", place, odd) == f"{place}|{odd}|"
    assert place.read_text() == "db.svc 5432 postgres mlops_backup a secret's value\n"
    # nothing is left of it, and the password was in no file
    assert not [path for path in settings.tools.iterdir() if path.is_dir()]


def test_another_server_is_asked_where_that_is_meant(settings, serve):
    serve(pg_restore='echo "$PGHOST $PGPORT"')
    assert tools.run(settings, "pg_restore", server={"host": "127.0.0.1", "port": 15432}) == "127.0.0.1 15432"


def test_a_tool_that_fails_is_told_with_its_last_words(settings, serve):
    serve(pg_dump="echo no such database >&2; exit 3")
    with pytest.raises(BackupError, match="pg_dump ended with 3: no such database"):
        tools.run(settings, "pg_dump", "mlflow")


def test_a_word_with_a_line_end_is_refused(settings):
    with pytest.raises(BackupError, match="line's end"):
        pod.Request(settings, ["pg_dump", "a\nb"])


def test_the_other_container_ends_when_the_program_says_so(settings, serve):
    process = serve()
    (settings.tools / "done").touch()
    assert process.wait(10) == 0


def test_the_other_container_ends_when_the_program_is_gone_without_a_word(settings, serve):
    (settings.tools / "alive").touch()
    os.utime(settings.tools / "alive", (time.time() - 600,) * 2)
    process = serve()
    assert process.wait(10) == 0
    assert b"has ended without a word" in process.stderr.read()


def test_a_container_that_is_gone_is_told(settings, monkeypatch):
    request = pod.Request(settings, ["pg_dump"])
    # its image may still be on its way
    assert request.code() is None
    (settings.tools / "serving").touch()
    os.utime(settings.tools / "serving", (time.time() - 600,) * 2)
    assert request.code() is None, "it was asked just now"
    monkeypatch.setattr(request, "since", time.time() - 600)
    with pytest.raises(BackupError, match="the container database-tools has ended"):
        request.code()


def test_the_program_says_that_it_lives(settings, monkeypatch):
    monkeypatch.setattr(pod, "BEAT_SECONDS", 0.01)
    pod.begin(settings)
    deadline = time.monotonic() + 10
    while not (settings.tools / "alive").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (settings.tools / "alive").exists()


def test_the_database_is_waited_for(settings, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.postgresql = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        pod.reach(settings)
    monkeypatch.setattr(pod, "REACH_SECONDS", 0.1)
    pod.reach(settings)


# --- one at a time -----------------------------------------------------------------------------------------------------------------------


class Cursor:
    """A database in which `holder` has the lock, None where nobody has it."""

    def __init__(self, holder=None):
        self.holder, self.asked, self.answer = holder, [], None

    def execute(self, query, values=()):
        self.asked.append((query, values))
        if "pg_try_advisory_lock" in query:
            self.answer = (self.holder is None,)
        else:
            self.answer = self.holder if "pg_locks" in query else (1,)

    def fetchone(self):
        return self.answer


def in_database(monkeypatch, cursor):
    """Let the program's sessions be with `cursor`; return the list of their names."""
    names = []

    @contextlib.contextmanager
    def session(_settings, *_unused, application, **_options):
        names.append(application)
        yield cursor

    monkeypatch.setattr("mlops_backup.database.session", session)
    return names


def test_the_lock_of_pods_is_in_the_database(settings, monkeypatch):
    names = in_database(monkeypatch, Cursor())
    with lock.alone(settings, "backup") as check:
        check()
    assert names[0].startswith("mlops_backup: backup in ") and len(names[0]) <= 63
    assert not settings.lock.exists()


def test_the_second_says_who_has_the_lock_and_since_when(settings, monkeypatch):
    in_database(monkeypatch, Cursor(("mlops_backup: restore in mlops-backup-restore-1-x2x", "2026-11-29T12:00:00Z")))
    message = "another restore is under way: pod mlops-backup-restore-1-x2x, since 2026-11-29T12:00:00Z"
    with pytest.raises(BackupError, match=message), lock.alone(settings, "backup"):
        pass


def test_a_restore_looks_for_another_one_before_anything_stops(settings, monkeypatch):
    holder = ("mlops_backup: backup in a-pod", "2026-11-29T12:00:00Z")
    in_database(monkeypatch, Cursor(holder))
    with pytest.raises(BackupError, match="another backup is under way: pod a-pod"):
        restore.preview(settings, {})

    def lost(*_unused, **_options):
        raise BackupError("PostgreSQL: connection refused")

    monkeypatch.setattr("mlops_backup.database.session", lost)
    complete(settings, database={"version": 170004, "size": 1, "archive": False})
    assert restore.preview(settings, {})["backup"] == "20261128T000000Z"


def test_on_a_host_the_lock_is_a_file(tmp_path):
    settings = backup_program.settings(tmp_path)
    with lock.alone(settings, "backup") as check:
        check()
        with pytest.raises(BackupError, match=f"another backup is under way: process {os.getpid()}"), lock.alone(settings, "drill"):
            pass


# --- which backups are ours --------------------------------------------------------------------------------------------------------------


def test_the_number_of_the_backups_outlives_the_database(settings):
    assert wal.own(settings) == "4711"
    assert wal.own(backup_program.settings(settings.data.parent / "other")) is None


def complete(settings, number="4711", engine="dump", **changed):
    vault = settings.vault(number)
    vault.store.prepare()
    return backup_program.complete(vault, "20261128T000000Z", installation=number, engine=engine, **changed)


def test_a_dump_of_the_namespace_is_found_and_one_of_others_only_by_its_number(settings):
    database = {"version": 170004, "size": 1, "archive": False}
    complete(settings, "99", database=database)
    with pytest.raises(BackupError, match="no backup of this installation .4711.*Of others: 99"):
        plan(settings, {})
    assert plan(settings, {"installation": "99"})["own"] is False
    complete(settings, database=database)
    assert plan(settings, {})["own"] is True


def test_a_base_backup_is_refused_in_a_cluster_with_what_to_do(settings):
    complete(settings, engine="base")
    with pytest.raises(BackupError, match="the files of a host's PostgreSQL.*backup_engine: dump.*Nothing was touched"):
        plan(settings, {})


def test_a_newer_database_is_refused(settings):
    complete(settings, database={"version": 180001, "size": 1, "archive": False})
    with pytest.raises(BackupError, match="it holds PostgreSQL 18, and this installation has 17"):
        plan(settings, {})


def test_the_directory_of_a_disks_repairs_is_no_installation(settings):
    (settings.root().root / "lost+found").mkdir(parents=True)
    assert settings.root().folders() == []


# --- drill -------------------------------------------------------------------------------------------------------------------------------


def test_rows_are_held_against_what_the_backup_says_of_itself():
    snapshot = {"mlflow.runs": {"000": (2, "5"), "fff": (1, "7")}, "mlflow.tags": {}}
    totals = rows.totals(snapshot)
    assert totals == {"mlflow.runs": [3, "12"], "mlflow.tags": [0, "0"]}
    kept = json.loads(json.dumps(totals))
    assert rows.different(kept, totals) == []
    assert rows.different(kept, {**totals, "mlflow.runs": [2, "5"]}) == ["table mlflow.runs: 2 rows instead of 3"]
    assert rows.different(kept, {**totals, "mlflow.runs": [3, "13"]}) == ["table mlflow.runs: other rows"]
    assert rows.different(kept, {"mlflow.runs": [3, "12"]}) == ["table mlflow.tags is not there"]


def test_a_dump_is_taken_in_the_snapshot_whose_rows_it_says(settings, monkeypatch, tmp_path):
    asked = []

    class Session:
        def execute(self, query, *_values):
            asked.append(query)

        def fetchone(self):
            return ("00000003-1B",)

    @contextlib.contextmanager
    def session(_settings, name, **_options):
        asked.append(name)
        yield Session()

    monkeypatch.setattr(dumps.database, "session", session)
    monkeypatch.setattr(dumps.tools, "run", lambda _settings, *words: asked.append(words))
    monkeypatch.setattr(dumps.rows, "look", lambda _cursor, name: asked.append("rows") or {f"{name}.runs": {}})
    assert dumps._dump(settings, "mlflow", tmp_path / "mlflow.dump") == {"mlflow.runs": {}}
    tool = next(one for one in asked if isinstance(one, tuple))
    assert tool[0] == "pg_dump" and "--snapshot=00000003-1B" in tool
    assert asked.index("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") < asked.index(tool) < asked.index("rows") < asked.index("COMMIT")


class Buckets(backup_program.Bucket):
    """The stand-in, with buckets that are made and removed."""

    def __init__(self, there=True):
        super().__init__()
        self.there, self.done = there, []

    def call(self, what, operation, **arguments):
        if operation not in ("create_bucket", "put_bucket_versioning") and not self.there:
            raise backup_program.S3Error(f"cannot {what}: NoSuchBucket", "NoSuchBucket")
        self.done.append(operation)
        if operation in ("create_bucket", "delete_bucket"):
            self.there = operation == "create_bucket"
            return {}
        return {} if operation == "put_bucket_versioning" else super().call(what, operation, **arguments)


@pytest.mark.parametrize("left", [True, False], ids=["left by a killed one", "none"])
def test_a_drills_bucket_is_made_and_leaves_nothing(settings, monkeypatch, left):
    server = Buckets(left)
    if left:
        server.put("old", b"old")
    monkeypatch.setattr(settings, "s3", lambda: (server, "artifacts"))
    with DrillBucket(settings) as bucket:
        assert bucket.target == (server, "artifacts-drill")
        assert [entry["key"] for entry in server.entries] == ["ready"]
    assert not server.there and not server.entries


def test_a_drill_follows_the_backup_of_its_day_alone(settings, monkeypatch, capsys):
    done = []
    monkeypatch.setattr("mlops_backup.take.backup", lambda *_unused: done.append("backup") or {"name": "one"})
    monkeypatch.setattr("mlops_backup.drill.drill", lambda *_unused: done.append("drill") or {"rto_seconds": 1})
    assert schedule.once(settings, {}) == {"name": "one"}
    today = schedule.DAYS[schedule.due("00:00", schedule.datetime.datetime.now(schedule.datetime.timezone.utc)).weekday()]
    settings.drill_weekday = today
    assert schedule.once(settings, {})["drill"] == {"rto_seconds": 1}
    assert done == ["backup", "backup", "drill"]
    assert '"name": "one"' in capsys.readouterr().out


# --- the answer --------------------------------------------------------------------------------------------------------------------------


def test_an_answer_fits_into_a_termination_message(tmp_path, monkeypatch, capsys):
    import backup

    place = tmp_path / "answer"
    monkeypatch.setenv("MLOPS_BACKUP_ANSWER", str(place))
    backup.answer({"name": "one", "rows": {f"mlflow.table_{number}": number for number in range(1000)}, "problem": "x" * 9000})
    found = json.loads(place.read_text())
    assert len(place.read_bytes()) <= 4096 and found["name"] == "one" and found["rows"] == "in the log of the pod"
    assert found["problem"].startswith("xxx") and found["ended"] > 1.7e9
    assert "mlflow.table_999" in capsys.readouterr().out
