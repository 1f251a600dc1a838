from __future__ import annotations

import types

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import postgresql_database as database
from ansible_collections.mlops.platform.plugins.module_utils.postgresql import PostgresqlError, sql

NAME, OWNER = sql.Identifier("d"), sql.Identifier("o")
ALL = ["CONNECT", "CREATE", "TEMPORARY"]
OPTIONS = [*database.CREATION, "extensions", "lock_public", "grants", "comment"]
LOCKED = {"database_acl": {"o": ALL}, "schema_owner": "pg_database_owner", "schema_acl": {"pg_database_owner": ["CREATE", "USAGE"]}}


def params(**options):
    return {
        "name": "d",
        "state": "present",
        "force": False,
        "grants_purge": False,
        "login_db": "postgres",
        "login_user": "admin",
        **dict.fromkeys(OPTIONS),
        **options,
    }


def grant(role, privileges=None, schema_privileges=None):
    return {"role": role, "privileges": privileges, "schema_privileges": schema_privileges}


def plan(state=None, **options):
    have = {"exists": True, "owner": "o", "connection_limit": -1, "comment": "", "extensions": [], **LOCKED, **(state or {})}
    return database.plan(params(**options), have)[0]


def test_what_is_not_set_is_not_touched():
    assert plan({"database_acl": {"public": ["CONNECT"], "x": ALL}}) == []
    assert plan({"database_acl": {"public": ["CONNECT"], "x": ALL}}, lock_public=False) == []


def test_lock_public_takes_what_is_there():
    state = {
        "database_acl": {"public": ["CONNECT"], "o": ALL},
        "schema_acl": {"public": ["USAGE"], "pg_database_owner": ["CREATE", "USAGE"]},
    }
    assert plan(state, lock_public=True) == [
        ["REVOKE ALL ON", "DATABASE", NAME, "FROM PUBLIC"],
        ["REVOKE ALL ON", "SCHEMA public", "FROM PUBLIC"],
    ]
    assert plan(lock_public=True) == []


def test_lock_public_keeps_the_owner_able_where_the_schema_is_a_superusers():
    state = {"schema_owner": "postgres", "schema_acl": {"postgres": ["CREATE", "USAGE"], "public": ["USAGE"]}}
    assert plan(state, lock_public=True) == [
        ["REVOKE ALL ON", "SCHEMA public", "FROM PUBLIC"],
        ["GRANT", "CREATE, USAGE", "ON", "SCHEMA public", "TO", OWNER],
    ]
    assert plan({**state, "schema_acl": {"o": ["CREATE", "USAGE"]}}, lock_public=True) == []
    # a database without a schema public
    assert plan({"schema_owner": None, "schema_acl": None}, lock_public=True) == []


def test_grants_add_what_is_missing():
    state = {"database_acl": {"o": ALL, "r": ["CONNECT"]}}
    assert plan(state, grants=[grant("r", ["CONNECT", "CREATE"], ["USAGE"]), grant("o", ALL, ["USAGE"])]) == [
        ["GRANT", "CREATE", "ON", "DATABASE", NAME, "TO", sql.Identifier("r")],
        ["GRANT", "USAGE", "ON", "SCHEMA public", "TO", sql.Identifier("r")],
    ]


def test_purge_spares_owners_and_public_and_what_an_entry_leaves_out():
    state = {
        "database_acl": {"o": ALL, "public": ["CONNECT"], "r": ALL, "x": ["CONNECT"]},
        "schema_acl": {"pg_database_owner": ["CREATE", "USAGE"], "public": ["USAGE"], "r": ["USAGE"], "x": ["USAGE"]},
    }
    assert plan(state, grants=[grant("r", ["CONNECT"])], grants_purge=True) == [
        ["REVOKE", "CREATE, TEMPORARY", "ON", "DATABASE", NAME, "FROM", sql.Identifier("r")],
        ["REVOKE", "CONNECT", "ON", "DATABASE", NAME, "FROM", sql.Identifier("x")],
        ["REVOKE", "USAGE", "ON", "SCHEMA public", "FROM", sql.Identifier("x")],
    ]
    assert plan(state, grants=[grant("public", []), grant("r"), grant("x")], grants_purge=True) == [
        ["REVOKE", "CONNECT", "ON", "DATABASE", NAME, "FROM", "PUBLIC"],
    ]
    assert plan(state, grants_purge=True) == []


