"""The write-ahead log of a platform in a cluster: where it is kept, who follows it, and how a recovery in a pod gets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest
import yaml
from lib import backup_program
from lib.render import ROOT
from mlops_backup import follow, wal
from mlops_backup.catalog import Catalog
from mlops_backup.plan import plan
from mlops_backup.pod_recovery import PodRecovery
from mlops_backup.problems import BackupError
from mlops_backup.settings import Settings

SYSTEM, NUMBER = "7714003947980811054", "4711"
LOG = f"wal/{SYSTEM}"
ROWS = {"version": 170004, "size": 1, "archive": True, "log": LOG, "first_wal": "000000010000000000000003", "last_lsn": "0/3000100"}


@pytest.fixture
def settings(tmp_path):
    login = {"data": "/data/17", "run": str(tmp_path / "data/run"), "major": 17, "administrator": "postgres", "accounts": [], "schemas": {}}
    found = backup_program.settings(tmp_path, pod=True, installation=NUMBER, postgresql=login, wal_seconds=60)
    found.vault(NUMBER).store.prepare()
    return found


def complete(settings, name="20260102T000000Z", engine="base", **database):
    about = {"installation": NUMBER, "engine": engine, "database": {**ROWS, **database}}
    return backup_program.complete(settings.vault(NUMBER), name, **about)


def segment(settings, number, log=LOG, age=0):
    vault = settings.vault(NUMBER)
    name = f"{log}/{1:08X}{number:016X}.gz"
    vault.put(name, [b"log"])
    moment = time.time() - age
    os.utime(vault.store.root / name, (moment, moment))


# --- where it is -------------------------------------------------------------------------------------------------------------------------


def test_each_database_cluster_has_a_log_of_its_own(settings):
    complete(settings)
    segment(settings, 3)
    # a server that was made anew under the same number of backups
    segment(settings, 3, log="wal/99")
    assert wal.reach(settings.vault(NUMBER).store, ROWS["first_wal"], LOG)[1] == []
    segment(settings, 5)
    with pytest.raises(BackupError, match=r"lacks 1 segment\(s\).*0000000000000004"):
        plan(settings, {})


def test_a_server_that_was_made_anew_does_not_make_the_lost_one_reach_up_to_now(settings):
    complete(settings)
    segment(settings, 3)
    request = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))}
    os.utime(settings.vault(NUMBER).store.root / f"{LOG}/{ROWS['first_wal']}.gz", (time.time() - 3600,) * 2)
    assert plan(settings, {**request, "live": SYSTEM})["own"]
    for live in ("99", None):
        with pytest.raises(BackupError, match="is outside of what"):
            plan(settings, {**request, "live": live})


@pytest.mark.parametrize(
    "log, changed, words",
    [
        (wal.HOST, {}, "the files of a host's PostgreSQL.*backup_engine: dump"),
        (LOG, {"data": ""}, "the files of a pod's PostgreSQL"),
    ],
)
def test_files_of_another_kind_of_server_are_refused(settings, log, changed, words):
    settings.postgresql.update(changed)
    complete(settings, log=log)
    with pytest.raises(BackupError, match=words):
        plan(settings, {"time": "backup"})


def test_a_host_refuses_the_files_of_a_pods_server(tmp_path):
    host = backup_program.settings(tmp_path)
    host.vault(NUMBER).store.prepare()
    complete(host, version=180001)
    with pytest.raises(BackupError, match="the files of a pod's PostgreSQL"):
        plan(host, {"installation": NUMBER, "time": "backup"})


def test_the_log_that_no_backup_needs_goes_with_the_old_backups(settings):
    complete(settings, "20200101T000000Z", first_wal="000000010000000000000001")
    complete(settings, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), first_wal="000000010000000000000004")
    for number in (1, 3, 4, 5):
        segment(settings, number)
    # of servers that no backup is of: one that has just been made, and one that is long gone
    segment(settings, 9, log="wal/98")
    segment(settings, 9, log="wal/99", age=40 * 86400)
    assert Catalog(settings.vault(NUMBER)).expire(30) == ["20200101T000000Z"]
    left = sorted(settings.vault(NUMBER).store.names("wal"))
    assert left == [f"{LOG}/0000000100000000000000{number:02X}.gz" for number in (4, 5)] + [f"wal/98/{1:08X}{9:016X}.gz"]


# --- who follows it ----------------------------------------------------------------------------------------------------------------------


class Message:
    def __init__(self, begin, payload):
        self.data_start, self.payload = begin, payload


class Server:
    """Gives messages of the log, and ends. Both of its connections with their cursors, as psycopg2 has them."""

    def __init__(self, messages, timeline=1):
        self.messages, self.timeline = messages, timeline
        self.asked, self.told, self.answer, self.transactions = [], [], None, "700"

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    close = __exit__

    def execute(self, query, _values=()):
        self.asked.append(query)
        self.answer = {
            "IDENTIFY_SYSTEM": (SYSTEM, self.timeline, "0/3000000", None),
            f"TIMELINE_HISTORY {self.timeline}": (f"{self.timeline:08X}.history", b"1\t0/3000000\twhy\n"),
        }.get(query, (self.transactions,))

    def fetchone(self):
        return self.answer

    def start_replication(self, **options):
        self.asked.append(options)

    def send_feedback(self, **options):
        self.told.append(options)

    def read_message(self):
        if not self.messages:
            raise psycopg2.OperationalError("the server ends")
        return self.messages.pop(0)


def begin(number):
    return number * follow.SEGMENT_BYTES


def followed(settings, *messages, start=3, **options):
    server = Server(list(messages), **options)
    with pytest.raises(psycopg2.OperationalError):
        follow.Follower(settings, server, server).run(begin(start))
    return server


def test_a_segment_is_archived_before_the_server_is_told(settings, monkeypatch):
    content = os.urandom(1000) * (follow.SEGMENT_BYTES // 1000 + 1)
    first, second = content[: follow.SEGMENT_BYTES], content[5 : follow.SEGMENT_BYTES + 5]
    order, keep = [], wal.keep
    monkeypatch.setattr(wal, "keep", lambda *words: (keep(*words), order.append(words[2])))
    monkeypatch.setattr(Server, "send_feedback", lambda self, **options: order.append(options["flush_lsn"]))
    border = 131072
    followed(
        settings,
        Message(begin(255), first[:-border]),
        # one message with the end of a segment and the beginning of the next
        Message(begin(256) - border, first[-border:] + second[:100]),
        Message(begin(256) + 100, second[100:]),
        start=255,
    )
    assert order == ["0000000100000000000000FF", begin(256), "000000010000000100000000", begin(257)]
    for name, wanted in (("0000000100000000000000FF", first), ("000000010000000100000000", second)):
        assert settings.vault(NUMBER).read(f"{LOG}/{name}.gz") == wanted
    assert {path.name for path in (settings.data / "run").iterdir()} == {"lives", "follows"}


def test_it_needs_no_settings_but_those_whose_change_starts_it_anew(settings, monkeypatch):
    """The list of the role: a setting that is read here and not in it would be followed only after the pod's next start."""
    named = yaml.safe_load((ROOT / "roles/backup/vars/main/kubernetes.yml").read_text())["backup_log_settings"]
    path = settings.data / "etc" / "backup.json"
    given = json.loads(path.read_text())
    given["postgresql"].update(host="db", port=1)
    # the versions are for backups, and looked at by each command
    path.write_text(json.dumps({name: value for name, value in given.items() if name in [*named, "versions"]}))
    (settings.data / "secrets/postgresql_superuser_password").write_text("a password")
    server = Server([Message(begin(3), b"a" * follow.SEGMENT_BYTES)])
    monkeypatch.setattr(psycopg2, "connect", lambda **_options: server)
    monkeypatch.setattr(follow, "_slot", lambda _cursor: begin(3))
    with pytest.raises(BackupError, match="PostgreSQL: the server ends"):
        follow._follow(Settings(path))
    assert server.told


