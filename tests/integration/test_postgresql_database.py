"""postgresql_database against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

import concurrent.futures
import contextlib
import secrets

import psycopg2
import pytest
from lib.modules import run_module
from psycopg2 import sql

STATE = """
SELECT to_jsonb(d) - 'oid' - 'datfrozenxid' - 'datminmxid' || jsonb_build_object(
  'owner', pg_get_userbyid(datdba), 'comment', shobj_description(oid, 'pg_database'), 'datacl', datacl::text[])
FROM pg_database d WHERE datname = %s
"""
INSIDE = """
SELECT nspacl::text[], (SELECT array_agg(extname ORDER BY extname) FROM pg_extension)::text[] FROM pg_namespace WHERE nspname = 'public'
"""


def connect(options, **override):
    return psycopg2.connect(
        host=options.get("login_unix_socket") or options.get("login_host"),
        port=options["login_port"],
        **{"user": options["login_user"], "password": options.get("login_password"), "dbname": options["login_db"], **override},
    )


@pytest.fixture(scope="module")
def admin(pg_connection):
    """Run a statement as the superuser and return its rows; `database` names another one than login_db."""

    def execute(query, *values, database=None):
        connection = connect(pg_connection, **({"dbname": database} if database else {}))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    return execute


@pytest.fixture
def names(admin):
    """Return unique names; databases and roles that bear them are dropped afterwards."""
    made = []

    def make(suffix=""):
        made.append(f"test_{secrets.token_hex(4)}{suffix}")
        return made[-1]

    yield make
    for name in made:
        admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    for name in made:
        if admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            admin(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def look(admin):
    """Return the whole state of a database, from outside and inside, or None."""

    def state(name):
        rows = admin(STATE, name)
        return (rows[0][0], admin(INSIDE, database=name)) if rows else None

    return state


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def converge(pg_connection, options, look):
    """Check mode, then the real run, then a second one; return the real run's result."""
    before = look(options["name"])
    predicted = run_module("postgresql_database", {**pg_connection, **options}, check=True, diff=True)
    assert predicted["changed"] is True, predicted
    assert look(options["name"]) == before
    done = run_module("postgresql_database", {**pg_connection, **options}, diff=True)
    assert not done.get("failed"), done
    assert (done["changed"], done["queries"], done["diff"]) == (True, predicted["queries"], predicted["diff"])
    assert look(options["name"]) != before
    for check in (True, False):
        again = run_module("postgresql_database", {**pg_connection, **options}, check=check, diff=True)
        assert (again["changed"], again["queries"]) == (False, [])
        assert again["diff"]["before"] == again["diff"]["after"]
    return done


def test_create_with_everything_then_leave_it_alone(pg_connection, admin, names, look):
    name, owner, reader = names(), names(), names()
    admin(f"CREATE ROLE {owner}; CREATE ROLE {reader} LOGIN PASSWORD 'pencil'")
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
    done = converge(pg_connection, options, look)

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
    state, inside = look(name)
    assert state["owner"] == owner
    assert (state["encoding"], state["datcollate"], state["datctype"]) == (0, "C", "C")
    assert (state["datconnlimit"], state["comment"]) == (9, "it's 100% fine")
    assert sorted(state["datacl"]) == sorted([f"{owner}=CTc/{owner}", f"{reader}=Tc/{owner}"])
    assert not [entry for entry in inside[0][0] if entry.startswith("=")]
    assert f"{reader}=U/pg_database_owner" in inside[0][0]
    # only a name: every property stays
    assert run_module("postgresql_database", {**pg_connection, "name": name})["changed"] is False
    assert look(name) == (state, inside)


