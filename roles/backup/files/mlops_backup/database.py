"""PostgreSQL: connections, its own client tools (never the distribution's, which may be older), and what a backup takes of it."""

from __future__ import annotations

import contextlib
import shutil
import tarfile

from mlops_backup import base_manifest, tools
from mlops_backup.problems import BackupError

# the replication slot of who follows the write-ahead log
SLOT = "mlops_backup"


@contextlib.contextmanager
def session(settings, database="", host=None, port=None, password=True, application="mlops_backup"):
    """Give a cursor of the administrator in `database`, '' for the one to log in to. Raises BackupError.

    `host` and `port` are those of another server than the platform's, a drill's, to which nothing has to be encrypted.
    """
    import psycopg2

    login = settings.postgresql
    try:
        connection = psycopg2.connect(
            host=host or login["host"],
            port=port or login["port"],
            user=login["administrator"],
            password=settings.administrator_password() if password else None,
            dbname=database or ("postgres" if host else login.get("database", "postgres")),
            **({} if host else settings.transport()),
            application_name=application,
            connect_timeout=10,
        )
    except psycopg2.Error as error:
        raise BackupError(f"PostgreSQL: {' '.join(str(error).split())}") from None
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        raise BackupError(f"PostgreSQL: {' '.join(str(error).split())}") from None
    finally:
        connection.close()


def one(cursor, query, *values):
    """Return the first row of a query."""
    cursor.execute(query, values)
    return cursor.fetchone()


def archives(cursor):
    """Return whether the write-ahead log goes into the archive, by the server itself or by who follows it: see wal and follow."""
    query = "SELECT current_setting('archive_mode') = 'on' OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)"
    return one(cursor, query, SLOT)[0]


def facts(settings):
    """Return what must be known of the server, and of the databases' schemas, to judge a restore."""
    with session(settings) as cursor:
        identifier, version, size = one(
            cursor,
            "SELECT (SELECT system_identifier::text FROM pg_control_system()), current_setting('server_version_num')::int,"
            # who is no superuser may not measure what it may not enter
            " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database WHERE has_database_privilege(oid, 'CONNECT'))",
        )
        archive = archives(cursor)
    # `installation`: the number under which the backups are kept, see wal.own()
    found = {
        "installation": settings.installation or identifier,
        "system": identifier,
        "version": version,
        "size": size,
        "archive": archive,
    }
    return {**found, "schemas": schemas(settings)}


def schemas(settings, **where):
    """Return {database: alembic revision} of MLflow's databases."""
    found = {}
    for database, table in settings.postgresql["schemas"].items():
        with session(settings, database, **where) as cursor:
            if one(cursor, "SELECT to_regclass(%s)", table)[0]:
                # the name is one of two that the role writes; to_regclass has found it
                found[database] = one(cursor, f"SELECT version_num FROM {table}")[0]  # noqa: S608
    return found


def room(settings, size, place=None):
    """Refuse to fill the platform's own disk with what is staged, or restored into the directory `place`. Raises BackupError."""
    place = place or settings.staging.parent
    place.mkdir(mode=0o700, exist_ok=True)
    free = shutil.disk_usage(place).free
    needed = int(size * 1.2) + settings.reserve_mb * 1024 * 1024
    if free < needed:
        raise BackupError(
            f"{place} has {free >> 20} MiB free. What is made there first needs {int(size * 1.2) >> 20} MiB, and {settings.reserve_mb} MiB"
            " must stay free (mlops_reserve_mb). Make room. Nothing was written"
        )


@contextlib.contextmanager
def base_backup(settings):
    """Take and verify a base backup; give (directory, its facts), and remove it in the end. Raises BackupError."""
    place = settings.staging / "base"
    shutil.rmtree(settings.staging, ignore_errors=True)
    settings.staging.mkdir(mode=0o700, parents=True)
    try:
        # the WAL that it needs comes with it: it can be restored without any archive
        tools.run(
            settings,
            "pg_basebackup",
            f"--pgdata={place}",
            "--format=plain",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            "--label=mlops_backup",
            "--no-password",
        )
        base_manifest.verify(settings, place)
        yield place, base_manifest.label(place)
    finally:
        shutil.rmtree(settings.staging, ignore_errors=True)


def pack(place, writer):
    """Write a directory to `writer` as a tar archive. Raises OSError."""
    with tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        archive.add(place, arcname=".")
