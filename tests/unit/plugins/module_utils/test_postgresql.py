from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import postgresql


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 64, "é" * 32, "😀" * 16])
def test_names_that_the_server_would_cut_or_cannot_hold(name):
    with pytest.raises(postgresql.PostgresqlError, match=r"^owner is"):
        postgresql.check_name("owner", name)


@pytest.mark.parametrize("name", ["x", "x" * 63, "é" * 31, 'a"b; DROP ROLE %s --', " ", "'"])
def test_names_that_are_fine(name):
    assert postgresql.check_name("name", name) is None


def test_retried_reads_again_until_nobody_is_in_the_way():
    calls = []

    def attempt():
        calls.append(1)
        if len(calls) < 3:
            raise postgresql.Race("tuple concurrently updated.")
        return "done"

    assert postgresql.retried(attempt) == "done"
    assert len(calls) == 3


def test_retried_gives_up_with_the_servers_words():
    def attempt():
        raise postgresql.Race("tuple concurrently updated.")

    with pytest.raises(postgresql.PostgresqlError, match="5 times.*tuple concurrently updated"):
        postgresql.retried(attempt)


def test_connection_options_are_those_of_the_documentation():
    import yaml
    from ansible_collections.mlops.platform.plugins.doc_fragments.postgresql import ModuleDocFragment

    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    spec = postgresql.connection_argument_spec()
    assert set(documented) == set(spec)
    for option, documentation in documented.items():
        assert documentation["type"] == spec[option]["type"], option
        assert documentation.get("default") == spec[option].get("default"), option
        for variable in spec[option].get("fallback", (None, []))[1]:
            assert f"E({variable})" in " ".join(documentation["description"]) or option == "login_host"


def test_a_secret_is_masked_where_it_is_shown(monkeypatch):
    class Literal:
        def __init__(self, value):
            self.value = value

        def as_string(self, _connection):
            return f"'{self.value}'"

    monkeypatch.setattr(postgresql, "sql", type("sql", (), {"Literal": Literal}))
    server = postgresql.Server.__new__(postgresql.Server)
    server.connection = None
    statement = ["ALTER ROLE", Literal("r"), "PASSWORD", postgresql.Secret("verifier")]
    assert server.render(statement) == "ALTER ROLE 'r' PASSWORD 'verifier'"
    assert server.shown([statement]) == ["ALTER ROLE 'r' PASSWORD '********'"]
