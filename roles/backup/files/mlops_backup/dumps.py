"""The simple engine: pg_dump of MLflow's databases, and back. Another major version of PostgreSQL can read a dump."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import time

from mlops_backup import addresses, database, rows, tools
from mlops_backup.catalog import Catalog
from mlops_backup.lock import alone, now
from mlops_backup.plan import plan
from mlops_backup.problems import BackupError
from mlops_backup.store import explain

ROWS = "rows.json"


def names(settings):
    """Return MLflow's databases in the order in which they are dumped.

    No snapshot spans two databases. A permission names an experiment that was made before it: so that of the users comes first, and what
    its rows name is in the other one.
    """
    return sorted(settings.postgresql["schemas"], reverse=True)


@contextlib.contextmanager
def staged(settings):
    """Give an empty directory, and remove it in the end."""
    shutil.rmtree(settings.staging, ignore_errors=True)
    settings.staging.mkdir(mode=0o700, parents=True)
    try:
        yield settings.staging
    finally:
        shutil.rmtree(settings.staging, ignore_errors=True)


def take(settings, vault, name, facts):
    """Dump, verify and keep the databases; return ({file: record}, facts with the recovery point). Raises BackupError and OSError."""
    database.room(settings, facts["size"])
    began, files, found = now(), {}, {}
    with staged(settings) as folder:
        for one in names(settings):
            path = folder / f"{one}.dump"
            found.update(_dump(settings, one, path))
            # the table of contents is at the end of a dump's head: a dump that was cut does not list
            tools.run(settings, "pg_restore", "--list", path)
            with path.open("rb") as stream:
                files[path.name] = vault.put(f"backups/{name}/{path.name}", iter(lambda source=stream: source.read(1024 * 1024), b""))
            path.unlink()
    # what a rehearsal holds the restored rows against: the running ones have moved on by then
    files[ROWS] = vault.put(f"backups/{name}/{ROWS}", [json.dumps(rows.totals(found), sort_keys=True).encode()])
    return files, {"size": facts["size"], "archive": False, "point": {"time": began, "consistent": began, "lsn": ""}}


def _dump(settings, name, path):
    """Dump the database `name` to `path`; return its rows as rows.snapshot() has them, of the same moment. Raises BackupError."""
    with database.session(settings, name) as cursor:
        # the server ends a transaction that says nothing for long, and this one waits for the dump
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        moment = database.one(cursor, "SELECT pg_export_snapshot()")[0]
        words = ["--format=custom", "--compress=0", "--no-password", f"--snapshot={moment}", f"--file={path}"]
        tools.run(settings, "pg_dump", *words, name)
        found = rows.look(cursor, name)
        cursor.execute("COMMIT")
    return found


def load(settings, vault, manifest, folder, name, target, server=None):
    """Restore the dump of the database `name` into the empty database `target`, of the platform's server or another. Raises BackupError."""
    path = folder / f"{name}.dump"
    with path.open("wb") as file:
        for block in vault.blocks(f"backups/{manifest['name']}/{path.name}", record=manifest["files"][path.name]):
            file.write(block)
    words = ["--no-owner", "--role=mlflow", "--exit-on-error", "--no-password", f"--dbname={target}"]
    tools.run(settings, "pg_restore", *words, path, server=server)
    path.unlink()


def restore(settings, request):
    """Restore the databases of a dump. PostgreSQL must run, and MLflow must not."""
    with alone(settings, "restore"):
        return replace(settings, request)


def replace(settings, request):
    """Restore the databases of a dump beside those that are there, and exchange them at once. The lock must be held."""
    from psycopg2 import sql

    began = time.monotonic()
    found = plan(settings, request)
    catalog = Catalog(settings.vault(found["installation"]))
    manifest = catalog.read(found["backup"])
    try:
        database.room(settings, 2 * manifest["database"]["size"])
        with staged(settings) as folder, database.session(settings) as cursor:
            for one in names(settings):
                beside = sql.Identifier(f"{one}_restoring")
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(beside))
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(beside, sql.Identifier("mlflow")))
                # one that a killed restore leaves is as closed as the others: site.yml refuses a server with an open one
                cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(beside))
                load(settings, catalog.vault, manifest, folder, one, f"{one}_restoring")
            with database.session(settings, "mlflow_restoring") as restored:
                addresses.check(settings, manifest, restored)
            stamp = _exchange(cursor, names(settings))
    except OSError as error:
        raise BackupError(explain(error, catalog.vault.store)) from None
    return {
        **found,
        "changed": True,
        "last_transaction": None,
        "aside": ", ".join(f"database {one}_before_{stamp}" for one in names(settings)),
        "seconds": round(time.monotonic() - began, 1),
    }


def _exchange(cursor, databases):
    """Give the restored databases their names, all of them or none; return what is behind `_before_` in the names of the old ones."""
    from psycopg2 import sql

    # who is no superuser may end the sessions of the roles that it belongs to; the server's own helpers give way by themselves
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_roles ON pg_roles.oid = usesysid"
        " WHERE datname = ANY(%s) AND backend_type = 'client backend' AND pg_has_role(usesysid, 'USAGE')"
        " AND (NOT rolsuper OR current_setting('is_superuser') = 'on')",
        (databases,),
    )
    cursor.execute("SELECT datname FROM pg_database")
    there = {name for (name,) in cursor.fetchall()}
    moment = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    # two restores of small databases may end in the same second
    stamps = (f"{moment}_{number}" if number else moment for number in itertools.count())
    stamp = next(one for one in stamps if not {f"{name}_before_{one}" for name in databases} & there)
    cursor.execute("BEGIN")
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    for one in databases:
        if one in there:
            cursor.execute(rename.format(sql.Identifier(one), sql.Identifier(f"{one}_before_{stamp}")))
        cursor.execute(rename.format(sql.Identifier(f"{one}_restoring"), sql.Identifier(one)))
    cursor.execute("COMMIT")
    return stamp
