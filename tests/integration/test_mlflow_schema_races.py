"""Two migrations at once on empty databases, and one that goes on where another was killed: roles/mlflow/files/mlflow_schema.py."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from lib.platform_proc import wait_until

SCRIPT = Path(__file__).parents[2] / "roles" / "mlflow" / "files" / "mlflow_schema.py"
KINDS = {
    "tracking": "SELECT version_num FROM alembic_version ORDER BY 1",
    "auth": "SELECT version_num FROM alembic_version_auth ORDER BY 1",
}


@pytest.fixture
def schemas(platform, pg_admin, pg_names, pg_connection, tmp_path):
    """Start the script on two empty databases of the test's own. `names` has them by kind."""
    names = {kind: pg_names() for kind in KINDS}
    login = quote(pg_connection["login_user"], safe="") + ":" + quote(pg_connection["login_password"], safe="")
    server = f"postgresql+psycopg2://{login}@{pg_connection['login_host']}:{pg_connection['login_port']}"
    ini = tmp_path / "auth.ini"
    ini.touch(mode=0o600)
    settings = {
        "database_uri": f"{server}/{names['auth']}".replace("%", "%%"),
        "admin_username": "admin",
        "default_permission": "READ",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    ini.write_text("[mlflow]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()), encoding="utf-8")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_", "MLOPS_"))},
        "_MLFLOW_SERVER_FILE_STORE": f"{server}/{names['tracking']}",
        "MLFLOW_AUTH_CONFIG_PATH": str(ini),
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_hex(10),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(10),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    started = []

    def start(command):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environ, "cwd": tmp_path}
        started.append(subprocess.Popen([platform.python("mlflow"), "-I", str(SCRIPT), command], **options))
        return started[-1]

    start.names = names
    for name in names.values():
        pg_admin(f"CREATE DATABASE {name}")
    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


def ended(process, *codes):
    """Wait for the end and return what it printed; its exit code must be one of `codes`."""
    out, words = process.communicate(timeout=300)
    assert process.returncode in codes, f"{process.returncode}: {words[-3000:]}"
    return out


def test_two_at_once_make_one_schema(schemas, pg_admin):
    """Both succeed, one of them has done it, and the other found it done."""
    found = [json.loads(ended(process, 0)) for process in [schemas("upgrade"), schemas("upgrade")]]
    assert sorted(one["changed"] for one in found) == [False, True]
    (first,) = (one for one in found if one["changed"])
    assert all(pair["before"] == [] and pair["after"] for pair in first["databases"].values())
    for kind, query in KINDS.items():
        there = [row[0] for row in pg_admin(query, database=schemas.names[kind])]
        assert [one["databases"][kind]["after"] for one in found] == [there, there]
    # one administrator, not two, and not none
    assert pg_admin("SELECT username, is_admin FROM users", database=schemas.names["auth"]) == [("admin", True)]
    ended(schemas("check"), 0)


def test_the_next_one_goes_on_where_one_was_killed(schemas, pg_admin):
    """Killed as soon as the first schema is being made: its lock goes with its session, and the next one does not wait."""
    ended(schemas("check"), 10)
    killed = schemas("upgrade")
    # a table that is being made is locked until all of them are there
    half = "SELECT 1 FROM pg_locks JOIN pg_database ON oid = database WHERE datname = %s AND mode = 'AccessExclusiveLock'"
    wait_until("a half-made schema", lambda: pg_admin(half, schemas.names["tracking"]), 120, interval=0.02)
    killed.kill()
    killed.wait()
    assert json.loads(ended(schemas("upgrade"), 0))["changed"] is True
    ended(schemas("check"), 0)
