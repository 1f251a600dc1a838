"""postgresql_role against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

import concurrent.futures
import json
import secrets
import time

import psycopg2
import pytest
from lib.modules import run_module
from psycopg2 import sql

ASCII = "".join(map(chr, range(32, 127)))


@pytest.fixture(scope="module")
def admin(pg_connection):
    """Run a statement as the superuser and return its rows."""
    connection = connect(pg_connection)
    connection.autocommit = True

    def execute(query, *values):
        with connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    execute.version = connection.server_version
    yield execute
    connection.close()


@pytest.fixture
def names(admin):
    """Return unique names of roles, which are dropped afterwards."""
    made = []

    def make(suffix=""):
        made.append(f"test_{secrets.token_hex(4)}{suffix}")
        return made[-1]

    yield make
    for name in made[::-1]:
        if admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            admin(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def connect(options, **override):
    return psycopg2.connect(
        host=options.get("login_unix_socket") or options.get("login_host"),
        port=options["login_port"],
        **{"user": options["login_user"], "password": options.get("login_password"), "dbname": options["login_db"], **override},
    )


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def converge(pg_connection, options, look):
    """Check mode, then the real run, then a second one; return the real run's result. `look` returns the server's state."""
    before = look()
    predicted = run_module("postgresql_role", {**pg_connection, **options}, check=True, diff=True)
    assert predicted["changed"] is True, predicted
    assert look() == before
    done = run_module("postgresql_role", {**pg_connection, **options}, diff=True)
    assert not done.get("failed"), done
    assert (done["changed"], done["queries"], done["diff"]) == (True, predicted["queries"], predicted["diff"])
    assert look() != before
    for check in (True, False):
        again = run_module("postgresql_role", {**pg_connection, **options}, check=check, diff=True)
        assert (again["changed"], again["queries"]) == (False, [])
        assert again["diff"]["before"] == again["diff"]["after"]
    return done


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
def test_each_attribute_of_an_existing_role(pg_connection, admin, names, options, words, column, value):
    name = names()
    admin(f"CREATE ROLE {name}")
    before = admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name)[0][0]

    done = converge(pg_connection, {"name": name, **options}, lambda: admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name))

    assert done["queries"] == [f'ALTER ROLE "{name}" {words}']
    assert admin("SELECT to_jsonb(r) FROM pg_roles r WHERE rolname = %s", name)[0][0] == {**before, column: value}
    option = next(iter(options))
    assert done["diff"]["before"][option] == before[column]
    assert done["diff"]["after"][option] == value


def test_create_with_everything_then_leave_it_alone(pg_connection, admin, names):
    group, name, password = names(), names(), secrets.token_urlsafe(18)
    admin(f"CREATE ROLE {group}")

    def look():
        return admin("SELECT to_jsonb(r) - 'oid', shobj_description(oid, 'pg_authid') FROM pg_roles r WHERE rolname = %s", name)

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
    done = converge(pg_connection, options, look)

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


def test_infinity_is_what_a_role_without_a_limit_has(pg_connection, admin, names):
    name = names()
    admin(f"CREATE ROLE {name}")
    assert run_module("postgresql_role", {**pg_connection, "name": name, "valid_until": "infinity"})["changed"] is False
    admin(f"ALTER ROLE {name} VALID UNTIL '2100-01-01'")
    converge(
        pg_connection,
        {"name": name, "valid_until": "infinity"},
        lambda: admin("SELECT rolvaliduntil::text FROM pg_roles WHERE rolname = %s", name),
    )
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "valid_until": "soon"})
    assert failed["failed"]
    assert 'invalid input syntax for type timestamp with time zone: "soon"' in failed["msg"]


def test_settings_and_comment_are_removed(pg_connection, admin, names):
    name = names()
    admin(f"CREATE ROLE {name}")
    admin(f"ALTER ROLE {name} SET work_mem TO '1MB'")
    admin(f"ALTER ROLE {name} SET jit TO off")
    admin(f"COMMENT ON ROLE {name} IS 'old'")

    def look():
        return admin("SELECT rolconfig, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", name)

    done = converge(pg_connection, {"name": name, "settings": {"WORK_MEM": None}, "comment": ""}, look)
    assert done["queries"] == [f'ALTER ROLE "{name}" RESET "WORK_MEM"', f'COMMENT ON ROLE "{name}" IS NULL']
    assert look() == [(["jit=off"], None)]


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
def test_passwords_of_any_characters(pg_connection, admin, names, password):
    name = names()
    admin(f"CREATE ROLE {name} LOGIN")

    def look():
        return admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)

    done = converge(pg_connection, {"name": name, "password": password}, look)

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


def test_a_verifier_in_place_of_a_password(pg_connection, admin, names):
    name, other, password = names(), names(), secrets.token_urlsafe(18)
    run_module("postgresql_role", {**pg_connection, "name": other, "password": password})
    verifier = admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", other)[0][0]

    def look():
        return admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)

    done = converge(pg_connection, {"name": name, "login": True, "password": verifier}, look)

    assert done["queries"] == [f"CREATE ROLE \"{name}\" LOGIN PASSWORD '********'"]
    assert look() == [(verifier,)]
    connect(pg_connection, user=name, password=password).close()


def test_an_md5_password_becomes_scram(pg_connection, admin, names):
    import hashlib

    name, password = names(), secrets.token_urlsafe(18)
    admin(f"CREATE ROLE {name} LOGIN PASSWORD 'md5{hashlib.md5((password + name).encode(), usedforsecurity=False).hexdigest()}'")
    converge(
        pg_connection, {"name": name, "password": password}, lambda: admin("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)
    )
    assert admin("SELECT rolpassword LIKE 'SCRAM-SHA-256$%%' FROM pg_authid WHERE rolname = %s", name) == [(True,)]
    connect(pg_connection, user=name, password=password).close()


def test_iterations_are_the_servers(pg_connection, admin, names):
    name = names()
    expected = admin("SELECT coalesce(current_setting('scram_iterations', true), '4096')")[0][0]
    run_module("postgresql_role", {**pg_connection, "name": name, "password": "pencil"})
    assert admin("SELECT split_part(split_part(rolpassword, '$', 2), ':', 1) FROM pg_authid WHERE rolname = %s", name) == [(expected,)]


@pytest.mark.parametrize("suffix", [' "; DROP ROLE x; --', "'", " %s %(name)s %", " é密😀", "\\", ".a.b", "=x host=nowhere", "\n"])
def test_names_of_any_characters(pg_connection, admin, names, suffix):
    name, group = names(suffix), names(suffix + "g")
    run_module("postgresql_role", {**pg_connection, "name": group})

    def look():
        return admin("SELECT rolname FROM pg_roles WHERE rolname = %s", name)

    options = {"name": name, "login": True, "password": "pencil", "member_of": [group], "comment": suffix}
    done = converge(pg_connection, options, look)
    assert done["queries"][1] == f"GRANT {quoted(group)} TO {quoted(name)}"
    connect(pg_connection, user=name, password="pencil").close()
    done = converge(pg_connection, {"name": name, "state": "absent"}, look)
    assert done["queries"] == [f"DROP ROLE {quoted(name)}"]


def test_long_names(pg_connection, admin, names):
    name = names("x" * 50)
    assert len(name) == 63
    converge(pg_connection, {"name": name}, lambda: admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name))
    failed = run_module("postgresql_role", {**pg_connection, "name": name + "y"})
    assert failed["failed"]
    assert "64 bytes" in failed["msg"]


@pytest.mark.parametrize("password", ["", "md5" + "0" * 32, "SCRAM-SHA-256$4096:x"])
def test_passwords_that_are_refused(pg_connection, admin, names, password):
    name = names()
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "password": password})
    assert failed["failed"]
    assert not admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name)


def test_memberships(pg_connection, admin, names):
    name, one, two, three = names(), names(), names(), names()
    for role in (name, one, two, three):
        admin(f"CREATE ROLE {role}")

    def look():
        return [
            row[0]
            for row in admin(
                "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = %s::regrole ORDER BY 1", name
            )
        ]

    done = converge(pg_connection, {"name": name, "member_of": [two, one]}, look)
    assert done["queries"] == [f'GRANT "{two}" TO "{name}"', f'GRANT "{one}" TO "{name}"']
    assert look() == sorted([one, two])
    converge(pg_connection, {"name": name, "member_of": [three]}, look)
    assert look() == sorted([one, two, three])
    done = converge(pg_connection, {"name": name, "member_of": [three], "member_of_purge": True}, look)
    assert look() == [three]
    assert done["diff"]["before"]["member_of"] == sorted([one, two, three])
    assert done["diff"]["after"]["member_of"] == [three]
    assert run_module("postgresql_role", {**pg_connection, "name": name, "member_of_purge": True})["changed"] is False
    converge(pg_connection, {"name": name, "member_of": [], "member_of_purge": True}, look)
    assert look() == []


def test_membership_with_admin_option(pg_connection, admin, names):
    name, group = names(), names()
    admin(f"CREATE ROLE {name}; CREATE ROLE {group}")

    def look():
        return admin("SELECT admin_option FROM pg_auth_members WHERE member = %s::regrole", name)

    converge(pg_connection, {"name": name, "member_of": [group], "member_of_options": {"admin": True}}, look)
    assert look() == [(True,)]
    assert run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]})["changed"] is False
    converge(pg_connection, {"name": name, "member_of": [group], "member_of_options": {"admin": False}}, look)
    assert look() == [(False,)]


def test_memberships_of_several_grantors(pg_connection, admin, names):
    if admin.version < 160000:
        failed = run_module(
            "postgresql_role", {**pg_connection, "name": names(), "member_of": [names()], "member_of_options": {"set": True}}
        )
        assert "need PostgreSQL 16" in failed["msg"]
        return
    name, group, grantor = names(), names(), names()
    admin(f"CREATE ROLE {group}; CREATE ROLE {grantor}; CREATE ROLE {name}")
    admin(f"GRANT {group} TO {grantor} WITH ADMIN TRUE")
    admin(f"GRANT {group} TO {name}")
    admin(f"GRANT {group} TO {name} WITH INHERIT FALSE, SET FALSE GRANTED BY {grantor}")

    def look():
        return admin("SELECT inherit_option, set_option FROM pg_auth_members WHERE member = %s::regrole ORDER BY grantor", name)

    own = pg_connection["login_user"]
    options = {"name": name, "member_of": [group], "member_of_options": {"inherit": False, "set": True}}
    done = converge(pg_connection, options, look)
    assert done["queries"] == [f'GRANT "{group}" TO "{name}" WITH INHERIT FALSE GRANTED BY "{own}"']
    assert look() == [(False, True), (False, False)]
    done = converge(pg_connection, {"name": name, "member_of": [], "member_of_purge": True}, look)
    assert sorted(done["queries"]) == sorted(f'REVOKE "{group}" FROM "{name}" GRANTED BY "{by}"' for by in (own, grantor))
    assert look() == []


def test_a_missing_group(pg_connection, admin, names):
    name, group = names(), names()
    predicted = run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]}, check=True)
    assert predicted["changed"] is True
    assert group in str(predicted["warnings"])
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]})
    assert failed["failed"]
    assert f'role "{group}" does not exist' in failed["msg"]
    # one transaction: the role was not left half made
    assert not admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name)


def test_absent_fails_while_anything_depends_on_the_role(pg_connection, admin, names):
    name = names()
    admin(f"CREATE ROLE {name}; GRANT CREATE ON SCHEMA public TO {name}")
    for check in (True, False):
        failed = run_module("postgresql_role", {**pg_connection, "name": name, "state": "absent"}, check=check)
        assert failed["failed"]
        assert "REASSIGN OWNED" in failed["msg"]
    assert "cannot be dropped because some objects depend on it" in failed["msg"]
    assert "privileges for schema public" in failed["msg"]
    admin(f"REVOKE CREATE ON SCHEMA public FROM {name}")
    done = converge(pg_connection, {"name": name, "state": "absent"}, lambda: admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name))
    assert done["queries"] == [f'DROP ROLE "{name}"']


def test_without_pg_authid_a_login_decides(pg_connection, admin, names):
    operator, name, secret = names(), names(), secrets.token_urlsafe(18)
    admin(f"CREATE ROLE {operator} LOGIN CREATEROLE PASSWORD '{secret}'")
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
    admin(f"ALTER ROLE {name} NOLOGIN")
    del options["login"]
    done = run_module("postgresql_role", options)
    assert done["changed"] is True
    assert "cannot be found out" in str(done["warnings"])
    assert "not permitted to log in" in str(done["warnings"])


def test_a_role_without_the_right_to_change_another(pg_connection, admin, names):
    operator, name, secret = names(), names(), secrets.token_urlsafe(18)
    admin(f"CREATE ROLE {operator} LOGIN PASSWORD '{secret}'")
    failed = run_module("postgresql_role", {**pg_connection, "login_user": operator, "login_password": secret, "name": name})
    assert failed["failed"]
    assert "permission denied to create role" in failed["msg"]
    assert "Log in as a superuser" in failed["msg"]


def test_runs_at_the_same_time_do_not_fail_each_other(pg_connection, admin, names):
    name, group = names(), names()
    admin(f"CREATE ROLE {group}")
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
def test_the_loser_of_a_race_reads_again(pg_connection, admin, names, winner):
    name, group = names(), names()
    admin(f"CREATE ROLE {group}")
    other = connect(pg_connection)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, other.cursor() as cursor:
        # not committed yet: the module finds no role, tries to create it, and waits for this session
        cursor.execute(f"CREATE ROLE {name} NOLOGIN")
        running = pool.submit(run_module, "postgresql_role", {**pg_connection, "name": name, "login": True, "member_of": [group]})
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        while not running.done() and admin(waiting, f'CREATE ROLE "{name}"%') == [(0,)]:
            time.sleep(0.02)
        cursor.execute(winner)
        done = running.result(timeout=60)
    other.close()
    assert not done.get("failed"), done
    verb = "ALTER" if winner == "COMMIT" else "CREATE"
    assert done["queries"] == [f'{verb} ROLE "{name}" LOGIN', f'GRANT "{group}" TO "{name}"']
    assert admin("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", name) == [(True,)]
