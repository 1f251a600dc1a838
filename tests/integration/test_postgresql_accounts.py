"""postgresql_accounts against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

import secrets

from lib.modules import run_module
from lib.postgresql_server import connect, converge


def test_accounts_and_databases_in_one_call(pg_connection, pg_admin, pg_names, database_state):
    one, two, first, second = pg_names("'ü"), pg_names(), pg_names(), pg_names(' "x"')
    passwords = {one: f"it's \\ {secrets.token_urlsafe(12)}", two: secrets.token_urlsafe(12)}
    options = {"accounts": {one: [first, second], two: []}, "passwords": passwords}

    def look():
        roles = pg_admin("SELECT to_jsonb(r) - 'oid' FROM pg_roles r WHERE rolname IN (%s, %s) ORDER BY rolname", one, two)
        return roles, database_state(first), database_state(second)

    done = converge("postgresql_accounts", pg_connection, options, look)
    assert not any(password in str(done) for password in passwords.values())
    for (role,) in look()[0]:
        assert role["rolcanlogin"]
        assert not any(role[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls"))
    for name in (first, second):
        state, _inside = database_state(name)
        assert state["owner"] == one
        assert not [entry for entry in state["datacl"] if entry.startswith("=")], "the public may connect"
        connect(pg_connection, user=one, password=passwords[one], dbname=name).close()

    # what was changed by hand is changed back, and nothing else
    pg_admin(f'ALTER ROLE "{two}" CREATEDB')
    pg_admin(f'GRANT CONNECT ON DATABASE "{first}" TO PUBLIC')
    done = converge("postgresql_accounts", pg_connection, options, look)
    assert len(done["queries"]) == 2
    assert done["queries"][0] == f'ALTER ROLE "{two}" NOCREATEDB'


def test_what_came_before_a_failure_is_told(pg_connection, pg_admin, pg_names):
    account, database = pg_names(), pg_names()
    pg_admin(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    failed = run_module(
        "postgresql_accounts", {**pg_connection, "accounts": {account: [database]}, "passwords": {account: secrets.token_urlsafe(12)}}
    )
    assert f"The database {database} exists and cannot be changed so: its encoding is SQL_ASCII, not UTF8" in failed["msg"]
    assert [query.split(" ")[:3] for query in failed["queries"]] == [["CREATE", "ROLE", f'"{account}"']]


def test_who_is_no_superuser_joins_the_accounts(pg_connection, pg_admin, pg_names, database_state):
    maker, account, database = pg_names(), pg_names(), pg_names()
    own, password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    pg_admin(f"CREATE ROLE {maker} LOGIN CREATEROLE CREATEDB PASSWORD '{own}'")
    connection = {**pg_connection, "login_user": maker, "login_password": own}
    options = {"accounts": {account: [database]}, "passwords": {account: password}, "join": True}
    done = run_module("postgresql_accounts", {**connection, **options})
    assert done["changed"], done
    assert database_state(database)[0]["owner"] == account
    assert run_module("postgresql_accounts", {**connection, **options})["queries"] == []
