"""postgresql_role against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

import secrets

import pytest
from lib.modules import run_module
from lib.postgresql_server import connect, converge_role, quoted


@pytest.mark.parametrize(
    ("options", "words", "column", "value"),
    [
        ({"login": True}, "LOGIN", "rolcanlogin", True),
        ({"superuser": True}, "SUPERUSER", "rolsuper", True),
        ({"createdb": True}, "CREATEDB", "rolcreatedb", True),
        ({"createrole": True}, "CREATEROLE", "rolcreaterole", True),
        ({"inherit": False}, "NOINHERIT", "rolinherit", False),
        ({"replication": True}, "REPLICATION", "rolreplication", True),
        ({"bypassrls": True}, "BYPASSRLS", "rolbypassrls", True),
        ({"connection_limit": 3}, "CONNECTION LIMIT 3", "rolconnlimit", 3),
    ],
)
def test_each_attribute_of_an_existing_role(pg_connection, pg_admin, pg_names, options, words, column, value):
    name = pg_names()
    pg_admin(f"CREATE ROLE {name}")
    before = pg_admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name)[0][0]

    done = converge_role(
        pg_connection, {"name": name, **options}, lambda: pg_admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name)
    )

    assert done["queries"] == [f'ALTER ROLE "{name}" {words}']
    assert pg_admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name)[0][0] == {**before, column: value}
    option = next(iter(options))
    assert done["diff"]["before"][option] == before[column]
    assert done["diff"]["after"][option] == value


def test_create_with_everything_then_leave_it_alone(pg_connection, pg_admin, pg_names):
    group, name, password = pg_names(), pg_names(), secrets.token_urlsafe(18)
    pg_admin(f"CREATE ROLE {group}")

    def look():
        return pg_admin("SELECT to_jsonb(r) - 'oid', shobj_description(oid, 'pg_authid') FROM pg_roles r WHERE rolname = %s", name)

    options = {
        "name": name,
        "password": password,
        "login": True,
        "superuser": False,
        "createdb": True,
        "connection_limit": 7,
        "valid_until": "2100-01-01 02:00:00+02",
        "member_of": [group],
        "settings": {"statement_timeout": "5min", "search_path": ["A b", "public"], "jit": False},
        "comment": "it's 100% \\ fine; ü",
    }
    done = converge_role(pg_connection, options, look)

    assert done["queries"] == [
        f"CREATE ROLE \"{name}\" LOGIN NOSUPERUSER CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2100-01-01 02:00:00+02' PASSWORD '********'",
        f'GRANT "{group}" TO "{name}"',
        f'ALTER ROLE "{name}" SET "statement_timeout" TO \'5min\'',
        f"ALTER ROLE \"{name}\" SET \"search_path\" TO 'A b', 'public'",
        f'ALTER ROLE "{name}" SET "jit" TO \'off\'',
        f"COMMENT ON ROLE \"{name}\" IS 'it''s 100% \\ fine; ü'",
    ]
    state, comment = look()[0]
    assert comment == options["comment"]
    assert state["rolconfig"] == ["statement_timeout=5min", 'search_path="A b", public', "jit=off"]
    with connect(pg_connection, user=name, password=password) as session, session.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ('"A b", public',)
    session.close()

    # only a name: every property stays
    assert run_module("postgresql_role", {**pg_connection, "name": name})["changed"] is False
    # the same instant, written otherwise
    assert run_module("postgresql_role", {**pg_connection, "name": name, "valid_until": "2100-01-01 00:00:00 UTC"})["changed"] is False
    assert look() == [(state, comment)]


def test_infinity_is_what_a_role_without_a_limit_has(pg_connection, pg_admin, pg_names):
    name = pg_names()
    pg_admin(f"CREATE ROLE {name}")
    assert run_module("postgresql_role", {**pg_connection, "name": name, "valid_until": "infinity"})["changed"] is False
    pg_admin(f"ALTER ROLE {name} VALID UNTIL '2100-01-01'")
    converge_role(
        pg_connection,
        {"name": name, "valid_until": "infinity"},
        lambda: pg_admin("SELECT rolvaliduntil::text FROM pg_roles WHERE rolname = %s", name),
    )
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "valid_until": "soon"})
    assert failed["failed"]
    assert 'invalid input syntax for type timestamp with time zone: "soon"' in failed["msg"]


def test_settings_and_comment_are_removed(pg_connection, pg_admin, pg_names):
    name = pg_names()
    pg_admin(f"CREATE ROLE {name}")
    pg_admin(f"ALTER ROLE {name} SET work_mem TO '1MB'")
    pg_admin(f"ALTER ROLE {name} SET jit TO off")
    pg_admin(f"COMMENT ON ROLE {name} IS 'old'")

    def look():
        return pg_admin("SELECT rolconfig, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", name)

    done = converge_role(pg_connection, {"name": name, "settings": {"WORK_MEM": None}, "comment": ""}, look)
    assert done["queries"] == [f'ALTER ROLE "{name}" RESET "WORK_MEM"', f'COMMENT ON ROLE "{name}" IS NULL']
    assert look() == [(["jit=off"], None)]


@pytest.mark.parametrize("suffix", [' "; DROP ROLE x; --', "'", " %s %(name)s %", " é密😀", "\\", ".a.b", "=x host=nowhere", "\n"])
def test_names_of_any_characters(pg_connection, pg_admin, pg_names, suffix):
    name, group = pg_names(suffix), pg_names(suffix + "g")
    run_module("postgresql_role", {**pg_connection, "name": group})

    def look():
        return pg_admin("SELECT rolname FROM pg_roles WHERE rolname = %s", name)

    options = {"name": name, "login": True, "password": "pencil", "member_of": [group], "comment": suffix}
    done = converge_role(pg_connection, options, look)
    assert done["queries"][1] == f"GRANT {quoted(group)} TO {quoted(name)}"
    connect(pg_connection, user=name, password="pencil").close()
    done = converge_role(pg_connection, {"name": name, "state": "absent"}, look)
    assert done["queries"] == [f"DROP ROLE {quoted(name)}"]


def test_long_names(pg_connection, pg_admin, pg_names):
    name = pg_names("x" * 50)
    assert len(name) == 63
    converge_role(pg_connection, {"name": name}, lambda: pg_admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name))
    failed = run_module("postgresql_role", {**pg_connection, "name": name + "y"})
    assert failed["failed"]
    assert "64 bytes" in failed["msg"]


def test_absent_fails_while_anything_depends_on_the_role(pg_connection, pg_admin, pg_names):
    name = pg_names()
    pg_admin(f"CREATE ROLE {name}; GRANT CREATE ON SCHEMA public TO {name}")
    for check in (True, False):
        failed = run_module("postgresql_role", {**pg_connection, "name": name, "state": "absent"}, check=check)
        assert failed["failed"]
        assert "REASSIGN OWNED" in failed["msg"]
    assert "cannot be dropped because some objects depend on it" in failed["msg"]
    assert "privileges for schema public" in failed["msg"]
    pg_admin(f"REVOKE CREATE ON SCHEMA public FROM {name}")
    done = converge_role(
        pg_connection, {"name": name, "state": "absent"}, lambda: pg_admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name)
    )
    assert done["queries"] == [f'DROP ROLE "{name}"']


def test_a_role_without_the_right_to_change_another(pg_connection, pg_admin, pg_names):
    operator, name, secret = pg_names(), pg_names(), secrets.token_urlsafe(18)
    pg_admin(f"CREATE ROLE {operator} LOGIN PASSWORD '{secret}'")
    failed = run_module("postgresql_role", {**pg_connection, "login_user": operator, "login_password": secret, "name": name})
    assert failed["failed"]
    assert "permission denied to create role" in failed["msg"]
    assert "Log in as a superuser" in failed["msg"]
