from __future__ import annotations

import types

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import postgresql_role as role
from ansible_collections.mlops.platform.plugins.module_utils.postgresql import PostgresqlError, Secret, sql

NAME = sql.Identifier("r")
OPTIONS = [*role.ATTRIBUTES, "password", "connection_limit", "valid_until", "member_of", "member_of_options", "settings", "comment"]


def params(**options):
    return {"name": "r", "state": "present", "member_of_purge": False, **dict.fromkeys(OPTIONS), **options}


def grant(group, grantor="postgres", admin=False, inherit=True, may_set=True):
    return {"role": group, "grantor": grantor, "admin": admin, "inherit": inherit, "set": may_set}


def plan(state, same=True, version=180000, **options):
    return role.plan(types.SimpleNamespace(version=version), params(**options), {"exists": True, **state}, same)


def test_what_is_not_set_is_not_touched():
    state = {"exists": True, "login": True, "superuser": True, "connection_limit": 3, "comment": "c", "settings": ["a=b"]}
    assert plan(state) == ([], {"name": "r"}, {"name": "r"})


def test_a_password_is_a_secret_with_the_servers_iterations():
    statements, before, after = plan({"iterations": "20"}, same=False, password="pencil")
    (statement,) = statements
    assert statement[:3] == ["ALTER ROLE", NAME, "PASSWORD"]
    assert isinstance(statement[3], Secret)
    assert statement[3].value.startswith("SCRAM-SHA-256$20:")
    assert (before, after) == ({"name": "r"}, {"name": "r", "password": "changed"})


def test_servers_before_16_have_no_iterations():
    statements, _before, _after = plan({"iterations": None}, same=False, password="pencil")
    assert statements[0][3].value.startswith("SCRAM-SHA-256$4096:")


@pytest.mark.parametrize(
    ("memberships", "options", "version", "expected"),
    [
        ([], {"member_of": ["g", "g"]}, 180000, [["GRANT", sql.Identifier("g"), "TO", NAME]]),
        ([grant("g")], {"member_of": ["g"]}, 180000, []),
        ([grant("g")], {"member_of": []}, 180000, []),
        (
            [grant("g", "a"), grant("g", "b"), grant("h", "a")],
            {"member_of": ["h"], "member_of_purge": True},
            180000,
            [
                ["REVOKE", sql.Identifier("g"), "FROM", NAME, "GRANTED BY", sql.Identifier("a")],
                ["REVOKE", sql.Identifier("g"), "FROM", NAME, "GRANTED BY", sql.Identifier("b")],
            ],
        ),
        ([grant("g")], {"member_of": [], "member_of_purge": True}, 150000, [["REVOKE", sql.Identifier("g"), "FROM", NAME]]),
        (
            [],
            {"member_of": ["g"], "member_of_options": {"admin": True}},
            150000,
            [["GRANT", sql.Identifier("g"), "TO", NAME, "WITH ADMIN OPTION"]],
        ),
        ([], {"member_of": ["g"], "member_of_options": {"admin": False}}, 150000, [["GRANT", sql.Identifier("g"), "TO", NAME]]),
        (
            [grant("g", admin=True)],
            {"member_of": ["g"], "member_of_options": {"admin": False}},
            150000,
            [["REVOKE ADMIN OPTION FOR", sql.Identifier("g"), "FROM", NAME]],
        ),
        (
            [],
            {"member_of": ["g"], "member_of_options": {"inherit": False, "set": True, "admin": None}},
            160000,
            [["GRANT", sql.Identifier("g"), "TO", NAME, "WITH", "INHERIT FALSE, SET TRUE"]],
        ),
        # before 16 every member could
        ([grant("g")], {"member_of": ["g"], "member_of_options": {"set": True}}, 150000, []),
        # what is lacking is granted by whoever is logged in: the maker of a role cannot act for the superuser who gave him ADMIN alone
        (
            [grant("g", "a", admin=True, may_set=False)],
            {"member_of": ["g"], "member_of_options": {"set": True}},
            160000,
            [["GRANT", sql.Identifier("g"), "TO", NAME, "WITH", "SET TRUE"]],
        ),
        # a false option must hold for every grant, a true one for any
        (
            [grant("g", "a", inherit=False), grant("g", "b")],
            {"member_of": ["g"], "member_of_options": {"inherit": False}},
            160000,
            [["GRANT", sql.Identifier("g"), "TO", NAME, "WITH", "INHERIT FALSE", "GRANTED BY", sql.Identifier("b")]],
        ),
        ([grant("g", "a", admin=True), grant("g", "b")], {"member_of": ["g"], "member_of_options": {"admin": True}}, 160000, []),
    ],
)
def test_memberships(memberships, options, version, expected):
    assert plan({"memberships": memberships}, version=version, **options)[0] == expected


def test_grant_options_of_16_are_refused_before_it():
    with pytest.raises(PostgresqlError, match="need PostgreSQL 16; this server is 15"):
        plan({"memberships": []}, version=150000, member_of=["g"], member_of_options={"set": False})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"$user", public', ["$user", "public"]),
        ('"a ""b"", c",Public', ['a "b", c', "public"]),
        ('""', [""]),
        ("", []),
        ("a", ["a"]),
    ],
)
def test_names_of_a_list_setting(text, expected):
    assert role.names(text) == expected


@pytest.mark.parametrize(
    ("have", "wanted", "literals"),
    [
        (["search_path=a, public"], ["a", "public"], None),
        (["search_path=a, public"], "a, PUBLIC", None),
        (['search_path="A b"'], ["A b"], None),
        ([], ["A b", "c"], ["A b", "c"]),
        (["search_path=a"], [], [""]),
        (['search_path=""'], [], None),
    ],
)
def test_list_settings(have, wanted, literals):
    statements = plan({"settings": have}, settings={"search_path": wanted})[0]
    expected = sql.SQL(", ").join(map(sql.Literal, literals or []))
    assert statements == ([["ALTER ROLE", NAME, "SET", sql.Identifier("search_path"), "TO", expected]] if literals else [])


def test_other_settings():
    state = {"settings": ["jit=on", "work_mem=64MB", "my.own=x=y", "TimeZone=UTC"]}
    same = {"jit": True, "work_mem": "64MB", "my.own": "x=y", "timezone": "UTC", "gone": None}
    assert plan(state, settings=same)[0] == []
    statements, before, after = plan(state, settings={"jit": False, "my.own": None, "work_mem": 100})
    assert statements == [
        ["ALTER ROLE", NAME, "SET", sql.Identifier("jit"), "TO", sql.SQL(", ").join([sql.Literal("off")])],
        ["ALTER ROLE", NAME, "RESET", sql.Identifier("my", "own")],
        ["ALTER ROLE", NAME, "SET", sql.Identifier("work_mem"), "TO", sql.SQL(", ").join([sql.Literal("100")])],
    ]
    assert before["settings"] == {"jit": "on", "my.own": "x=y", "work_mem": "64MB"}
    assert after["settings"] == {"jit": "off", "my.own": None, "work_mem": "100"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"name": "x" * 64}, "64 bytes"),
        ({"member_of": ["x" * 64]}, "member_of is 64 bytes"),
        ({"member_of": ["r"]}, "member of itself"),
        ({"password": ""}, "is empty"),
        ({"connection_limit": -2}, "less than -1"),
    ],
)
def test_refused_before_anything_is_sent(options, word):
    with pytest.raises(PostgresqlError, match=word):
        role.problems(params(**options))