def test_a_gap_in_what_the_server_sends_is_no_segment(settings):
    server = Server([Message(begin(3), b"a" * 100), Message(begin(3) + 200, b"b" * 100)])
    with pytest.raises(BackupError, match="sent 30000C8 of its log instead of 3000064"):
        follow.Follower(settings, server, server).run(begin(3))
    assert not server.told and not settings.vault(NUMBER).store.names("wal")


def test_the_history_of_a_timeline_is_kept_too(settings):
    followed(settings, timeline=3)
    assert settings.vault(NUMBER).read(f"{LOG}/00000003.history.gz").startswith(b"1\t0/3000000")


def test_a_started_segment_is_ended_only_where_something_was_committed(settings):
    settings.wal_seconds = 0
    server = Server([])
    found = follow.Follower(settings, server, server)

    def switched():
        server.asked.clear()
        found._switch()
        return "SELECT pg_switch_wal()" in server.asked

    # what was committed while nobody followed
    assert switched() and not switched()
    server.transactions = "701"
    assert switched() and not switched()
    settings.wal_seconds, server.transactions = 3600, "702"
    assert not switched()


def test_another_life_of_the_server_is_not_mixed_in(settings):
    settings.vault(NUMBER).put(f"{LOG}/{follow.named(1, begin(3))}.gz", [b"another"])
    server = Server([Message(begin(3), b"a" * follow.SEGMENT_BYTES)])
    with pytest.raises(BackupError, match="another server archives to the same place"):
        follow.Follower(settings, server, server).run(begin(3))
    assert not server.told