def test_change_what_can_be_changed(pg_connection, admin, names, look):
    name, owner = names(), names()
    admin(f"CREATE ROLE {owner}")
    admin(f"CREATE DATABASE {name} TEMPLATE template0")
    admin(f"COMMENT ON DATABASE {name} IS 'old'")
    before = look(name)[0]

    done = converge(pg_connection, {"name": name, "owner": owner, "connection_limit": 0, "comment": ""}, look)

    assert done["queries"] == [
        f'ALTER DATABASE "{name}" OWNER TO "{owner}"',
        f'ALTER DATABASE "{name}" CONNECTION LIMIT 0',
        f'COMMENT ON DATABASE "{name}" IS NULL',
    ]
    assert done["diff"]["before"] == {"name": name, "owner": pg_connection["login_user"], "connection_limit": -1, "comment": "old"}
    after = look(name)[0]
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
def test_what_only_a_creation_can_set_is_refused(pg_connection, admin, names, options, words):
    name = names()
    admin(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    for check in (True, False):
        failed = run_module("postgresql_database", {**pg_connection, "name": name, "comment": "new", **options}, check=check)
        assert failed["failed"]
        assert words in failed["msg"]
    assert admin(STATE, name)[0][0]["comment"] is None
    same = {"encoding": "sqlascii", "lc_collate": "C", "lc_ctype": "C"}
    assert run_module("postgresql_database", {**pg_connection, "name": name, **same})["changed"] is False


def test_lock_public_keeps_others_out_and_the_owner_in(pg_connection, admin, names, look):
    name, owner, other = names(), names(), names()
    admin(f"CREATE ROLE {owner} LOGIN PASSWORD 'pencil'; CREATE ROLE {other} LOGIN PASSWORD 'pencil'")
    admin(f"CREATE DATABASE {name} OWNER {owner}")
    # as in a database that was made before PostgreSQL 15
    admin(f"ALTER SCHEMA public OWNER TO {pg_connection['login_user']}; GRANT ALL ON SCHEMA public TO PUBLIC", database=name)
    connect(pg_connection, user=other, password="pencil", dbname=name).close()
    # false is as if it were not said
    assert run_module("postgresql_database", {**pg_connection, "name": name, "lock_public": False})["changed"] is False

    done = converge(pg_connection, {"name": name, "lock_public": True}, look)

    assert done["queries"] == [
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f'GRANT CREATE, USAGE ON SCHEMA public TO "{owner}"',
    ]
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect(pg_connection, user=other, password="pencil", dbname=name)
    with contextlib.closing(connect(pg_connection, user=owner, password="pencil", dbname=name)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE public.t (x int); INSERT INTO public.t VALUES (1)")


def test_the_owner_of_a_new_locked_database_can_work_in_it(pg_connection, admin, names, look):
    name, owner = names(), names()
    admin(f"CREATE ROLE {owner} LOGIN PASSWORD 'pencil'")
    converge(pg_connection, {"name": name, "owner": owner, "lock_public": True}, look)
    with contextlib.closing(connect(pg_connection, user=owner, password="pencil", dbname=name)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE public.t (x int); INSERT INTO public.t VALUES (1)")


def test_grants_and_purge(pg_connection, admin, names, look):
    name, one, two = names(), names(), names()
    admin(f"CREATE ROLE {one}; CREATE ROLE {two}")
    admin(f"CREATE DATABASE {name}")
    admin(f"GRANT ALL ON DATABASE {name} TO {two}; GRANT ALL ON SCHEMA public TO {two}", database=name)

    def entries(role):
        state, inside = look(name)
        return [entry.split("/")[0] for entry in [*state["datacl"], *inside[0][0]] if entry.startswith(role)]

    done = converge(pg_connection, {"name": name, "grants": [{"role": one, "privileges": ["CONNECT", "CREATE"]}]}, look)
    assert done["queries"] == [f'GRANT CONNECT, CREATE ON DATABASE "{name}" TO "{one}"']
    assert entries(one) == [f"{one}=Cc"]
    assert entries(two) == [f"{two}=CTc", f"{two}=UC"]
    grants = [{"role": one, "privileges": ["CONNECT"], "schema_privileges": ["USAGE"]}]
    done = converge(pg_connection, {"name": name, "grants": grants, "grants_purge": True}, look)
    assert sorted(done["queries"]) == sorted(
        [
            f'REVOKE CREATE ON DATABASE "{name}" FROM "{one}"',
            f'REVOKE CONNECT, CREATE, TEMPORARY ON DATABASE "{name}" FROM "{two}"',
            f'GRANT USAGE ON SCHEMA public TO "{one}"',
            f'REVOKE CREATE, USAGE ON SCHEMA public FROM "{two}"',
        ]
    )
    assert entries(one) == [f"{one}=c", f"{one}=U"]
    assert entries(two) == []
    # PUBLIC and the owner keep theirs
    assert "=Tc" in [entry.split("/")[0] for entry in look(name)[0]["datacl"]]
    done = converge(pg_connection, {"name": name, "grants": [{"role": "PUBLIC", "privileges": ["CONNECT"]}], "grants_purge": True}, look)
    assert f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC' in done["queries"]
    assert entries(one) == []


def test_the_old_owners_entry_goes_to_the_new_one(pg_connection, admin, names, look):
    name, old, new = names(), names(), names()
    admin(f"CREATE ROLE {old}; CREATE ROLE {new}")
    admin(f"CREATE DATABASE {name} OWNER {old}")
    converge(pg_connection, {"name": name, "owner": new, "lock_public": True, "grants": [{"role": old, "privileges": ["CONNECT"]}]}, look)
    assert sorted(look(name)[0]["datacl"]) == sorted([f"{new}=CTc/{new}", f"{old}=c/{new}"])


def test_extensions(pg_connection, admin, names, look):
    name = names()
    available = admin(
        "SELECT name FROM pg_available_extensions WHERE installed_version IS NULL ORDER BY name = 'vector' DESC, name LIMIT 1"
    )
    assert available, "this server has no extension to install"
    extension = available[0][0]
    admin(f"CREATE DATABASE {name} TEMPLATE template0")
    done = converge(pg_connection, {"name": name, "extensions": ["plpgsql", extension]}, look)
    assert done["queries"] == [f"CREATE EXTENSION IF NOT EXISTS {quoted(extension)}"]
    assert look(name)[1][0][1] == sorted(["plpgsql", extension])
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "extensions": ["no such one"], "comment": "new"})
    assert failed["failed"]
    assert 'extension "no such one" is not available' in failed["msg"]
    # one transaction
    assert look(name)[0]["comment"] is None
    predicted = run_module("postgresql_database", {**pg_connection, "name": name, "extensions": ["no such one"]}, check=True)
    assert "No such extension on the server yet: no such one" in str(predicted["warnings"])


@pytest.mark.parametrize("suffix", [' "; DROP DATABASE x; --', "'", " %s %(name)s %", " é密😀", "\\", "=x host=nowhere", "  two"])
def test_names_of_any_characters(pg_connection, admin, names, look, suffix):
    name, owner = names(suffix), names(suffix + "o")
    admin(sql.SQL("CREATE ROLE {}").format(sql.Identifier(owner)))
    options = {
        "name": name,
        "owner": owner,
        "lock_public": True,
        "comment": suffix,
        "grants": [{"role": owner, "schema_privileges": ["USAGE"]}],
    }
    done = converge(pg_connection, options, look)
    assert done["queries"][0] == f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)}"
    assert look(name)[0]["comment"] == suffix
    done = converge(pg_connection, {"name": name, "state": "absent"}, look)
    assert done["queries"] == [f"DROP DATABASE {quoted(name)}"]


