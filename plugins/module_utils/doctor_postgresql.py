# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: does it answer, do its accounts get in and nobody else, is it set up to keep what it acknowledges."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotApplicable, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import connect, words
from ansible_collections.mlops.platform.plugins.module_utils.doctor_place import in_cluster, log_place, secret, secret_place

try:
    import psycopg2
except ImportError:
    psycopg2 = None

# what the role rotate puts behind an account's name for the login that everybody uses while the account's password changes
SECOND = "_rotating"
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
QUERIES = {
    "settings": "SELECT name, setting FROM pg_settings WHERE name = ANY ('{fsync,full_page_writes,synchronous_commit,max_connections,"
    "superuser_reserved_connections,archive_mode,server_version}')",
    "pending": "SELECT name, setting FROM pg_settings WHERE pending_restart",
    "invalid": "SELECT sourcefile, error FROM pg_file_settings WHERE error IS NOT NULL UNION SELECT 'pg_hba.conf', error"
    " FROM pg_hba_file_rules WHERE error IS NOT NULL",
    "connections": "SELECT coalesce(usename, ''), count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " GROUP BY 1 ORDER BY 2 DESC",
    "superusers": "SELECT rolname, rolcanlogin::text FROM pg_roles WHERE rolsuper",
    "logins": "SELECT rolname, '' FROM pg_roles WHERE rolcanlogin ORDER BY 1",
    "open_databases": "SELECT datname, '' FROM pg_database WHERE NOT datistemplate AND datallowconn"
    " AND has_database_privilege('public', oid, 'CONNECT') AND datname <> 'postgres'",
    "trust": "SELECT type || ' ' || array_to_string(database, ',') || ' ' || array_to_string(user_name, ','), auth_method"
    " FROM pg_hba_file_rules WHERE auth_method = 'trust'",
    "sizes": "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn",
    "archiver": "SELECT coalesce(extract(epoch FROM last_archived_time)::float8, 0), coalesce(extract(epoch FROM last_failed_time)"
    "::float8, 0) FROM pg_stat_archiver",
}


def session(plan, user, password, database):
    """Return an autocommit connection that only reads. Raises psycopg2.Error."""
    server = plan["postgresql"]
    more = {name: server[name] for name in ("sslmode", "sslrootcert") if server.get(name)}
    connection = psycopg2.connect(
        host=server.get("host", "127.0.0.1"),
        port=server["port"],
        user=user,
        password=password,
        dbname=database,
        connect_timeout=5,
        application_name="mlops doctor",
        options="-c statement_timeout=5000 -c default_transaction_read_only=on",
        **more,
    )
    connection.autocommit = True
    return connection


def ask(connection, queries):
    """Return {name: rows} of `queries`; an answer that is an error is its text."""
    found = {}
    with connection.cursor() as cursor:
        for name, query in queries.items():
            try:
                cursor.execute(query)
                found[name] = [list(row) for row in cursor.fetchall()]
            except psycopg2.Error as problem:
                found[name] = words(problem)
    return found


def login(plan, user, password, database, queries):
    """Try a login; return (answers of `queries` or None, the server's words)."""
    try:
        connection = session(plan, user, password, database)
    except (psycopg2.Error, UnicodeError, ValueError) as problem:
        return None, words(problem)
    try:
        return ask(connection, queries), ""
    finally:
        connection.close()


def look(plan):
    """Return the facts of this layer."""
    server = plan["postgresql"]
    reached, said = connect(server.get("host", "127.0.0.1"), server["port"])
    facts = {"reached": reached, "said": said, "driver": psycopg2 is not None, "logins": {}, "server": None, "public_schema": {}}
    if not reached or psycopg2 is None:
        return facts
    superuser, database = server["superuser"], server.get("database", "postgres")
    # the owner of a server outside may have given the accounts alone
    if superuser:
        facts["server"], said = login(plan, superuser, secret(plan, superuser_secret(plan)), database, QUERIES)
        facts["logins"][superuser] = {"database": database, "said": said}
    for account, databases in server["accounts"].items():
        for database in databases:
            query = {"create": "SELECT has_schema_privilege('public', 'public', 'CREATE')"}
            answer, said = login(plan, account, secret(plan, f"postgresql_{account}_password"), database, query)
            if said or account not in facts["logins"]:
                facts["logins"][account] = {"database": database, "said": said}
            if answer and isinstance(answer["create"], list):
                facts["public_schema"][database] = answer["create"][0][0]
    return facts


def superuser_secret(plan):
    """Return the name of the secret with which the platform makes accounts: it may be less than a superuser's."""
    return plan["postgresql"].get("superuser_secret", "postgresql_superuser_password")


def answers(facts):
    """Return what the superuser was told. Raises NotChecked where the server told nothing."""
    if facts["server"] is None:
        raise NotChecked("PostgreSQL did not let the doctor in as its superuser")
    return facts["server"]


def rows(facts, name):
    """Return the rows of one query. Raises NotChecked with the server's words where it was refused."""
    found = answers(facts)[name]
    if isinstance(found, str):
        raise NotChecked(found)
    return found


