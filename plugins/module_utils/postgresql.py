# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections to a PostgreSQL server, statements and errors: what every postgresql_* module shares."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:
    psycopg2 = sql = None

MASK = "********"
# NAMEDATALEN - 1 of every stock build (src/include/pg_config_manual.h): the server cuts longer names without an error
NAME_BYTES = 63
# the oldest server that the modules are written for: DROP DATABASE ... WITH (FORCE) came with 13
OLDEST = 130000
# What another session that does the same thing makes the server say: duplicate_object, unique_violation, duplicate_database,
# internal_error ("tuple concurrently updated"), deadlock_detected; for a drop also undefined_object and invalid_catalog_name.
RACES = frozenset({"42710", "23505", "42P04", "XX000", "40P01"})
DROP_RACES = RACES | {"42704", "3D000"}

# words of libpq and of the server -> what the user can do about them; the first match counts
HINTS = (
    ("no password supplied", "Set login_password (or PGPASSWORD)."),
    (
        "password authentication failed",
        "Check login_user and login_password; the server gives the same answer when the role does not exist.",
    ),
    ("no pg_hba.conf entry", "Allow this address, user and database in the server's pg_hba.conf, or set ssl_mode as its entry demands."),
    ("translate host name", "Check the spelling of login_host and the name service of the host that runs the module."),
    ("refused", "Check login_host and login_port, and that the server runs and listens there (listen_addresses)."),
    ("No such file or directory", "No server listens on that socket: set login_unix_socket to its directory, or login_host for TCP."),
    ("timeout expired", "The host does not answer: check login_host, login_port and firewalls, or raise connect_timeout."),
    (
        "does not support SSL",
        "The server has TLS switched off: enable it there, or set ssl_mode=prefer or disable if the network is trusted.",
    ),
    ("root certificate file", "Set ca_cert to the file with the certificate of the authority that signed the server's."),
    ("certificate", "Check that ca_cert holds the authority of the server's certificate, and that login_host is a name in it."),
    ("SSL", "Check ssl_mode and ca_cert against what the server offers."),
    ('role "', "Check login_user: the server knows no such role, or does not let it log in."),
    ("does not exist", "Set login_db to a database that exists (postgres is there on most servers)."),
    ("connection slots", "Close idle sessions, or raise max_connections on the server."),
    ("too many clients", "Close idle sessions, or raise max_connections on the server."),
)
# SQLSTATE -> what the user can do about it
STATE_HINTS = {
    "42501": "Log in as a superuser, or as a role that owns the object or may administer it.",
    "2BP01": "Hand its objects over first, in every database: REASSIGN OWNED BY ... TO ...; DROP OWNED BY ...",
    "55006": "Stop the sessions that use it, or set force=true to terminate those on a database that is dropped.",
    "42704": "Create what is missing first.",
    "0A000": "Install the extension's files on the server, if that is what is missing.",
    "58P01": "Install the extension's files on the server.",
    "25006": "This server is a standby or read-only: connect to the primary.",
    "22023": "Correct the value; for an encoding or a locale that differs from the template's, set template=template0.",
}


class PostgresqlError(Exception):
    """What failed, in words that a module can end with.

    `queries` ran before it; `words` are those of libpq or the server alone; `sqlstate` is the server's code, where it gave one.
    """

    sqlstate = None
    words = ""

    def __init__(self, message, queries=()):
        super().__init__(message)
        self.queries = list(queries)


class Race(Exception):
    """Another session changed the same object first: read again."""


class Secret:
    """Stands in a statement for a literal that must not be shown."""

    def __init__(self, value):
        self.value = value


def connection_argument_spec():
    """Return the connection options: those of the documentation fragment `mlops.platform.postgresql`."""
    return {
        "login_host": {"type": "str", "fallback": (env_fallback, ["PGHOST"])},
        "login_port": {"type": "int", "default": 5432, "fallback": (env_fallback, ["PGPORT"])},
        "login_user": {"type": "str", "default": "postgres", "fallback": (env_fallback, ["PGUSER"])},
        "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PGPASSWORD"])},
        "login_db": {"type": "str", "default": "postgres", "fallback": (env_fallback, ["PGDATABASE"])},
        "login_unix_socket": {"type": "path"},
        "ssl_mode": {
            "type": "str",
            "default": "prefer",
            "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            "fallback": (env_fallback, ["PGSSLMODE"]),
        },
        "ca_cert": {"type": "path", "fallback": (env_fallback, ["PGSSLROOTCERT"])},
        "connect_timeout": {"type": "int", "default": 10, "fallback": (env_fallback, ["PGCONNECT_TIMEOUT"])},
    }


def run(argument_spec, ensure, **module_options):
    """Be the main function of a module: make the AnsibleModule, call `ensure(module)`, exit with the result that it returns.

    Takes the module's own argument spec (the connection options are added) and what AnsibleModule takes beside it. PostgresqlError ends
    the module with its words.
    """
    module = AnsibleModule({**connection_argument_spec(), **argument_spec}, supports_check_mode=True, **module_options)
    if psycopg2 is None:
        module.fail_json(msg=missing_required_lib("psycopg2 (psycopg2-binary)", url="https://pypi.org/project/psycopg2-binary/"))
    try:
        result, failure = ensure(module), None
    except PostgresqlError as error:
        failure = error
    # outside of the handler: a traceback of psycopg2's error would carry the statement
    if failure:
        module.fail_json(msg=str(failure), queries=failure.queries)
    module.exit_json(**result)


