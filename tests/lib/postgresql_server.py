"""Roles and databases of the tests on a real PostgreSQL server, and what looks at them: psycopg2 alone.

The fixtures are those of tests/integration/conftest.py.
"""

from __future__ import annotations

import contextlib
import secrets

import pytest

from lib.modules import run_module

STATE = """
SELECT to_jsonb(d) - 'oid' - 'datfrozenxid' - 'datminmxid' || jsonb_build_object(
  'owner', pg_get_userbyid(datdba), 'comment', shobj_description(oid, 'pg_database'), 'datacl', datacl::text[])
FROM pg_database d WHERE datname = %s
"""
INSIDE = """
SELECT nspacl::text[], (SELECT array_agg(extname ORDER BY extname) FROM pg_extension)::text[] FROM pg_namespace WHERE nspname = 'public'
"""


def connect(options, **override):
    """Return a psycopg2 connection with the connection options of this collection's modules."""
    import psycopg2

    return psycopg2.connect(
        host=options.get("login_unix_socket") or options.get("login_host"),
        port=options["login_port"],
        **{"user": options["login_user"], "password": options.get("login_password"), "dbname": options["login_db"], **override},
    )


def rows(connection, *queries):
    """Run queries, each by itself, close the connection, and return the rows of the last one."""
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def converge(module, pg_connection, options, look):
    """Check mode, then the real run, then a second one; return the real run's result. `look` returns the server's state."""
    before = look()
    predicted = run_module(module, {**pg_connection, **options}, check=True, diff=True)
    assert predicted["changed"] is True, predicted
    assert look() == before
    done = run_module(module, {**pg_connection, **options}, diff=True)
    assert not done.get("failed"), done
    assert (done["changed"], done["queries"], done["diff"]) == (True, predicted["queries"], predicted["diff"])
    assert look() != before
    for check in (True, False):
        again = run_module(module, {**pg_connection, **options}, check=check, diff=True)
        assert (again["changed"], again["queries"]) == (False, [])
        for diff in again["diff"] if isinstance(again["diff"], list) else [again["diff"]]:
            assert diff["before"] == diff["after"]
    return done


def converge_role(pg_connection, options, look):
    return converge("postgresql_role", pg_connection, options, look)


def converge_database(pg_connection, options, look):
    """As converge(); `look` takes the database's name: the fixture database_state."""
    return converge("postgresql_database", pg_connection, options, lambda: look(options["name"]))


# --- fixtures -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pg_admin(pg_connection):
    """Run a statement as the superuser and return its rows; `database` names another one than login_db."""
    own = connect(pg_connection)

    def execute(query, *values, database=None):
        with contextlib.ExitStack() as stack:
            # a session in another database would be in the way of its removal
            connection = stack.enter_context(contextlib.closing(connect(pg_connection, dbname=database))) if database else own
            connection.autocommit = True
            cursor = stack.enter_context(connection.cursor())
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    execute.version = own.server_version
    yield execute
    own.close()


@pytest.fixture
def pg_names(pg_admin):
    """Return unique names; databases and roles that bear them are dropped afterwards."""
    from psycopg2 import sql

    made = []

    def make(suffix=""):
        made.append(f"test_{secrets.token_hex(4)}{suffix}")
        return made[-1]

    yield make
    for name in made:
        pg_admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    # the last first: a role may be another's grantor
    for name in made[::-1]:
        if pg_admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            pg_admin(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            pg_admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def database_state(pg_admin):
    """Return the whole state of a database, from outside and inside, or None."""

    def state(name):
        rows = pg_admin(STATE, name)
        return (rows[0][0], pg_admin(INSIDE, database=name)) if rows else None

    return state
