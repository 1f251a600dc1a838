"""Say where MLflow's database names S3 itself: such artifacts are read past MLflow, by clients that know the server.

Reads one JSON object from standard input: host, port, sslmode, ca (path or ""), username, password, database.

Prints one JSON object: {"verified": [a line for each column that has such addresses], "problem": null or a line}. Needs psycopg2.
"""

from __future__ import annotations

import contextlib
import json
import sys

import psycopg2
from psycopg2 import sql

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
PRESENT = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"


def addresses(cursor):
    """Return a line for each column that has addresses of S3. Raises psycopg2.Error."""
    cursor.execute(PRESENT)
    there, found = set(cursor.fetchall()), []
    for table, column in COLUMNS:
        if (table, column) in there:
            query = sql.SQL("SELECT count(*), min({column}) FROM {table} WHERE {column} LIKE 's3://%'")
            cursor.execute(query.format(column=sql.Identifier(column), table=sql.Identifier(table)))
            count, example = cursor.fetchone()
            if count:
                found.append(f"{count} of {table}.{column}, such as {example}")
    return found


def main():
    """Ask and print the answer; return the exit code."""
    request, found, problem = json.load(sys.stdin), [], None
    login = {"host": request["host"], "port": request["port"], "user": request["username"], "password": request["password"]}
    if request.get("ca"):
        login["sslrootcert"] = request["ca"]
    try:
        opened = psycopg2.connect(**login, dbname=request["database"], sslmode=request.get("sslmode") or "prefer", connect_timeout=10)
        with contextlib.closing(opened) as connection, connection.cursor() as cursor:
            found = addresses(cursor)
    except psycopg2.Error as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps({"verified": found, "problem": problem}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
