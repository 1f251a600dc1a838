"""postgresql_database against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

import contextlib

import psycopg2
import pytest
from lib.modules import run_module
from lib.postgresql_server import STATE, connect, converge_database, quoted
from psycopg2 import sql


def test_create_with_everything_then_leave_it_alone(pg_connection, pg_admin, pg_names, database_state):
    name, owner, reader = pg_names(), pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {owner}; CREATE ROLE {reader} LOGIN PASSWORD 'pencil'")
    options = {
        "name": name,
        "owner": owner,
        "template": "template0",
        "encoding": "SQL_ASCII",
        "locale": "C",
        "connection_limit": 9,
        "extensions": ["plpgsql"],
        "lock_public": True,
        "grants": [{"role": reader, "privileges": ["TEMPORARY", "CONNECT"], "schema_privileges": ["USAGE"]}],
        "comment": "it's 100% fine",
    }
    done = converge_database(pg_connection, options, database_state)

    create = f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "template0" ENCODING \'SQL_ASCII\' LOCALE \'C\' CONNECTION LIMIT 9'
    assert done["queries"] == [
        create,
        'CREATE EXTENSION IF NOT EXISTS "plpgsql"',
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f'GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO "{reader}"',
        f'GRANT USAGE ON SCHEMA public TO "{reader}"',
        f"COMMENT ON DATABASE \"{name}\" IS 'it''s 100% fine'",
    ]
    state, inside = database_state(name)
    assert state["owner"] == owner
    assert (state["encoding"], state["datcollate"], state["datctype"]) == (0, "C", "C")
    assert (state["datconnlimit"], state["comment"]) == (9, "it's 100% fine")
    assert sorted(state["datacl"]) == sorted([f"{owner}=CTc/{owner}", f"{reader}=Tc/{owner}"])
    assert not [entry for entry in inside[0][0] if entry.startswith("=")]
    assert f"{reader}=U/pg_database_owner" in inside[0][0]
    # only a name: every property stays
    assert run_module("postgresql_database", {**pg_connection, "name": name})["changed"] is False
    assert database_state(name) == (state, inside)


def test_change_what_can_be_changed(pg_connection, pg_admin, pg_names, database_state):
    name, owner = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {owner}")
    pg_admin(f"CREATE DATABASE {name} TEMPLATE template0")
    pg_admin(f"COMMENT ON DATABASE {name} IS 'old'")
    before = database_state(name)[0]

    done = converge_database(pg_connection, {"name": name, "owner": owner, "connection_limit": 0, "comment": ""}, database_state)

    assert done["queries"] == [
        f'ALTER DATABASE "{name}" OWNER TO "{owner}"',
        f'ALTER DATABASE "{name}" CONNECTION LIMIT 0',
        f'COMMENT ON DATABASE "{name}" IS NULL',
    ]
    assert done["diff"]["before"] == {"name": name, "owner": pg_connection["login_user"], "connection_limit": -1, "comment": "old"}
    after = database_state(name)[0]
    assert (after["owner"], after["datconnlimit"], after["comment"]) == (owner, 0, None)
    assert (after["datcollate"], after["encoding"]) == (before["datcollate"], before["encoding"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "LATIN1"}, "encoding is SQL_ASCII, not LATIN1"),
        ({"locale": "POSIX"}, "lc_collate is C, not POSIX; its lc_ctype is C, not POSIX"),
        ({"lc_collate": "POSIX"}, "lc_collate is C, not POSIX"),
        ({"lc_ctype": "POSIX"}, "lc_ctype is C, not POSIX"),
        ({"encoding": "UTF9"}, "knows no UTF9"),
    ],
)
def test_what_only_a_creation_can_set_is_refused(pg_connection, pg_admin, pg_names, options, words):
    name = pg_names()
    pg_admin(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    for check in (True, False):
        failed = run_module("postgresql_database", {**pg_connection, "name": name, "comment": "new", **options}, check=check)
        assert failed["failed"]
        assert words in failed["msg"]
    assert pg_admin(STATE, name)[0][0]["comment"] is None
    same = {"encoding": "sqlascii", "lc_collate": "C", "lc_ctype": "C"}
    assert run_module("postgresql_database", {**pg_connection, "name": name, **same})["changed"] is False


def test_extensions(pg_connection, pg_admin, pg_names, database_state):
    name = pg_names()
    available = pg_admin(
        "SELECT name FROM pg_available_extensions WHERE installed_version IS NULL ORDER BY name = 'vector' DESC, name LIMIT 1"
    )
    assert available, "this server has no extension to install"
    extension = available[0][0]
    pg_admin(f"CREATE DATABASE {name} TEMPLATE template0")
    done = converge_database(pg_connection, {"name": name, "extensions": ["plpgsql", extension]}, database_state)
    assert done["queries"] == [f"CREATE EXTENSION IF NOT EXISTS {quoted(extension)}"]
    assert database_state(name)[1][0][1] == sorted(["plpgsql", extension])
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "extensions": ["no such one"], "comment": "new"})
    assert failed["failed"]
    assert 'extension "no such one" is not available' in failed["msg"]
    # one transaction
    assert database_state(name)[0]["comment"] is None
    predicted = run_module("postgresql_database", {**pg_connection, "name": name, "extensions": ["no such one"]}, check=True)
    assert "No such extension on the server yet: no such one" in str(predicted["warnings"])


@pytest.mark.parametrize("suffix", [' "; DROP DATABASE x; --', "'", " %s %(name)s %", " é密😀", "\\", "=x host=nowhere", "  two"])
def test_names_of_any_characters(pg_connection, pg_admin, pg_names, database_state, suffix):
    name, owner = pg_names(suffix), pg_names(suffix + "o")
    pg_admin(sql.SQL("CREATE ROLE {}").format(sql.Identifier(owner)))
    options = {
        "name": name,
        "owner": owner,
        "lock_public": True,
        "comment": suffix,
        "grants": [{"role": owner, "schema_privileges": ["USAGE"]}],
    }
    done = converge_database(pg_connection, options, database_state)
    assert done["queries"][0] == f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)}"
    assert database_state(name)[0]["comment"] == suffix
    done = converge_database(pg_connection, {"name": name, "state": "absent"}, database_state)
    assert done["queries"] == [f"DROP DATABASE {quoted(name)}"]


def test_long_names(pg_connection, pg_names, database_state):
    name = pg_names("x" * 50)
    assert len(name) == 63
    converge_database(pg_connection, {"name": name}, database_state)
    failed = run_module("postgresql_database", {**pg_connection, "name": name + "y"})
    assert failed["failed"]
    assert "64 bytes" in failed["msg"]


def test_absent_with_sessions(pg_connection, pg_admin, pg_names, database_state):
    name = pg_names()
    pg_admin(f"CREATE DATABASE {name}")
    with contextlib.closing(connect(pg_connection, dbname=name)) as session, session.cursor() as cursor:
        failed = run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent"})
        assert failed["failed"]
        assert "is being accessed by other users" in failed["msg"]
        assert "force=true" in failed["msg"]
        done = run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent", "force": True}, check=True)
        cursor.execute("SELECT 1")
        done = run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent", "force": True})
        assert done["queries"] == [f'DROP DATABASE "{name}" WITH (FORCE)']
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    assert database_state(name) is None
    assert run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent"})["changed"] is False


@pytest.mark.parametrize("name", ["postgres", "template0", "template1"])
def test_the_servers_own_databases_are_never_dropped(pg_connection, pg_admin, name):
    failed = run_module("postgresql_database", {**pg_connection, "login_db": "template1", "name": name, "state": "absent", "force": True})
    assert failed["failed"]
    assert "never dropped" in failed["msg"]
    assert pg_admin("SELECT 1 FROM pg_database WHERE datname = %s", name)


def test_a_template_is_never_dropped(pg_connection, pg_admin, pg_names, database_state):
    name = pg_names()
    pg_admin(f"CREATE DATABASE {name} IS_TEMPLATE true")
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent", "force": True})
    pg_admin(f"ALTER DATABASE {name} IS_TEMPLATE false")
    assert failed["failed"]
    assert "is a template" in failed["msg"]
    assert database_state(name) is not None


def test_roles_that_are_missing(pg_connection, pg_admin, pg_names):
    name, owner = pg_names(), pg_names()
    predicted = run_module("postgresql_database", {**pg_connection, "name": name, "owner": owner, "lock_public": True}, check=True)
    assert predicted["changed"] is True
    assert owner in str(predicted["warnings"])
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "owner": owner})
    assert failed["failed"]
    assert f'role "{owner}" does not exist' in failed["msg"]
    assert not pg_admin(STATE, name)


def test_a_database_that_lets_nobody_in_is_not_created_again(pg_connection, pg_admin, pg_names):
    name = pg_names()
    pg_admin(f"CREATE DATABASE {name} ALLOW_CONNECTIONS false")
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "lock_public": True})
    assert failed["failed"]
    assert "is not currently accepting connections" in failed["msg"]
    assert run_module("postgresql_database", {**pg_connection, "name": name})["changed"] is False


def test_an_operator_who_is_no_superuser(pg_connection, pg_admin, pg_names, database_state):
    operator, name = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {operator} LOGIN CREATEDB PASSWORD 'pencil'")
    options = {"login_user": operator, "login_password": "pencil", "name": name, "lock_public": True, "comment": "c"}
    converge_database(pg_connection, options, database_state)
    failed = run_module("postgresql_database", {**pg_connection, **options, "owner": pg_connection["login_user"]})
    assert failed["failed"]
    assert failed["queries"] == []
    assert "SET ROLE" in failed["msg"] or "must be member" in failed["msg"]
