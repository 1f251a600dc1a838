"""Gate an MLflow server's start on its database schemas, and migrate them.

    mlflow_schema.py check      is every database at the schema of the installed MLflow? Changes nothing.
    mlflow_schema.py upgrade    migrate what is behind, make the first administrator in an empty user store from
                                MLFLOW_AUTH_ADMIN_PASSWORD; prints {"changed": ..., "databases": {...}} on stdout

Run it with the Python of the MLflow environment and with the server's own environment: the database URLs come
from ``_MLFLOW_SERVER_FILE_STORE`` (or ``MLFLOW_BACKEND_STORE_URI``), from ``_MLFLOW_SERVER_REGISTRY_STORE`` if that is
another database, and from ``database_uri`` of the file that ``MLFLOW_AUTH_CONFIG_PATH`` names (no such variable: no basic
auth, nothing to look at). Never from the command line, which every user of the host can read.

Exit codes, the worst of all databases (one line on stderr for each that is not right):
    0   every schema is the one this MLflow wants
    10  empty: no MLflow schema yet, or no user yet                      -> upgrade
    11  behind: an older schema; a server would refuse to start         -> back up, then upgrade
    12  newer: a revision this MLflow does not know. An older server must not start -> install the newer MLflow, or restore
    13  unreachable: the database does not answer or refuses the login; its own words follow
    14  foreign: tables, but none of MLflow's: surely the wrong database
    15  the migration failed; it runs in one transaction, so the schema is as it was before
    16  the environment is not usable: a variable or a file is missing, or a URL cannot be read
"""

from __future__ import annotations

import argparse
import ast
import configparser
import contextlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

OK, EMPTY, BEHIND, NEWER, UNREACHABLE, FOREIGN, FAILED, CONFIG = 0, 10, 11, 12, 13, 14, 15, 16
WORST_FIRST = (UNREACHABLE, NEWER, FOREIGN, BEHIND, EMPTY, OK)  # when databases differ, the first of these decides
# Any constant will do, as long as every run takes the same one: "mlflow" in ASCII.
ADVISORY_LOCK = 0x6D6C666C6F77
# As in sqlalchemy.engine.url._parse_url; importing SQLAlchemy would cost most of the time that a check takes.
URL = re.compile(
    r"(?P<name>[\w+]+)://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>[^/?]*))?)?(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?"
)


class SchemaError(Exception):
    """Something stops the work: a line for the user, and the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Database(NamedTuple):
    """A database and the migrations that it should have."""

    name: str  # tracking, registry or auth
    url: str
    versions: Path  # folder of the migration files
    version_table: str  # alembic's
    marker: str  # a table that MLflow's schema always has


class State(NamedTuple):
    """What a database holds."""

    code: int  # the exit code
    revisions: list[str]
    text: str  # a line on it


def package_dir() -> Path:
    """Return the folder of the installed mlflow, without importing it (that takes seconds). Raises SchemaError."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or not spec.submodule_search_locations:
        raise SchemaError(CONFIG, f"mlflow is not installed for {sys.executable}: use the Python of the MLflow environment")
    return Path(next(iter(spec.submodule_search_locations)))