def test_long_names(pg_connection, names, look):
    name = names("x" * 50)
    assert len(name) == 63
    converge(pg_connection, {"name": name}, look)
    failed = run_module("postgresql_database", {**pg_connection, "name": name + "y"})
    assert failed["failed"]
    assert "64 bytes" in failed["msg"]


def test_absent_with_sessions(pg_connection, admin, names, look):
    name = names()
    admin(f"CREATE DATABASE {name}")
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
    assert look(name) is None
    assert run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent"})["changed"] is False


@pytest.mark.parametrize("name", ["postgres", "template0", "template1"])
def test_the_servers_own_databases_are_never_dropped(pg_connection, admin, name):
    failed = run_module("postgresql_database", {**pg_connection, "login_db": "template1", "name": name, "state": "absent", "force": True})
    assert failed["failed"]
    assert "never dropped" in failed["msg"]
    assert admin("SELECT 1 FROM pg_database WHERE datname = %s", name)


def test_a_template_is_never_dropped(pg_connection, admin, names, look):
    name = names()
    admin(f"CREATE DATABASE {name} IS_TEMPLATE true")
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "state": "absent", "force": True})
    admin(f"ALTER DATABASE {name} IS_TEMPLATE false")
    assert failed["failed"]
    assert "is a template" in failed["msg"]
    assert look(name) is not None


def test_roles_that_are_missing(pg_connection, admin, names):
    name, owner = names(), names()
    predicted = run_module("postgresql_database", {**pg_connection, "name": name, "owner": owner, "lock_public": True}, check=True)
    assert predicted["changed"] is True
    assert owner in str(predicted["warnings"])
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "owner": owner})
    assert failed["failed"]
    assert f'role "{owner}" does not exist' in failed["msg"]
    assert not admin(STATE, name)


def test_a_database_that_lets_nobody_in_is_not_created_again(pg_connection, admin, names):
    name = names()
    admin(f"CREATE DATABASE {name} ALLOW_CONNECTIONS false")
    failed = run_module("postgresql_database", {**pg_connection, "name": name, "lock_public": True})
    assert failed["failed"]
    assert "is not currently accepting connections" in failed["msg"]
    assert run_module("postgresql_database", {**pg_connection, "name": name})["changed"] is False


def test_an_operator_who_is_no_superuser(pg_connection, admin, names, look):
    operator, name = names(), names()
    admin(f"CREATE ROLE {operator} LOGIN CREATEDB PASSWORD 'pencil'")
    options = {"login_user": operator, "login_password": "pencil", "name": name, "lock_public": True, "comment": "c"}
    converge(pg_connection, options, look)
    failed = run_module("postgresql_database", {**pg_connection, **options, "owner": pg_connection["login_user"]})
    assert failed["failed"]
    assert failed["queries"] == []
    assert "SET ROLE" in failed["msg"] or "must be member" in failed["msg"]


def test_runs_at_the_same_time_do_not_fail_each_other(pg_connection, admin, names):
    name, owner = names(), names()
    admin(f"CREATE ROLE {owner}")
    options = {**pg_connection, "name": name, "owner": owner, "lock_public": True, "comment": "c", "extensions": ["plpgsql"]}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _number: run_module("postgresql_database", options), range(6)))
        assert not [result for result in results if result.get("failed")]
        assert len([1 for result in results if any(query.startswith("CREATE DATABASE") for query in result["queries"])]) == 1
        absent = {**pg_connection, "name": name, "state": "absent", "force": True}
        results = list(pool.map(lambda _number: run_module("postgresql_database", absent), range(4)))
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
