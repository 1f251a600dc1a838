"""Tests of roles/postgresql/files/postgresql_verify.py without a server: what only a wrongly configured one would do.

The rest is in tests/integration/test_postgresql_verify.py.
"""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from pathlib import Path

import pytest

psycopg2 = pytest.importorskip("psycopg2")
SCRIPT = Path(__file__).parents[2] / "roles" / "postgresql" / "files" / "postgresql_verify.py"
REQUEST = {"host": "db", "port": 5432, "superuser": {"username": "postgres", "password": "right"}, "accounts": {}}
REFUSED = psycopg2.OperationalError('FATAL:  password authentication failed for user "postgres"\n')


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("postgresql_verify", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Connection:
    """A connection of a closed server: nothing speaks against it, and a row comes back as `row` says."""

    def __init__(self, row=lambda number: number):
        self.row, self.number, self.statements = row, None, []

    def cursor(self):
        return nullcontext(self)

    def execute(self, statement, parameters=()):
        self.statements.append(statement.split()[0])
        self.number = parameters[0] if parameters else self.number

    def fetchall(self):
        return [(self.row(self.number),)] if "CREATE" in self.statements else []

    def rollback(self):
        self.statements.append("ROLLBACK")


def logins(script, monkeypatch, wrong):
    """Let the right password in, and have a wrong one end as `wrong` does: an exception, or a connection."""

    def connect(_request, _username, password, _database):
        if password.startswith("wrong-") and isinstance(wrong, Exception):
            raise wrong
        return nullcontext(Connection())

    monkeypatch.setattr(script, "connect", connect)


def test_a_refused_password_is_what_proves_the_server(script, monkeypatch):
    logins(script, monkeypatch, REFUSED)
    verified = []
    script.verify(REQUEST, verified)
    assert verified[-1] == "a wrong password is refused"


@pytest.mark.parametrize(
    "wrong, words",
    [
        (None, "a wrong password of postgres was accepted"),
        (psycopg2.OperationalError("connection refused"), "refused, but with: connection refused"),
    ],
)
def test_a_server_that_accepts_or_does_not_answer_a_wrong_password_is_not_verified(script, monkeypatch, wrong, words):
    logins(script, monkeypatch, wrong)
    verified = []
    with pytest.raises(script.VerificationError, match=words):
        script.verify(REQUEST, verified)
    assert "a wrong password is refused" not in verified


def test_what_is_written_is_rolled_back(script):
    connection = Connection()
    script.work(connection)
    assert connection.statements == ["CREATE", "INSERT", "SELECT", "ROLLBACK"]


def test_a_row_that_comes_back_otherwise_is_a_problem(script):
    with pytest.raises(script.VerificationError, match="another content"):
        script.work(Connection(row=lambda number: number + 1))