def test_the_old_owner_loses_his_entry_with_the_ownership():
    statements = plan({"owner": "old", "database_acl": {"old": ALL}}, owner="o", grants=[grant("old", ["CONNECT"])])
    assert statements == [
        ["ALTER DATABASE", NAME, "OWNER TO", OWNER],
        ["GRANT", "CONNECT", "ON", "DATABASE", NAME, "TO", sql.Identifier("old")],
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "LATIN1"}, "encoding is UTF8, not LATIN1"),
        ({"locale": "de_DE.UTF-8"}, "lc_collate is en_US.utf8, not de_DE.UTF-8; its lc_ctype is"),
        ({"lc_collate": "C"}, "lc_collate is en_US.utf8, not C"),
        ({"lc_ctype": "C"}, "lc_ctype is en_US.utf8, not C"),
    ],
)
def test_a_mismatch_that_only_a_creation_can_mend_is_refused(options, words):
    state = {
        "encoding": "UTF8",
        "encoding_wanted": options.get("encoding"),
        "lc_collate": "en_US.utf8",
        "lc_ctype": "en_US.utf8",
        "locale": None,
    }
    with pytest.raises(PostgresqlError, match=words):
        database.refuse_mismatch(params(**options), state)


@pytest.mark.parametrize("options", [{"encoding": "utf-8"}, {"locale": "en_US.UTF-8"}, {"locale": "und"}, {"lc_ctype": "en_US.utf8"}])
def test_other_spellings_and_icu_locales_match(options):
    state = {"encoding": "UTF8", "encoding_wanted": "UTF8", "lc_collate": "en_US.utf8", "lc_ctype": "en_US.utf8", "locale": "und"}
    assert database.refuse_mismatch(params(**options), state) is None


@pytest.mark.parametrize(("version", "owner_is_granted"), [(130000, True), (150000, False)])
def test_a_new_database_is_predicted(version, owner_is_granted):
    wanted = params(owner="o", lock_public=True, extensions=["vector"], connection_limit=5)
    state = database.expected(types.SimpleNamespace(version=version), wanted)
    assert database.create(wanted) == ["CREATE DATABASE", NAME, "OWNER", OWNER, "CONNECTION LIMIT", sql.Literal(5)]
    assert database.plan(wanted, state)[0] == [
        ["CREATE EXTENSION IF NOT EXISTS", sql.Identifier("vector")],
        ["REVOKE ALL ON", "DATABASE", NAME, "FROM PUBLIC"],
        ["REVOKE ALL ON", "SCHEMA public", "FROM PUBLIC"],
        *([["GRANT", "CREATE, USAGE", "ON", "SCHEMA public", "TO", OWNER]] if owner_is_granted else []),
    ]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"name": "x" * 64}, "64 bytes"),
        ({"owner": "x" * 64}, "owner is 64 bytes"),
        ({"extensions": [""]}, "extensions is empty"),
        ({"connection_limit": -2}, "less than -1"),
        ({"lock_public": True, "grants": [grant("PUBLIC", ["CONNECT"])]}, "Leave one of the two out"),
        ({"state": "absent", "name": "postgres"}, "never dropped"),
        ({"state": "absent", "name": "template1"}, "never dropped"),
        ({"state": "absent", "login_db": "d"}, "connection to itself"),
    ],
)
def test_refused_before_anything_is_sent(options, word):
    with pytest.raises(PostgresqlError, match=word):
        database.problems(params(**options))
