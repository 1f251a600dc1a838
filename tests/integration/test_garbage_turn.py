"""In a cluster backups and the deletion of garbage share a lock of PostgreSQL's, from two databases and with two accounts."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from urllib.parse import quote

import pytest
from lib import backup_program
from lib.render import ROOT
from mlops_backup import lock

PROGRAMS = [ROOT / "roles/garbage/files", ROOT / "roles/mlflow/files"]
HOLD = """
import sys
import mlflow_garbage

with mlflow_garbage.alone_in_cluster():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server():
    """What takes connections as MLflow's server does, and no more; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def turn(pg_admin, pg_names, pg_connection, server, tmp_path):
    """Settings of a backup's pod with the superuser, and the environment of an account that owns a database of its own."""
    from psycopg2 import sql

    name, password = pg_names(), secrets.token_hex(8)
    pg_admin(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))
    pg_admin(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(name)))
    host, port = pg_connection["login_host"], pg_connection["login_port"]
    server_of = {"host": host, "port": port, "administrator": pg_connection["login_user"]}
    settings = backup_program.settings(tmp_path, pod=True, postgresql=server_of)
    (settings.data / "secrets/postgresql_superuser_password").write_text(pg_connection["login_password"], encoding="utf-8")
    package = tmp_path / "mlflow"
    package.mkdir()
    # all that mlflow_schema asks of it here
    (package / "__init__.py").touch()
    environ = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server,
        "PYTHONPATH": ":".join(map(str, [tmp_path, *PROGRAMS])),
        "_MLFLOW_SERVER_FILE_STORE": f"postgresql+psycopg2://{name}:{quote(password)}@{host}:{port}/{name}?sslmode=prefer",
    }
    environ.pop("MLFLOW_AUTH_CONFIG_PATH", None)
    return settings, environ


@contextlib.contextmanager
def garbage(environ):
    """Delete garbage for as long as the block lasts; gives what it said at first, with its error."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        first = process.stdout.readline()
        yield first if first == "held\n" else first + process.stdout.read()
    finally:
        process.communicate()


def test_a_backup_is_told_who_deletes_garbage(turn):
    settings, environ = turn
    with garbage(environ) as said:
        assert said == "held\n"
        with (
            pytest.raises(lock.Busy, match=f"another deletion of garbage is under way: pod {os.uname().nodename[:20]}.*, since 20"),
            lock.alone(settings, "backup"),
        ):
            pass
    with lock.alone(settings, "backup") as check:
        check()


def test_garbage_is_not_deleted_beside_a_backup_or_another_deletion(turn):
    settings, environ = turn
    with lock.alone(settings, "backup"), garbage(environ) as said:
        assert "under way in the cluster. Wait for its end; nothing was deleted" in said
    with garbage(environ) as first, garbage(environ) as second:
        assert first == "held\n" and "nothing was deleted" in second
    with garbage(environ) as said:
        assert said == "held\n"


def test_without_a_server_nothing_is_deleted(turn):
    _settings, environ = turn
    # port 1 has nobody
    with garbage({**environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}) as said:
        assert "does not answer at 127.0.0.1:1 (" in said and "nothing was deleted" in said
