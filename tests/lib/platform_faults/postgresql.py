"""Faults of PostgreSQL: passwords, connections, settings, rights, and schemas of another MLflow."""

from __future__ import annotations

import contextlib

import psycopg2

from lib.platform_faults.planting import fault


def place(platform):
    """Return {host, port} of a platform's PostgreSQL, on a host or in a cluster."""
    if hasattr(platform, "cluster"):
        return dict(zip(("host", "port"), platform.address("mlops-postgresql")))
    return {"host": "127.0.0.1", "port": platform.variables["postgresql_port"]}


def sql(platform, database, *statements):
    password = platform.secrets()["postgresql_superuser_password"]
    connection = psycopg2.connect(user="postgres", password=password, dbname=database, **place(platform))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement, *values in statements:
                cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@fault("postgresql-password/mlflow")
def password_changed_by_hand(platform, plan):
    sql(platform, "postgres", ("ALTER ROLE mlflow PASSWORD %s", "another"))
    yield {}
    sql(platform, "postgres", ("ALTER ROLE mlflow PASSWORD %s", platform.secrets()["postgresql_mlflow_password"]))


@fault("postgresql-connections")
def connections_used_up(platform, plan):
    login = {"dbname": "mlflow", **place(platform)}
    most, taken = int(sql(platform, "postgres", ("SHOW max_connections",))[0][0]), []
    used = sql(platform, "postgres", ("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",))[0][0]
    try:
        for _number in range(int(most * 0.87) - used):
            taken.append(psycopg2.connect(user="mlflow", password=platform.secrets()["postgresql_mlflow_password"], **login))
        yield {}
    finally:
        for connection in taken:
            connection.close()


@fault("postgresql-unsafe/full_page_writes")
def full_page_writes_off(platform, plan):
    sql(platform, "postgres", ("ALTER SYSTEM SET full_page_writes = off",), ("SELECT pg_reload_conf()",))
    yield {}
    sql(platform, "postgres", ("ALTER SYSTEM RESET full_page_writes",), ("SELECT pg_reload_conf()",))


@fault("postgresql-superuser/planted")
def another_superuser(platform, plan):
    sql(platform, "postgres", ("CREATE ROLE planted SUPERUSER",))
    yield {}
    sql(platform, "postgres", ("DROP ROLE planted",))


@fault("postgresql-public/mlflow")
def database_that_everybody_enters(platform, plan):
    sql(platform, "postgres", ("GRANT CONNECT ON DATABASE mlflow TO PUBLIC",))
    yield {}
    sql(platform, "postgres", ("REVOKE CONNECT ON DATABASE mlflow FROM PUBLIC",))


@fault("postgresql-rotation-left/mlflow_rotating")
def second_login_of_a_rotation_that_was_killed(platform, plan):
    sql(platform, "postgres", ("CREATE ROLE mlflow_rotating LOGIN IN ROLE mlflow",))
    yield {}
    sql(platform, "postgres", ("DROP ROLE mlflow_rotating",))


@contextlib.contextmanager
def revision(platform, database, table, value):
    read, write = f"SELECT version_num FROM {table}", f"UPDATE {table} SET version_num = %s"  # noqa: S608
    [(before,)] = sql(platform, database, (read,))
    sql(platform, database, (write, value))
    yield
    sql(platform, database, (write, before))


@fault("schema-behind")
def schema_of_an_older_mlflow(platform, plan):
    with revision(platform, "mlflow", "alembic_version", "451aebb31d03"):
        yield {}


@fault("schema-newer")
def user_schema_of_a_newer_mlflow(platform, plan):
    with revision(platform, "mlflow_auth", "alembic_version_auth", "ffffffffffff"):
        yield {}
