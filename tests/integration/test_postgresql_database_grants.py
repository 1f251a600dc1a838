"""Who gets into a database: lock_public and grants of postgresql_database against a real server."""

from __future__ import annotations

import contextlib

import psycopg2
import pytest
from lib.modules import run_module
from lib.postgresql_server import connect, converge_database


def test_lock_public_keeps_others_out_and_the_owner_in(pg_connection, pg_admin, pg_names, database_state):
    name, owner, other = pg_names(), pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {owner} LOGIN PASSWORD 'pencil'; CREATE ROLE {other} LOGIN PASSWORD 'pencil'")
    pg_admin(f"CREATE DATABASE {name} OWNER {owner}")
    # as in a database that was made before PostgreSQL 15
    pg_admin(f"ALTER SCHEMA public OWNER TO {pg_connection['login_user']}; GRANT ALL ON SCHEMA public TO PUBLIC", database=name)
    connect(pg_connection, user=other, password="pencil", dbname=name).close()
    # false is as if it were not said
    assert run_module("postgresql_database", {**pg_connection, "name": name, "lock_public": False})["changed"] is False

    done = converge_database(pg_connection, {"name": name, "lock_public": True}, database_state)

    assert done["queries"] == [
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f'GRANT CREATE, USAGE ON SCHEMA public TO "{owner}"',
    ]
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect(pg_connection, user=other, password="pencil", dbname=name)
    with contextlib.closing(connect(pg_connection, user=owner, password="pencil", dbname=name)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE public.t (x int); INSERT INTO public.t VALUES (1)")


def test_the_owner_of_a_new_locked_database_can_work_in_it(pg_connection, pg_admin, pg_names, database_state):
    name, owner = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {owner} LOGIN PASSWORD 'pencil'")
    converge_database(pg_connection, {"name": name, "owner": owner, "lock_public": True}, database_state)
    with contextlib.closing(connect(pg_connection, user=owner, password="pencil", dbname=name)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE public.t (x int); INSERT INTO public.t VALUES (1)")


def test_grants_and_purge(pg_connection, pg_admin, pg_names, database_state):
    name, one, two = pg_names(), pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {one}; CREATE ROLE {two}")
    pg_admin(f"CREATE DATABASE {name}")
    pg_admin(f"GRANT ALL ON DATABASE {name} TO {two}; GRANT ALL ON SCHEMA public TO {two}", database=name)

    def entries(role):
        state, inside = database_state(name)
        return [entry.split("/")[0] for entry in [*state["datacl"], *inside[0][0]] if entry.startswith(role)]

    done = converge_database(pg_connection, {"name": name, "grants": [{"role": one, "privileges": ["CONNECT", "CREATE"]}]}, database_state)
    assert done["queries"] == [f'GRANT CONNECT, CREATE ON DATABASE "{name}" TO "{one}"']
    assert entries(one) == [f"{one}=Cc"]
    assert entries(two) == [f"{two}=CTc", f"{two}=UC"]
    grants = [{"role": one, "privileges": ["CONNECT"], "schema_privileges": ["USAGE"]}]
    done = converge_database(pg_connection, {"name": name, "grants": grants, "grants_purge": True}, database_state)
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
    assert "=Tc" in [entry.split("/")[0] for entry in database_state(name)[0]["datacl"]]
    done = converge_database(
        pg_connection, {"name": name, "grants": [{"role": "PUBLIC", "privileges": ["CONNECT"]}], "grants_purge": True}, database_state
    )
    assert f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC' in done["queries"]
    assert entries(one) == []


def test_the_old_owners_entry_goes_to_the_new_one(pg_connection, pg_admin, pg_names, database_state):
    name, old, new = pg_names(), pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {old}; CREATE ROLE {new}")
    pg_admin(f"CREATE DATABASE {name} OWNER {old}")
    converge_database(
        pg_connection,
        {"name": name, "owner": new, "lock_public": True, "grants": [{"role": old, "privileges": ["CONNECT"]}]},
        database_state,
    )
    assert sorted(database_state(name)[0]["datacl"]) == sorted([f"{new}=CTc/{new}", f"{old}=c/{new}"])