@pytest.mark.parametrize(
    "archived, end, there", [("0/4000000", "0/3000100", True), ("0/3000000", "0/3000100", False), (None, "0/3", False)]
)
def test_what_is_in_the_archive_is_what_the_server_was_told(archived, end, there):
    server = Server([])
    server.execute = lambda *_words: setattr(server, "answer", (archived,))
    assert follow.has(server, end) is there
    server.execute = lambda *_words: setattr(server, "answer", None)
    assert follow.has(server, end) is False


def test_what_lasts_is_told_and_what_passes_is_waited_for(settings, monkeypatch, capsys):
    clock, failures = [0.0], iter(range(100))
    monkeypatch.setattr(follow.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(follow.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))

    def fails(_settings):
        # the fifth time it works for an hour first
        clock[0] += 3600 if next(failures) == 4 else 1
        raise BackupError("no server")

    monkeypatch.setattr(follow, "_follow", fails)
    with pytest.raises(BackupError, match="no server"):
        follow.follow(settings, {})
    assert clock[0] > 3600 + follow.PATIENCE_SECONDS
    assert capsys.readouterr().out.count("log: no server") > 20


# --- how a recovery gets it --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def recovery(settings, tmp_path):
    shutil.copy(backup_program.FILES / "fetch.sh", settings.data / "etc")
    server = PodRecovery(settings, tmp_path / "restored", 1)
    server.directory.mkdir()
    return server


def asked(command, server, name, path="pg_wal/RECOVERYXLOG"):
    """Run a command as PostgreSQL does."""
    (server.directory / "pg_wal").mkdir(exist_ok=True)
    words = command.replace("%f", name).replace("%p", path)
    return subprocess.run(["sh", "-c", words], cwd=server.directory, capture_output=True, text=True, timeout=30, check=False)


def test_the_other_container_gets_the_log_from_this_one(settings, recovery):
    manifest = complete(settings)
    segment(settings, 3)
    command = recovery.fetches(manifest)
    assert asked(command, recovery, "000000010000000000000003").returncode == 0
    assert (recovery.directory / "pg_wal/RECOVERYXLOG").read_bytes() == b"log"
    # the end of the archive
    assert asked(command, recovery, "000000010000000000000004").returncode == 1
    path = settings.vault(NUMBER).store.root / f"{LOG}/000000010000000000000003.gz"
    path.write_bytes(path.read_bytes()[:-4])
    damaged = asked(command, recovery, "000000010000000000000003")
    # PostgreSQL ends a recovery at once where the code is above 125
    assert damaged.returncode == wal.DAMAGED > 125 and "truncated" in damaged.stderr
    assert list(recovery.place.glob("*")) == [recovery.place / "archived"]


def test_a_disk_that_is_full_for_a_moment_ends_no_recovery(settings, recovery, monkeypatch):
    """The server waits for an answer as long as it takes: nobody who could give one may have ended."""
    manifest, write, full = complete(settings), Path.write_text, [True, True]
    segment(settings, 3)

    def fails(path, text, **options):
        if path.suffix == ".new" and full:
            full.pop()
            raise OSError(28, "No space left on device")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", fails)
    assert asked(recovery.fetches(manifest), recovery, "000000010000000000000003").returncode == 0
    assert not full and list(recovery.place.glob("*")) == [recovery.place / "archived"]


def test_what_a_recovery_archives_itself_comes_to_the_destination_at_its_end(settings, recovery):
    manifest = complete(settings)
    command = recovery.archives(manifest)
    (recovery.directory / "pg_wal").mkdir()
    for name in ("00000002.history", "000000020000000000000003"):
        (recovery.directory / "pg_wal" / name).write_bytes(name.encode())
        assert asked(command, recovery, name, f"pg_wal/{name}").returncode == 0
    assert not settings.vault(NUMBER).store.names("wal")
    recovery.keep_archived(manifest, settings.vault(NUMBER))
    for name in ("00000002.history", "000000020000000000000003"):
        assert settings.vault(NUMBER).read(f"{LOG}/{name}.gz") == name.encode()


def test_nobody_but_the_owner_of_the_directory_logs_in(recovery):
    recovery.configure({})
    assert (recovery.etc / "hba").read_text() == 'local all "postgres" trust\n'
    assert "listen_addresses = ''\n" in (recovery.etc / "postgresql.conf").read_text()
    assert oct((recovery.place / "archived").stat().st_mode & 0o777) == "0o700"