def check_name(option, name):
    """Raise PostgresqlError if `name` cannot name a role, database or extension; `option` is the option that it comes from."""
    if not name or "\x00" in name:
        raise PostgresqlError(f"{option} is empty or has a NUL character in it: give a name.")
    size = len(name.encode("utf-8", "surrogateescape"))
    if size > NAME_BYTES:
        raise PostgresqlError(
            f"{option} is {size} bytes long in UTF-8, and PostgreSQL cuts names after {NAME_BYTES} bytes: {name}. Give a shorter name."
        )


def server_words(error):
    """Return what a psycopg2 error says of itself, without the statement that psycopg2 puts beside it."""
    diag = error.diag
    if not diag.message_primary:  # libpq's own errors, such as a lost connection, come as text alone
        return " ".join(str(error).split())
    words = [diag.message_primary, diag.message_detail, diag.message_hint, STATE_HINTS.get(diag.sqlstate)]
    return ". ".join(word.strip().rstrip(".").replace("\n", "; ") for word in words if word) + "."


class Server:
    """One connection, and the statements that were run on it."""

    def __init__(self, params, **override):
        """Connect. Takes a module's parameters; `dbname`, `user` and `password` in place of theirs. Raises PostgresqlError."""
        self.queries = []
        options = {
            "host": params["login_unix_socket"] or params["login_host"],
            "port": params["login_port"],
            "user": params["login_user"],
            "password": params["login_password"],
            "dbname": params["login_db"],
            "sslmode": params["ssl_mode"],
            "sslrootcert": params["ca_cert"],
            "connect_timeout": params["connect_timeout"],
            # a name in any alphabet, whatever the encoding of the database; both go with the first packet
            "client_encoding": "UTF8",
            "application_name": "mlops.platform",
            **override,
        }
        try:
            self.connection = psycopg2.connect(**{key: value for key, value in options.items() if value not in (None, "")})
        except (psycopg2.Error, UnicodeError, ValueError) as error:
            words = " ".join(str(error).split())
            where = f"{options['host'] or 'the local socket'}, port {options['port']}, database {options['dbname']}"
            hint = next((advice for text, advice in HINTS if text in words), "")
            failure = PostgresqlError(f"Cannot connect to PostgreSQL at {where}, as {options['user']}: {words.rstrip('.')}. {hint}".strip())
            failure.words = words
        else:
            failure = None
        if failure:
            raise failure
        # no BEGIN around a read: a call that changes nothing costs one statement
        self.connection.autocommit = True
        self.version = self.connection.server_version
        if self.version < OLDEST:
            raise PostgresqlError(f"The server's version is {self.version // 10000}; this module supports {OLDEST // 10000} and later.")

    def close(self):
        """End the session."""
        self.connection.close()

    def read(self, query, parameters):
        """Return the one JSON document that `query` selects. Raises PostgresqlError with `sqlstate` set."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query, parameters)
                return cursor.fetchone()[0]
        except (psycopg2.Error, UnicodeError) as error:
            failure = PostgresqlError(f"Cannot read the state: {server_words(error) if isinstance(error, psycopg2.Error) else error}")
            failure.sqlstate = getattr(error, "pgcode", None)
        raise failure

    def render(self, statement, show=False):
        """Return the text of a statement; with `show`, secrets are masked.

        A statement is a list of plain SQL words (str), sql.Identifier, sql.Literal and Secret, which are joined with blanks.
        """
        parts = []
        for part in statement:
            if isinstance(part, Secret):
                part = sql.Literal(MASK if show else part.value)
            parts.append(part if isinstance(part, str) else part.as_string(self.connection))
        return " ".join(parts)

    def shown(self, statements):
        """Return the statements as `queries` shows them."""
        return [self.render(statement, show=True) for statement in statements]

    def execute(self, statements, races=RACES, transaction=True):
        """Run the statements, in one transaction unless told otherwise (CREATE and DROP DATABASE refuse one).

        Adds them to `queries`. Raises Race if another session was first, else PostgresqlError with the server's words.
        """
        self.connection.autocommit = not transaction
        done, failure = [], None
        try:
            with self.connection.cursor() as cursor:
                for statement in statements:
                    done.append(self.render(statement, show=True))
                    cursor.execute(self.render(statement))
            if transaction:
                self.connection.commit()
        except (psycopg2.Error, UnicodeError) as error:
            if getattr(error, "pgcode", None) in races:
                failure = Race(server_words(error))
            else:
                words = server_words(error) if isinstance(error, psycopg2.Error) else str(error)
                failure = PostgresqlError(f"The server refused: {done[-1] if done else 'BEGIN'}: {words}", self.queries)
            if not self.connection.closed:
                self.connection.rollback()
                self.connection.autocommit = True
        if failure:
            raise failure
        self.connection.autocommit = True
        self.queries += done


def retried(attempt, times=5):
    """Call `attempt()` until no other session gets in its way; at most `times` times (a loser normally needs two)."""
    for _unused in range(times - 1):
        try:
            return attempt()
        except Race:
            continue
    try:
        return attempt()
    except Race as race:
        words = str(race)
    raise PostgresqlError(f"Other sessions changed the same object {times} times while this one tried; the server's last words: {words}")
