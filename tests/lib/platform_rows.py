"""What MLflow's databases hold, table by table, and whose it is: to be the same after everything was moved or copied."""

from __future__ import annotations

NAMES = ("mlflow", "mlflow_auth")
TABLES = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
# a table is known by the number of its rows and the sum of their checksums, whatever their order
ROWS = "SELECT count(*), sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint)::text FROM {} AS t"
OWNERS = (
    "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    " UNION SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
)


def rows(platform, users=False):
    """Return {database.table: (rows, sum)}; without `users` the administrator's row is left out, whose password is each platform's own."""
    found = {}
    for name in NAMES:
        with platform.database(name) as cursor:
            cursor.execute(TABLES)
            for (table,) in cursor.fetchall():
                cursor.execute(ROWS.format(table) + (" WHERE username <> 'admin'" if table == "users" and not users else ""))
                found[f"{name}.{table}"] = cursor.fetchone()
    return found


def owners(platform):
    """Return who owns MLflow's databases and what is in them."""
    found = set()
    for name in NAMES:
        with platform.database(name) as cursor:
            cursor.execute(OWNERS)
            found.update(owner for (owner,) in cursor.fetchall())
    return found
