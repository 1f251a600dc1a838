"""Dumps by an account that is no superuser, as a server outside and the operator of CloudNativePG give one: taken, restored, and alone."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import psycopg2
import pytest
from lib import backup_program, postgresql_wheel
from lib.modules import run_module
from mlops_backup import database, dumps, lock, rows, take
from mlops_backup.problems import BackupError

ACCOUNTS = {"mlflow": ["mlflow", "mlflow_auth"], "seaweedfs": ["seaweedfs"]}
PASSWORDS = {"postgres": "the owner's", "mlops_admin": "the administrator's", "mlflow": "mlflow's", "seaweedfs": "seaweedfs'"}
REVISIONS = {"mlflow": "alembic_version", "mlflow_auth": "alembic_version_auth"}


@pytest.fixture(scope="module")
def server(platform):
    with postgresql_wheel.running(platform, PASSWORDS) as found:
        yield found


@pytest.fixture(scope="module")
def settings(server, tmp_path_factory):
    """The program's settings, after the accounts and databases were made by the administrator, as the role postgresql makes them."""
    server.ask("postgres", "postgres", f"CREATE ROLE mlops_admin LOGIN CREATEDB CREATEROLE PASSWORD $${PASSWORDS['mlops_admin']}$$")
    # a server that is somebody else's has databases which are not ours to enter
    server.ask("postgres", "postgres", "CREATE DATABASE theirs", "REVOKE ALL ON DATABASE theirs FROM PUBLIC")
    login = {"login_host": "127.0.0.1", "login_port": server.port, "login_user": "mlops_admin", "login_password": PASSWORDS["mlops_admin"]}
    options = {"accounts": ACCOUNTS, "passwords": {name: PASSWORDS[name] for name in ACCOUNTS}, "join": True}
    done = run_module("postgresql_accounts", {**login, "login_db": "postgres", **options})
    assert not done.get("failed"), done
    for name, table in REVISIONS.items():
        statements = (
            f"CREATE TABLE {table} (version_num text)",
            f"INSERT INTO {table} VALUES ('0123456789ab')",  # noqa: S608 - one of two names above
            "CREATE TABLE experiments (experiment_id serial PRIMARY KEY, artifact_location text)",
            "CREATE TABLE runs (run_uuid text, artifact_uri text)",
            "INSERT INTO experiments (artifact_location) SELECT 'mlflow-artifacts:/' || i FROM generate_series(1, 500) AS i",
        )
        server.ask("mlflow", name, *statements)
    about = {
        "host": "127.0.0.1",
        "port": server.port,
        "administrator": "mlops_admin",
        "database": "postgres",
        "password": "postgresql_admin_password",
        "sslmode": "disable",
        "bin": str(server.programs),
        "major": 18,
        "data": "",
        "accounts": [],
        "schemas": REVISIONS,
    }
    found = backup_program.settings(tmp_path_factory.mktemp("dumps"), engine="dump", archive=False, installation="4711", postgresql=about)
    (found.data / "secrets" / "postgresql_admin_password").write_text(PASSWORDS["mlops_admin"])
    bucket = backup_program.Bucket()
    bucket.put("one", b"an object")
    found.s3 = lambda: bucket.end
    return found


def contents(settings):
    return rows.totals(rows.snapshot(settings))


def test_the_account_is_no_superuser_and_the_backup_is_whole(server, settings):
    assert server.ask("mlops_admin", "postgres", "SHOW is_superuser") == [("off",)]
    taken = take.backup(settings, {})
    assert taken["engine"] == "dump" and taken["installation"] == "4711"
    assert taken["schemas"] == dict.fromkeys(REVISIONS, "0123456789ab")


def test_a_restore_ends_the_sessions_of_its_databases_and_brings_every_row_back(server, settings):
    before = contents(settings)
    take.backup(settings, {})
    server.ask("mlflow", "mlflow", "DELETE FROM experiments WHERE experiment_id > 3")
    server.ask("mlflow", "mlflow_auth", "DROP TABLE runs")
    left = server.login("mlflow", "mlflow")
    done = dumps.restore(settings, {})
    assert contents(settings) == before
    with pytest.raises(psycopg2.OperationalError):
        left.cursor().execute("SELECT 1")
    names = server.ask("mlops_admin", "postgres", "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname LIKE 'mlflow%'")
    stamp = done["aside"].rpartition("_before_")[2]
    assert dict(names) == dict.fromkeys(["mlflow", "mlflow_auth", f"mlflow_before_{stamp}", f"mlflow_auth_before_{stamp}"], "mlflow")
    # what they write next
    server.ask("mlflow", "mlflow", "INSERT INTO experiments (artifact_location) VALUES ('later')")


def test_a_session_of_a_superuser_is_named_as_what_is_in_the_way(server, settings):
    take.backup(settings, {})
    theirs = server.login("postgres", "mlflow")
    try:
        with pytest.raises(BackupError, match='database "mlflow" is being accessed by other users.*1 other session'):
            dumps.restore(settings, {})
    finally:
        theirs.close()
    assert server.ask("mlflow", "mlflow", "SELECT count(*) FROM experiments") == [(501,)]
    dumps.restore(settings, {})


def test_what_a_killed_restore_leaves_lets_nobody_in_and_the_next_one_takes_its_place(server, settings, monkeypatch):
    """site.yml, which a restore runs before and after, refuses a server with a database that the public may enter."""
    take.backup(settings, {})

    def killed(*_unused):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(dumps, "load", killed)
        dumps.restore(settings, {})
    query = "SELECT datname, has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname LIKE '%\\_restoring'"
    assert server.ask("mlops_admin", "postgres", query) == [("mlflow_auth_restoring", False)]
    before = contents(settings)
    dumps.restore(settings, {})
    assert server.ask("mlops_admin", "postgres", query) == [] and contents(settings) == before


def test_two_restores_in_one_second_set_aside_what_they_replace_under_two_names(server, settings, monkeypatch):
    take.backup(settings, {})
    clock = SimpleNamespace(monotonic=time.monotonic, gmtime=time.gmtime, strftime=lambda *_unused: "20260101_000000")
    monkeypatch.setattr(dumps, "time", clock)
    asides = [dumps.restore(settings, {})["aside"] for _number in range(2)]
    assert [one.rpartition("_before_")[2] for one in asides] == ["20260101_000000", "20260101_000000_1"]
    found = server.ask("mlops_admin", "postgres", "SELECT datname FROM pg_database WHERE datname LIKE '%20260101%'")
    assert {name for (name,) in found} == {name.removeprefix("database ") for one in asides for name in one.split(", ")}


def test_the_lock_in_the_database_says_who_has_it(settings):
    with lock._in_database(settings, "backup") as check:
        check()
        with (
            pytest.raises(BackupError, match=f"another backup is under way: pod {os.uname().nodename}"),
            lock._in_database(settings, "drill"),
        ):
            pass
    with lock._in_database(settings, "drill"):
        pass


def test_a_server_that_does_not_encrypt_is_refused_where_that_is_asked_for(settings, monkeypatch):
    monkeypatch.setitem(settings.postgresql, "sslmode", "require")
    with pytest.raises(BackupError, match="server does not support SSL"), database.session(settings):
        pass
    with pytest.raises(BackupError, match="server does not support SSL"):
        take.backup(settings, {})
