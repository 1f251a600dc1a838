"""Memberships of postgresql_role against a real server; psycopg2 looks at what it did."""

from __future__ import annotations

from lib.modules import run_module
from lib.postgresql_server import converge_role


def test_memberships(pg_connection, pg_admin, pg_names):
    name, one, two, three = pg_names(), pg_names(), pg_names(), pg_names()
    for role in (name, one, two, three):
        pg_admin(f"CREATE ROLE {role}")

    def look():
        return [
            row[0]
            for row in pg_admin(
                "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = %s::regrole ORDER BY 1", name
            )
        ]

    done = converge_role(pg_connection, {"name": name, "member_of": [two, one]}, look)
    assert done["queries"] == [f'GRANT "{two}" TO "{name}"', f'GRANT "{one}" TO "{name}"']
    assert look() == sorted([one, two])
    converge_role(pg_connection, {"name": name, "member_of": [three]}, look)
    assert look() == sorted([one, two, three])
    done = converge_role(pg_connection, {"name": name, "member_of": [three], "member_of_purge": True}, look)
    assert look() == [three]
    assert done["diff"]["before"]["member_of"] == sorted([one, two, three])
    assert done["diff"]["after"]["member_of"] == [three]
    assert run_module("postgresql_role", {**pg_connection, "name": name, "member_of_purge": True})["changed"] is False
    converge_role(pg_connection, {"name": name, "member_of": [], "member_of_purge": True}, look)
    assert look() == []


def test_membership_with_admin_option(pg_connection, pg_admin, pg_names):
    name, group = pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {name}; CREATE ROLE {group}")

    def look():
        return pg_admin("SELECT admin_option FROM pg_auth_members WHERE member = %s::regrole", name)

    converge_role(pg_connection, {"name": name, "member_of": [group], "member_of_options": {"admin": True}}, look)
    assert look() == [(True,)]
    assert run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]})["changed"] is False
    converge_role(pg_connection, {"name": name, "member_of": [group], "member_of_options": {"admin": False}}, look)
    assert look() == [(False,)]


def test_memberships_of_several_grantors(pg_connection, pg_admin, pg_names):
    if pg_admin.version < 160000:
        failed = run_module(
            "postgresql_role", {**pg_connection, "name": pg_names(), "member_of": [pg_names()], "member_of_options": {"set": False}}
        )
        assert "need PostgreSQL 16" in failed["msg"]
        return
    name, group, grantor = pg_names(), pg_names(), pg_names()
    pg_admin(f"CREATE ROLE {group}; CREATE ROLE {grantor}; CREATE ROLE {name}")
    pg_admin(f"GRANT {group} TO {grantor} WITH ADMIN TRUE")
    pg_admin(f"GRANT {group} TO {name}")
    pg_admin(f"GRANT {group} TO {name} WITH INHERIT FALSE, SET FALSE GRANTED BY {grantor}")

    def look():
        return pg_admin("SELECT inherit_option, set_option FROM pg_auth_members WHERE member = %s::regrole ORDER BY grantor", name)

    own = pg_connection["login_user"]
    options = {"name": name, "member_of": [group], "member_of_options": {"inherit": False, "set": True}}
    done = converge_role(pg_connection, options, look)
    assert done["queries"] == [f'GRANT "{group}" TO "{name}" WITH INHERIT FALSE GRANTED BY "{own}"']
    assert look() == [(False, True), (False, False)]
    done = converge_role(pg_connection, {"name": name, "member_of": [], "member_of_purge": True}, look)
    assert sorted(done["queries"]) == sorted(f'REVOKE "{group}" FROM "{name}" GRANTED BY "{by}"' for by in (own, grantor))
    assert look() == []


def test_a_missing_group(pg_connection, pg_admin, pg_names):
    name, group = pg_names(), pg_names()
    predicted = run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]}, check=True)
    assert predicted["changed"] is True
    assert group in str(predicted["warnings"])
    failed = run_module("postgresql_role", {**pg_connection, "name": name, "member_of": [group]})
    assert failed["failed"]
    assert f'role "{group}" does not exist' in failed["msg"]
    # one transaction: the role was not left half made
    assert not pg_admin("SELECT 1 FROM pg_roles WHERE rolname = %s", name)
