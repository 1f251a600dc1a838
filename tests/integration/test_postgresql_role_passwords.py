"""Passwords of postgresql_role against a real server: of any characters, recognized without being known, and never shown."""

from __future__ import annotations

import json
import secrets

import psycopg2
import pytest
from lib.modules import run_module
from lib.postgresql_server import connect, converge_role
from psycopg2 import sql

ASCII = "".join(map(chr, range(32, 127)))


@pytest.mark.parametrize(
    "password",
    [
        ASCII,
        "x",
        "é" * 10 + ASCII,
        "ⅨªI\u00adX",
        "\ue000 not SASLprep's \u0221",
        "\u0627ab",
        "\u200b",
        "😀 pass word",
        "tab\there é",
        "$$; DROP ROLE x; --",
        "********",
        "a" * 500,
    ],
)
def test_passwords_of_any_characters(pg_connection, pg_admin, pg_names, password):
    name = pg_names()
    pg_admin(f"CREATE ROLE {name} LOGIN")

    def look():
        return pg_admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)

    done = converge_role(pg_connection, {"name": name, "password": password}, look)

    assert done["queries"] == [f"ALTER ROLE \"{name}\" PASSWORD '********'"]
    assert "SCRAM" not in json.dumps(done)
    assert done["diff"] == {"before": {"name": name}, "after": {"name": name, "password": "changed"}}
    connect(pg_connection, user=name, password=password).close()
    with pytest.raises(psycopg2.OperationalError):
        connect(pg_connection, user=name, password=password + "x")
    # the server computes a verifier of its own from the same password: it is recognized
    with connect(pg_connection) as session, session.cursor() as cursor:
        cursor.execute(
            sql.SQL("SET password_encryption TO 'scram-sha-256'; ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
    session.close()
    assert run_module("postgresql_role", {**pg_connection, "name": name, "password": password})["changed"] is False
    changed = run_module("postgresql_role", {**pg_connection, "name": name, "password": password + "x"}, check=True)
    assert changed["changed"] is True


def test_a_verifier_in_place_of_a_password(pg_connection, pg_admin, pg_names):
    name, other, password = pg_names(), pg_names(), secrets.token_urlsafe(18)
    run_module("postgresql_role", {**pg_connection, "name": other, "password": password})
    verifier = pg_admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", other)[0][0]

    def look():
        return pg_admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)

    done = converge_role(pg_connection, {"name": name, "login": True, "password": verifier}, look)

    assert done["queries"] == [f"CREATE ROLE \"{name}\" LOGIN PASSWORD '********'"]
    assert look() == [(verifier,)]
    connect(pg_connection, user=name, password=password).close()


def test_an_md5_password_becomes_scram(pg_connection, pg_admin, pg_names):
    import hashlib

    name, password = pg_names(), secrets.token_urlsafe(18)
    pg_admin(f"CREATE ROLE {name} LOGIN PASSWORD 'md5{hashlib.md5((password + name).encode(), usedforsecurity=False).hexdigest()}'")
    converge_role(
        pg_connection, {"name": name, "password": password}, lambda: pg_admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)
    )
    assert pg_admin("SELECT rolpassword LIKE 'SCRAM-SHA-256$%%' FROM pg_authid WHERE rolname = %s", name) == [(True,)]
    connect(pg_connection, user=name, password=password).close()


def test_iterations_are_the_servers(pg_connection, pg_admin, pg_names):
    name = pg_names()
    expected = pg_admin("SELECT coalesce(current_setting('scram_iterations', true), '4096')")[0][0]
    run_module("postgresql_role", {**pg_connection, "name": name, "password": "pencil"})
    assert pg_admin("SELECT split_part(split_part(rolpassword, '$', 2), ':', 1) FROM pg_authid WHERE rolname = %s", name) == [(expected,)]


@pytest.mark.parametrize("password", ["", "md5" + "0" * 32, "SCRAM-SHA-256$4096:x"])
def test_passwords_that_are_refused(pg_connection, pg_admin, pg_names, password):
    name = pg_names()
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "password": password})
    assert failed["failed"]
    assert not pg_admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name)


def test_without_pg_authid_a_login_decides(pg_connection, pg_admin, pg_names):
    operator, name, secret = pg_names(), pg_names(), secrets.token_urlsafe(18)
    pg_admin(f"CREATE ROLE {operator} LOGIN CREATEROLE PASSWORD '{secret}'")
    connection = {**pg_connection, "login_user": operator, "login_password": secret}
    options = {**connection, "name": name, "password": "first", "login": True}
    assert run_module("postgresql_role", options)["changed"] is True
    again = run_module("postgresql_role", options)
    assert again["changed"] is False
    assert "warnings" not in again
    options["password"] = "second"
    assert run_module("postgresql_role", options, check=True)["changed"] is True
    connect(pg_connection, user=name, password="first").close()
    done = run_module("postgresql_role", options)
    assert done["queries"] == [f"ALTER ROLE \"{name}\" PASSWORD '********'"]
    assert "warnings" not in done
    connect(pg_connection, user=name, password="second").close()
    # nothing can be proved of a role that may not log in
    pg_admin(f"ALTER ROLE {name} NOLOGIN")
    del options["login"]
    done = run_module("postgresql_role", options)
    assert done["changed"] is True
    assert "cannot be found out" in str(done["warnings"])
    assert "not permitted to log in" in str(done["warnings"])