def reachable(plan, facts):
    """It answers at its port."""
    if not facts["reached"]:
        server = plan["postgresql"]
        where = f"the Service {server['service']}" if in_cluster(plan) else f"127.0.0.1:{server['port']} (postgresql_port)"
        yield error(
            "postgresql-unreachable",
            f"PostgreSQL does not answer at {where}",
            f"{UP}; {log_place(plan, 'postgresql')} says why it does not run",
            said=facts["said"],
        )
    elif not facts["driver"]:
        raise NotChecked("this Python has no psycopg2: the platform's tools are missing")


def accounts(plan, facts):
    """Each account gets in with its secret."""
    if not facts["logins"]:
        raise NotChecked("PostgreSQL does not answer, or cannot be asked")
    for account, found in facts["logins"].items():
        said = found["said"]
        if not said:
            continue
        name = superuser_secret(plan) if account == plan["postgresql"]["superuser"] else f"postgresql_{account}_password"
        if "too many clients" in said or "remaining connection slots" in said:
            yield error(
                "postgresql-connections",
                f"PostgreSQL has no connection left for {account}",
                f"raise postgresql_max_connections or lower mlflow_pool_size, then {UP}",
                said=said,
            )
        elif "password authentication failed" in said or "no password supplied" in said:
            yield error(
                "postgresql-password",
                f"PostgreSQL refuses {account} with the password in {secret_place(plan, name)}",
                f"{UP} gives accounts the password that is there; for {plan['postgresql']['superuser']} restore it, or give the"
                f" password as {superuser_secret(plan)}",
                said=said,
                subject=account,
            )
        elif "does not exist" in said:
            yield error(
                "postgresql-database-missing",
                f"{account} has no database {found['database']}",
                f"{UP} makes it; restore its content",
                said,
                account,
            )
        else:
            yield error("postgresql-login", f"{account} does not get into {found['database']}", UP, said=said, subject=account)


def connections(_plan, facts):
    """There are connections left."""
    settings, used = dict(rows(facts, "settings")), rows(facts, "connections")
    most, total = int(settings["max_connections"]), sum(count for _user, count in used)
    if total >= most * 0.85:
        yield warning(
            "postgresql-connections",
            f"{total} of {most} connections are in use: " + ", ".join(f"{user or 'nobody'} {count}" for user, count in used),
            f"raise postgresql_max_connections, or lower mlflow_pool_size and run {UP}",
        )


def settings_safe(_plan, facts):
    """What it acknowledges is on the disk, and its files say what it runs with."""
    settings = dict(rows(facts, "settings"))
    for name, good in SAFE.items():
        if settings.get(name) == "off":
            yield error(
                "postgresql-unsafe",
                f"{name} is {settings[name]}: a power cut loses what was acknowledged, or the whole cluster",
                f"take {name} out of postgresql_settings (or ALTER SYSTEM RESET {name}), then {UP}; it should be {good}",
                subject=name,
            )
    for file, said in rows(facts, "invalid"):
        yield error(
            "postgresql-configuration",
            f"{file} has a line that the server does not take",
            f"correct postgresql_settings, then {UP}",
            said=said,
        )
    pending = [name for name, _value in rows(facts, "pending")]
    if pending:
        yield warning("postgresql-restart-pending", f"{', '.join(pending)} waits for a restart of PostgreSQL", UP)


def closed(plan, facts):
    """Nobody else is a superuser, gets in without a password, or into others' databases."""
    if not plan["postgresql"].get("ours", True):
        raise NotApplicable("roles and databases of others may be on this server: they are its owner's")
    for role, _login in rows(facts, "superusers"):
        if role != plan["postgresql"]["superuser"]:
            yield error(
                "postgresql-superuser",
                f"the role {role} is a superuser",
                f'ALTER ROLE "{role}" NOSUPERUSER; {UP} holds the platform\'s accounts to that',
                subject=role,
            )
    for line, _method in rows(facts, "trust"):
        yield error("postgresql-trust", f"pg_hba.conf lets {line} in without a password", f"{UP} writes pg_hba.conf anew", subject=line)
    for database, _none in rows(facts, "open_databases"):
        yield error(
            "postgresql-public",
            f"every role may connect to the database {database}",
            f'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC; or {UP}',
            subject=database,
        )
    for database, create in facts["public_schema"].items():
        if create:
            yield error(
                "postgresql-public",
                f"every role may make tables in the schema public of {database}",
                f"REVOKE CREATE ON SCHEMA public FROM PUBLIC (in {database}); or {UP}",
                subject=database,
            )


def rotations(plan, facts):
    """No second login is left of a rotation of passwords."""
    there = {role for role, _none in rows(facts, "logins")}
    for account in plan["postgresql"]["accounts"]:
        if account + SECOND in there:
            yield warning(
                "postgresql-rotation-left",
                f"the login {account}{SECOND} has the rights of {account}: a rotation is under way, or was ended before its end",
                "if none is under way: make rotate (ansible-playbook playbooks/rotate.yml) rotates anew, and removes the login at its end",
                subject=account + SECOND,
            )


CHECKS = [
    Check("postgresql", "database", reachable),
    Check("postgresql-accounts", "database", accounts),
    Check("postgresql-connections", "database", connections),
    Check("postgresql-settings", "database", settings_safe),
    Check("postgresql-closed", "database", closed),
    Check("postgresql-rotations", "database", rotations),
]