def read_migrations(versions: Path) -> tuple[set[str], set[str]]:
    """Return (all revisions, heads) of a folder of alembic migrations, read from the files' text. Raises SchemaError."""
    known: set[str] = set()
    parents: set[str] = set()
    for path in versions.glob("*.py"):
        values: dict[str, Any] = {}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                values[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
        if values.get("revision"):
            known.add(values["revision"])
            down = values.get("down_revision")
            parents.update([down] if isinstance(down, str) else down or [])
    if not known - parents:
        raise SchemaError(CONFIG, f"no migrations in {versions}: is the mlflow installation complete?")
    return known, known - parents


def databases(environ: dict[str, str]) -> list[Database]:
    """Return the databases that the server's environment names. Raises SchemaError."""
    package = package_dir()
    tracking = environ.get("_MLFLOW_SERVER_FILE_STORE") or environ.get("MLFLOW_BACKEND_STORE_URI")
    if not tracking:
        raise SchemaError(CONFIG, "_MLFLOW_SERVER_FILE_STORE is not set: run with the server's environment")
    versions = package / "store" / "db_migrations" / "versions"
    found = [Database("tracking", tracking, versions, "alembic_version", "experiments")]
    if (registry := environ.get("_MLFLOW_SERVER_REGISTRY_STORE") or tracking) != tracking:
        found.append(found[0]._replace(name="registry", url=registry))
    if environ.get("MLFLOW_AUTH_CONFIG_PATH"):
        ini = configparser.ConfigParser()  # as MLflow reads it: %% stands for %
        try:
            ini.read_string(Path(environ["MLFLOW_AUTH_CONFIG_PATH"]).read_text(encoding="utf-8"))
            auth = ini["mlflow"]["database_uri"]
        except (OSError, KeyError) as exc:
            raise SchemaError(CONFIG, f"MLFLOW_AUTH_CONFIG_PATH: no [mlflow] database_uri: {exc}") from None
        except configparser.Error as exc:  # its text would quote the line, and so the password
            raise SchemaError(CONFIG, f"MLFLOW_AUTH_CONFIG_PATH: {type(exc).__name__} (is every % of a value doubled?)") from None
        versions = package / "server" / "auth" / "db" / "migrations" / "versions"
        found.append(Database("auth", auth, versions, "alembic_version_auth", "users"))
    return found


def connection_args(name: str, url: str) -> dict[str, str]:
    """Return libpq's connection parameters for an SQLAlchemy URL. Raises SchemaError."""
    match = URL.match(url)
    if not match or match["name"].split("+")[0] != "postgresql":
        raise SchemaError(CONFIG, f"{name}: the database URL must be postgresql+psycopg2://USER:PASSWORD@HOST:PORT/DATABASE")
    args = {"host": match["host"] or match["ipv6"], "port": match["port"]}
    args.update((key, unquote(match[key])) for key in ("user", "password", "dbname") if match[key])
    query = parse_qsl(match["query"] or "")
    if len(dict(query)) != len(query):
        raise SchemaError(CONFIG, f"{name}: a query parameter stands twice in the URL; give several hosts as host=a,b&port=1,2")
    return {"connect_timeout": "5", "application_name": "mlflow_schema", **{k: v for k, v in [*args.items(), *query] if v}}


@contextlib.contextmanager
def connect(database: Database) -> Iterator[Any]:
    """Yield an autocommit cursor. Raises SchemaError with the server's own words, without the password."""
    try:
        import psycopg2 as driver
    except ImportError:
        import psycopg as driver  # type: ignore[no-redef]
    args = connection_args(database.name, database.url)
    try:
        connection = driver.connect(**args)
        try:
            connection.autocommit = True
            yield connection.cursor()
        finally:
            connection.close()
    except driver.Error as exc:
        raise SchemaError(UNREACHABLE, f"{database.name}: {scrub(exc, [database])}") from None


def scrub(error: BaseException, found: list[Database]) -> str:
    """Return an error's text on one line, without any URL or password of the databases."""
    text = str(error)
    for database in found:
        password = connection_args(database.name, database.url).get("password", "")
        for secret in (database.url, password, quote(password, safe="")):
            text = text.replace(secret, "***") if secret else text
    return " ".join(text.split())


def judge(database: Database, revisions: list[str], tables: set[str]) -> State:
    """Compare what a database holds with the installed migrations, and return its State."""
    known, heads = read_migrations(database.versions)
    want, have = ", ".join(sorted(heads)), ", ".join(revisions)
    if set(revisions) == heads:
        return State(OK, revisions, f"{database.name}: at {have}")
    if unknown := set(revisions) - known:
        text = f"newer than this MLflow: revision {', '.join(sorted(unknown))} is unknown, {want} is the newest known"
        return State(NEWER, revisions, f"{database.name}: {text}; install the MLflow that wrote it, or restore a backup")
    if revisions or database.marker in tables:  # without a revision: an interrupted first migration, or auth of MLflow < 3.6
        return State(BEHIND, revisions, f"{database.name}: behind: {have or 'no revision recorded'} -> {want}; back up, then upgrade")
    # Only tracking's first migration wants the database for itself; auth may share one with it.
    if database.name != "auth" and any(not table.startswith("alembic_") for table in tables):
        return State(FOREIGN, revisions, f"{database.name}: the database has tables, but not MLflow's: is the URL right?")
    return State(EMPTY, revisions, f"{database.name}: empty: no schema yet, {want} wanted; upgrade creates it")


def read_state(database: Database) -> State:
    """Ask a database for its revisions and tables; an unreachable one is a State too. Raises SchemaError for a bad URL."""
    try:
        with connect(database) as cursor:
            cursor.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false))")
            tables = {row[0] for row in cursor.fetchall()}
            if database.version_table in tables:
                cursor.execute(f"SELECT version_num FROM {database.version_table} ORDER BY 1")  # noqa: S608 - a constant of this file
            revisions = [row[0] for row in cursor.fetchall()] if database.version_table in tables else []
            state = judge(database, revisions, tables)
            if state.code == OK and database.name == "auth":
                cursor.execute("SELECT EXISTS (SELECT FROM users)")
                if not cursor.fetchone()[0]:
                    # killed between the migration and the administrator: a server would refuse to start
                    return State(EMPTY, revisions, "auth: no user yet; upgrade makes the administrator")
            return state
    except SchemaError as exc:
        if exc.code != UNREACHABLE:
            raise
        return State(UNREACHABLE, [], str(exc))


