"""Several runs of the postgresql_* modules at the same time, against a real server."""

from __future__ import annotations

import concurrent.futures
import time

import pytest
from lib.modules import run_module
from lib.postgresql_server import connect


def test_runs_for_one_role_do_not_fail_each_other(pg_connection, pg_admin, pg_names):
    name, group = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {group}")
    options = {
        **pg_connection,
        "name": name,
        "login": True,
        "password": "pencil",
        "member_of": [group],
        "settings": {"jit": False},
        "comment": "c",
    }
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _number: run_module("postgresql_role", options), range(8)))
        assert not [result for result in results if result.get("failed")]
        created = [result for result in results if any(query.startswith("CREATE ROLE") for query in result["queries"])]
        assert len(created) == 1
        changes = [{**options, "connection_limit": number % 2} for number in range(8)]
        results = list(pool.map(lambda change: run_module("postgresql_role", change), changes))
        assert not [result for result in results if result.get("failed")]
        results = list(
            pool.map(lambda _number: run_module("postgresql_role", {**pg_connection, "name": name, "state": "absent"}), range(4))
        )
    assert sorted(result["changed"] for result in results) == [False, False, False, True]


@pytest.mark.parametrize("winner", ["COMMIT", "ROLLBACK"])
def test_the_loser_of_a_race_reads_again(pg_connection, pg_admin, pg_names, winner):
    name, group = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {group}")
    other = connect(pg_connection)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, other.cursor() as cursor:
        # not committed yet: the module finds no role, tries to create it, and waits for this session
        cursor.execute(f"CREATE ROLE {name} NOLOGIN")
        running = pool.submit(run_module, "postgresql_role", {**pg_connection, "name": name, "login": True, "member_of": [group]})
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        while not running.done() and pg_admin(waiting, f'CREATE ROLE "{name}"%') == [(0,)]:
            time.sleep(0.02)
        cursor.execute(winner)
        done = running.result(timeout=60)
    other.close()
    assert not done.get("failed"), done
    verb = "ALTER" if winner == "COMMIT" else "CREATE"
    assert done["queries"] == [f'{verb} ROLE "{name}" LOGIN', f'GRANT "{group}" TO "{name}"']
    assert pg_admin("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", name) == [(True,)]


def test_runs_for_one_database_do_not_fail_each_other(pg_connection, pg_admin, pg_names):
    name, owner = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {owner}")
    options = {**pg_connection, "name": name, "owner": owner, "lock_public": True, "comment": "c", "extensions": ["plpgsql"]}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _number: run_module("postgresql_database", options), range(6)))
        assert not [result for result in results if result.get("failed")]
        assert len([1 for result in results if any(query.startswith("CREATE DATABASE") for query in result["queries"])]) == 1
        absent = {**pg_connection, "name": name, "state": "absent", "force": True}
        results = list(pool.map(lambda _number: run_module("postgresql_database", absent), range(4)))
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
