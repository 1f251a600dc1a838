"""Tests of roles/mlflow/files/mlflow_schema.py that need no server."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

SCRIPT = Path(__file__).parents[2] / "roles" / "mlflow" / "files" / "mlflow_schema.py"
PASSWORD = "".join(chr(code) for code in range(32, 127))
QUOTED = quote(PASSWORD, safe="")
URL = f"postgresql+psycopg2://mlflow:{QUOTED}@127.0.0.1:5432/mlflow"


@pytest.fixture(scope="module")
def schema():
    spec = importlib.util.spec_from_file_location("mlflow_schema", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def write_package(root: Path) -> Path:
    """A package "mlflow" that cannot be imported, with a fork and a merge in its migrations."""
    tracking, auth = root / "mlflow/store/db_migrations/versions", root / "mlflow/server/auth/db/migrations/versions"
    for folder in (tracking, auth):
        folder.mkdir(parents=True)
    (root / "mlflow/__init__.py").write_text("raise ImportError('the check must not import mlflow')\n")
    (tracking / "a_first.py").write_text(
        '"""first\n\nrevision = "not this"\n"""\nimport nothing_here\nrevision = "a"\ndown_revision = None\n'
    )
    (tracking / "b_left.py").write_text("revision: str = 'b'\ndown_revision: str | None = 'a'\n")
    (tracking / "c_right.py").write_text("revision = 'c'  # a comment\ndown_revision = 'a'\n")
    (tracking / "d_merge.py").write_text("revision = 'd'\ndown_revision = (\n    'b',\n    'c',\n)\n")
    (tracking / "__init__.py").write_text("")
    (auth / "one.py").write_text("revision = '1'\ndown_revision = None\n")
    (auth / "two.py").write_text("revision = '2'\ndown_revision = '1'\n")
    return root


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(write_package(tmp_path)))
    return tmp_path / "mlflow"


def write_ini(path: Path, value: str) -> str:
    path.write_text(f"[mlflow]\ndatabase_uri = {value}\n")
    return str(path)


@pytest.fixture
def found(schema, package, tmp_path):
    ini = write_ini(tmp_path / "auth.ini", URL.replace("%", "%%"))
    return {d.name: d for d in schema.databases({"_MLFLOW_SERVER_FILE_STORE": URL, "MLFLOW_AUTH_CONFIG_PATH": ini})}


def test_heads_with_a_fork_and_a_merge(schema, package):
    versions = package / "store/db_migrations/versions"
    assert schema.read_migrations(versions) == ({"a", "b", "c", "d"}, {"d"})
    (versions / "d_merge.py").unlink()
    assert schema.read_migrations(versions) == ({"a", "b", "c"}, {"b", "c"})


def test_an_incomplete_installation_is_refused(schema, tmp_path):
    with pytest.raises(schema.SchemaError, match="no migrations") as error:
        schema.read_migrations(tmp_path / "absent")
    assert error.value.code == schema.CONFIG


@pytest.mark.parametrize(
    ("name", "revisions", "tables", "code"),
    [
        ("tracking", ["d"], {"experiments", "alembic_version"}, "OK"),
        ("tracking", [], set(), "EMPTY"),
        ("tracking", [], {"alembic_version"}, "EMPTY"),  # a first migration that failed
        ("tracking", ["b"], {"experiments", "alembic_version"}, "BEHIND"),
        ("tracking", ["b", "c"], {"experiments", "alembic_version"}, "BEHIND"),  # both sides of the fork
        ("tracking", [], {"experiments"}, "BEHIND"),  # first migration interrupted after its first tables
        ("tracking", ["e"], {"experiments", "alembic_version"}, "NEWER"),
        ("tracking", ["b", "e"], {"experiments", "alembic_version"}, "NEWER"),
        ("tracking", [], {"orders"}, "FOREIGN"),
        ("auth", ["2"], {"users", "alembic_version_auth"}, "OK"),
        ("auth", ["1"], {"users", "alembic_version_auth"}, "BEHIND"),
        ("auth", [], {"users"}, "BEHIND"),  # MLflow before 3.6 recorded no revision
        ("auth", [], {"experiments", "alembic_version"}, "EMPTY"),  # it shares tracking's database
        ("auth", ["d"], {"users", "alembic_version_auth"}, "NEWER"),  # tracking's revision is none of auth's
    ],
)
def test_decisions(schema, found, name, revisions, tables, code):
    state = schema.judge(found[name], revisions, tables)
    assert state.code == getattr(schema, code), state.text
    assert state.revisions == revisions
    assert state.text.startswith(f"{name}: ")
    assert "\n" not in state.text


def test_the_lines_name_the_revisions(schema, found):
    assert "behind: b -> d" in schema.judge(found["tracking"], ["b"], {"experiments"}).text
    assert "revision e is unknown, d is the newest known" in schema.judge(found["tracking"], ["e"], {"experiments"}).text


def test_the_worst_database_decides(schema, capsys):
    codes = [schema.OK, schema.EMPTY, schema.BEHIND, schema.FOREIGN, schema.NEWER, schema.UNREACHABLE]
    states = [schema.State(code, [], f"line {code}") for code in codes]
    for last in range(len(states)):
        assert schema.verdict(states[: last + 1]) == codes[last]
    assert "line 0" not in capsys.readouterr().err


def test_databases_of_the_environment(schema, package, tmp_path):
    assert [d.name for d in schema.databases({"MLFLOW_BACKEND_STORE_URI": URL})] == ["tracking"]
    same = schema.databases({"_MLFLOW_SERVER_FILE_STORE": URL, "_MLFLOW_SERVER_REGISTRY_STORE": URL})
    assert [d.name for d in same] == ["tracking"]
    other = schema.databases({"_MLFLOW_SERVER_FILE_STORE": URL, "_MLFLOW_SERVER_REGISTRY_STORE": URL + "2"})
    assert [(d.name, d.url) for d in other] == [("tracking", URL), ("registry", URL + "2")]
    ini = write_ini(tmp_path / "auth.ini", URL.replace("%", "%%"))
    auth = schema.databases({"_MLFLOW_SERVER_FILE_STORE": URL, "MLFLOW_AUTH_CONFIG_PATH": ini})[1]
    assert (auth.name, auth.url, auth.version_table) == ("auth", URL, "alembic_version_auth")


def test_an_unusable_environment_is_refused_without_the_password(schema, package, tmp_path):
    single = write_ini(tmp_path / "single.ini", URL)  # % not doubled
    cases = [
        {},
        {"_MLFLOW_SERVER_FILE_STORE": URL, "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "absent.ini")},
        {"_MLFLOW_SERVER_FILE_STORE": URL, "MLFLOW_AUTH_CONFIG_PATH": single},
        {"_MLFLOW_SERVER_FILE_STORE": URL, "MLFLOW_AUTH_CONFIG_PATH": write_ini(tmp_path / "x.ini", "x\nno section or key " + QUOTED)},
    ]
    for environ in cases:
        with pytest.raises(schema.SchemaError) as error:
            schema.databases(environ)
        assert error.value.code == schema.CONFIG
        assert "ABCDEF" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, {"host": "127.0.0.1", "port": "5432", "user": "mlflow", "password": PASSWORD, "dbname": "mlflow"}),
        ("postgresql://u:p@[::1]:5433/db", {"host": "::1", "port": "5433", "user": "u", "password": "p", "dbname": "db"}),
        ("postgresql+psycopg://u@/db?host=/run/postgresql", {"host": "/run/postgresql", "user": "u", "dbname": "db"}),
        ("postgresql://u:p@h/db?sslmode=verify-full&connect_timeout=9", {"host": "h", "sslmode": "verify-full", "connect_timeout": "9"}),
        ("postgresql://u:p@/db?host=a,b&port=1,2", {"host": "a,b", "port": "1,2"}),
    ],
)
def test_connection_args(schema, url, expected):
    args = schema.connection_args("tracking", url)
    assert {key: args[key] for key in expected} == expected
    assert args["connect_timeout"]


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "sqlite:///x.db", "secret", "postgresql://u:secret@/db?host=a&host=b"])
def test_other_urls_are_refused_without_showing_them(schema, url):
    with pytest.raises(schema.SchemaError) as error:
        schema.connection_args("tracking", url)
    assert error.value.code == schema.CONFIG
    assert "secret" not in str(error.value)


def test_scrub_takes_out_urls_and_passwords(schema, found):
    database = found["tracking"]
    text = schema.scrub(ValueError(f"bad url {URL}\nand {PASSWORD} and {QUOTED}"), [database])
    assert text == "bad url *** and *** and ***"


def test_the_command_says_what_is_missing(tmp_path):
    environ = {"PYTHONPATH": str(write_package(tmp_path)), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, str(SCRIPT), "check"], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (16, "")
    assert done.stderr == "_MLFLOW_SERVER_FILE_STORE is not set: run with the server's environment\n"
