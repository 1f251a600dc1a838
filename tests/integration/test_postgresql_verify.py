"""The proof that PostgreSQL is closed, on servers that somebody opened by hand: it says what, and leaves nothing behind.

That it succeeds on a server as the role leaves it is what every run of the playbooks ends with.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "roles" / "postgresql" / "files" / "postgresql_verify.py"
MD5 = "md5" + "0" * 32


@pytest.fixture
def verify(platform):
    """Return a function that runs the proof, with a changed request, and returns (its exit code, its answer, its whole output)."""
    databases = {"mlflow": ["mlflow", "mlflow_auth"], "seaweedfs": ["seaweedfs"]}
    request = {
        "host": "127.0.0.1",
        "port": platform.variables["postgresql_port"],
        "superuser": {"username": "postgres", "password": platform.secret("postgresql_superuser_password")},
        "accounts": {
            name: {"password": platform.secret(f"postgresql_{name}_password"), "databases": databases[name]} for name in databases
        },
    }

    def run(**changes):
        command = platform.as_service(platform.python("tools"), "-I", "-c", PROGRAM.read_text(encoding="utf-8"))
        given = json.dumps({**request, **changes})
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd="/")
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout), done.stdout

    run.request = request
    return run


@contextlib.contextmanager
def opened(platform, statement, undo):
    with platform.database("postgres") as cursor:
        cursor.execute(statement)
        try:
            yield
        finally:
            cursor.execute(undo)


def test_a_closed_server_is_verified_and_left_as_it_was(platform, verify):
    code, answer, output = verify()
    assert (code, answer["problem"]) == (0, None)
    assert "mlflow writes and reads in mlflow_auth" in answer["verified"]
    assert len(answer["verified"]) == 8
    for database in ("mlflow", "mlflow_auth", "seaweedfs"):
        with platform.database(database) as cursor:
            cursor.execute("SELECT to_regclass('mlops_verify')")
            assert cursor.fetchone() == (None,)
    passwords = [verify.request["superuser"]["password"], *(account["password"] for account in verify.request["accounts"].values())]
    assert not [password for password in passwords if password in output]


@pytest.mark.parametrize(
    "statement, undo, words",
    [
        ("CREATE ROLE mlops_test_power LOGIN CREATEDB", "DROP ROLE mlops_test_power", "has power: mlops_test_power."),
        (f"CREATE ROLE mlops_test_hash PASSWORD '{MD5}'", "DROP ROLE mlops_test_hash", "is a SCRAM hash: mlops_test_hash."),
        ("GRANT CONNECT ON DATABASE mlflow_auth TO PUBLIC", "REVOKE CONNECT ON DATABASE mlflow_auth FROM PUBLIC", "in: mlflow_auth."),
    ],
)
def test_what_was_opened_in_the_server_is_told_by_its_name(platform, verify, statement, undo, words):
    with opened(platform, statement, undo):
        code, answer, _output = verify()
    assert code == 1
    assert words in answer["problem"]


def test_a_rule_that_trusts_is_told_by_its_line(platform, verify):
    rules = platform.data_dir / "etc" / "postgresql" / "pg_hba.conf"
    before = rules.read_text()
    try:
        # the server reads it again only when it is told to: nobody is let in
        with rules.open("a") as stream:
            stream.write("host all all 127.0.0.1/32 trust\n")
        code, answer, _output = verify()
    finally:
        rules.write_text(before)
    assert (code, answer["verified"]) == (1, [])
    assert f"line {len(before.splitlines()) + 1} has trust" in answer["problem"]


@pytest.mark.parametrize(
    "name, databases, words",
    [
        ("mlflow", ["mlflow", "seaweedfs"], "permission denied for database"),
        ("mlflow", ["mlflow", "no_such_database"], "does not exist"),
    ],
)
def test_an_account_that_does_not_reach_its_database_is_told(verify, name, databases, words):
    accounts = {name: {**verify.request["accounts"][name], "databases": databases}}
    code, answer, _output = verify(accounts=accounts)
    assert code == 1
    assert answer["verified"][-1] == f"{name} writes and reads in {databases[0]}"
    assert f"{name} does not write and read in {databases[1]}" in answer["problem"]
    assert words in answer["problem"]


def test_a_superuser_who_cannot_log_in_is_told(verify):
    code, answer, _output = verify(superuser={"username": "postgres", "password": "another"})
    assert (code, answer["verified"]) == (1, [])
    assert 'password authentication failed for user "postgres"' in answer["problem"]