def verdict(states: list[State]) -> int:
    """Write a line on stderr for each database that is not right, and return the exit code of all."""
    for state in states:
        if state.code != OK:
            print(state.text, file=sys.stderr)
    return min((state.code for state in states), key=WORST_FIRST.index)


def migrate(database: Database) -> None:
    """Run upstream's own migration command inside this process, so that the URL is on no command line."""
    if database.name == "auth":
        from mlflow.server.auth.db.cli import upgrade

        upgrade.main(args=["--url", database.url], standalone_mode=False)
        # as `mlflow server` does before its first worker; does nothing where there is an administrator
        from mlflow.server import auth

        if hasattr(auth, "bootstrap_admin_user"):
            auth.bootstrap_admin_user()
        else:  # before 3.17 each worker did it, with the password of the configuration file
            auth.store.init_db(auth.auth_config.database_uri)
            auth.create_admin_user(auth.auth_config.admin_username, auth.auth_config.admin_password)
    else:
        from mlflow.db import upgrade

        upgrade.main(args=[database.url], standalone_mode=False)


def upgrade(found: list[Database]) -> int:
    """Bring every database to its heads, tracking first, one run at a time; returns the exit code. Raises SchemaError."""
    with connect(found[0]) as cursor:
        # Ends with the session, so also when this process dies. (PgBouncer in transaction mode would lose it: go past it.)
        cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        before = [read_state(database) for database in found]
        if (code := verdict(before)) in (UNREACHABLE, NEWER, FOREIGN):
            return code
        for database in (database for database, state in zip(found, before) if state.code != OK):
            try:
                with contextlib.redirect_stdout(sys.stderr):  # stdout is for the JSON alone
                    migrate(database)
            except Exception as exc:
                raise SchemaError(FAILED, f"{database.name}: the migration failed: {type(exc).__name__}: {scrub(exc, found)}") from None
        after = [read_state(database) for database in found]
    pairs = {db.name: {"before": old.revisions, "after": new.revisions} for db, old, new in zip(found, before, after)}
    print(json.dumps({"changed": any(pair["before"] != pair["after"] for pair in pairs.values()), "databases": pairs}))
    return verdict(after)


def main() -> int:
    """Run a subcommand and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "upgrade"])
    command = parser.parse_args().command
    try:
        found = databases(dict(os.environ))
        return upgrade(found) if command == "upgrade" else verdict([read_state(database) for database in found])
    except SchemaError as exc:
        print(exc, file=sys.stderr)
        return exc.code


if __name__ == "__main__":
    sys.exit(main())
