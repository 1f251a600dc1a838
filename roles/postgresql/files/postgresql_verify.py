"""Prove that PostgreSQL lets its accounts work and nobody else in, and leave nothing behind.

Reads one JSON object from standard input, so that no secret is on a command line:

    host, port, sslmode, ca (path or ""), superuser {username, password} (null: the server is not ours alone, and only the accounts are
    tried), accounts {NAME: {password, databases [NAME]}}

Prints one JSON object: {"verified": [...], "problem": null or a line}. Exit code 1 where something is not as it should be. Needs psycopg2.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sys

import psycopg2

# what must be true, and the query for what speaks against it
CLOSED = (
    (
        "every rule of pg_hba.conf asks for SCRAM",
        "SELECT 'line ' || line_number || ' has ' || coalesce(auth_method, error) FROM pg_hba_file_rules"
        " WHERE auth_method IS DISTINCT FROM 'scram-sha-256' ORDER BY line_number",
    ),
    (
        "every stored password is a SCRAM hash",
        "SELECT rolname FROM pg_authid WHERE rolpassword NOT LIKE 'SCRAM-SHA-256$%' ORDER BY 1",
    ),
    (
        "no database lets the public in",
        "SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba"
        " WHERE NOT datistemplate AND rolname <> current_user AND has_database_privilege('public', d.oid, 'CONNECT') ORDER BY 1",
    ),
    (
        "no account but the superuser has power",
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> current_user"
        " AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls) ORDER BY 1",
    ),
)


class VerificationError(Exception):
    """Something that is not as it should be; the text says what."""


def connect(request, username, password, database):
    """Return a context with a connection. Raises psycopg2.Error."""
    login = {"host": request["host"], "port": request["port"], "user": username, "password": password, "dbname": database}
    if request.get("ca"):
        login["sslrootcert"] = request["ca"]
    return contextlib.closing(
        psycopg2.connect(**login, sslmode=request.get("sslmode", "prefer"), connect_timeout=10, application_name="mlops-verify")
    )


def work(connection):
    """Write and read in a transaction that is rolled back. Raises VerificationError or psycopg2.Error."""
    number = secrets.randbelow(10**9)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE mlops_verify (n int)")
        cursor.execute("INSERT INTO mlops_verify VALUES (%s)", (number,))
        cursor.execute("SELECT n FROM mlops_verify")
        if cursor.fetchall() != [(number,)]:
            raise VerificationError("a row came back with another content")
    connection.rollback()


def closed(request, superuser, verified):
    """Ask the server whom it lets in; add a line to `verified` for each answer. Raises VerificationError or psycopg2.Error."""
    with connect(request, superuser["username"], superuser["password"], "postgres") as connection, connection.cursor() as cursor:
        for what, query in CLOSED:
            cursor.execute(query)
            against = [name for (name,) in cursor.fetchall()]
            if against:
                raise VerificationError(
                    f"it is not true that {what}: {', '.join(against)}. Undo what was changed by hand in pg_hba.conf, the roles or the"
                    " databases' privileges, and run site.yml again."
                )
            verified.append(what)


def refused(request, name, database):
    """Try a wrong password of account `name`. Raises VerificationError unless it is refused for being wrong."""
    try:
        with connect(request, name, f"wrong-{secrets.token_hex(8)}", database):
            raise VerificationError(f"a wrong password of {name} was accepted")
    except psycopg2.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise VerificationError(f"a wrong password of {name} was refused, but with: {error}") from None


def verify(request, verified):
    """Take all steps; add a line to `verified` for each. Raises VerificationError or psycopg2.Error."""
    superuser = request["superuser"]
    if superuser:
        closed(request, superuser, verified)
    for name, account in sorted(request["accounts"].items()):
        for database in account["databases"]:
            try:
                with connect(request, name, account["password"], database) as connection:
                    work(connection)
            except (psycopg2.Error, VerificationError) as error:
                raise VerificationError(f"{name} does not write and read in {database}: {error}") from None
            verified.append(f"{name} writes and reads in {database}")
            tried = (name, database)
    refused(request, *((superuser["username"], "postgres") if superuser else tried))
    verified.append("a wrong password is refused")


def main():
    """Run all steps and print the result; return the exit code."""
    request, verified, problem = json.load(sys.stdin), [], None
    try:
        verify(request, verified)
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())
    print(json.dumps({"verified": verified, "problem": problem}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
