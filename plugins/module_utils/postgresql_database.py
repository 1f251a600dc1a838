# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One database: its state in one query, and the statements that turn it into the wanted one."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.postgresql import (
    DROP_RACES,
    PostgresqlError,
    Server,
    check_name,
    retried,
    sql,
)
from ansible_collections.mlops.platform.plugins.module_utils.postgresql_grants import OWNER_ROLE, PUBLIC, grants, managed

# the options that CREATE DATABASE takes, and its words for them
CREATION = {
    "owner": "OWNER",
    "template": "TEMPLATE",
    "encoding": "ENCODING",
    "locale": "LOCALE",
    "lc_collate": "LC_COLLATE",
    "lc_ctype": "LC_CTYPE",
    "connection_limit": "CONNECTION LIMIT",
}
# the databases that every server has; template0 and template1 are what others are made from
PROTECTED = {"postgres", "template0", "template1"}
# Since 15 the schema public of a new database belongs to pg_database_owner, that is to whoever owns the database
PUBLIC_IS_OWNERS = 150000
# What is read of a database d: the always wanted, then what options need. A new session has no catalogue in its cache, so that each one
# that is not asked for counts. Extensions and the schema public are those of the connected database: of use if that is the wanted one.
# datlocale was called daticulocale in 15 and 16: to_jsonb gives NULL for a column that is not there.
BASE = """
  'exists', d.oid IS NOT NULL, 'template', d.datistemplate, 'connection_limit', d.datconnlimit,
  'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'lc_collate', d.datcollate, 'lc_ctype', d.datctype,
  'locale', coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'),
  'owner', pg_catalog.pg_get_userbyid(d.datdba)"""
ENCODING = """
  'encoding_wanted', pg_catalog.pg_encoding_to_char(pg_catalog.pg_char_to_encoding(%(encoding)s))"""
COMMENT = """
  'comment', coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '')"""
ROLES = """
  'missing', ARRAY(SELECT n FROM pg_catalog.unnest(%(roles)s::text[]) n WHERE n NOT IN (SELECT rolname FROM pg_catalog.pg_roles))"""
EXTENSIONS = """
  'extensions', ARRAY(SELECT extname FROM pg_catalog.pg_extension)"""
UNAVAILABLE = """
  'unavailable', ARRAY(SELECT n FROM pg_catalog.unnest(%(extensions)s::text[]) n
                         WHERE n NOT IN (SELECT name FROM pg_catalog.pg_available_extensions))"""
# an access control list of NULL means the defaults of its kind
ACCESS = """
  'database_acl', (
    SELECT pg_catalog.json_object_agg(role, privileges) FROM (
      SELECT CASE grantee WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(grantee) END AS role,
             pg_catalog.json_agg(DISTINCT privilege_type) AS privileges
      FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) GROUP BY 1) x),
  'schema_owner', (SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = 'public'),
  'schema_acl', (
    SELECT pg_catalog.json_object_agg(role, privileges) FROM (
      SELECT CASE grantee WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(grantee) END AS role,
             pg_catalog.json_agg(DISTINCT privilege_type) AS privileges
      FROM pg_catalog.pg_namespace, pg_catalog.aclexplode(coalesce(nspacl, pg_catalog.acldefault('n', nspowner)))
      WHERE nspname = 'public' GROUP BY 1) x)"""
QUERY = "SELECT pg_catalog.json_build_object({}) FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_database d ON d.datname = %(name)s"


def problems(params):
    """Raise PostgresqlError for what can be refused before anything is sent."""
    name = params["name"]
    check_name("name", name)
    if params["state"] == "absent":
        if name in PROTECTED:
            raise PostgresqlError(f"The database {name} is never dropped: every server needs it. Name another one.")
        if name == params["login_db"]:
            raise PostgresqlError(f"The database {name} cannot be dropped over a connection to itself. Set login_db to another one.")
    for option in ("owner", "template"):
        if params[option] is not None:
            check_name(option, params[option])
    for extension in params["extensions"] or []:
        check_name("extensions", extension)
    for grant in params["grants"] or []:
        check_name("grants: role", grant["role"])
        if grant["role"].upper() == "PUBLIC":
            grant["role"] = PUBLIC
            if params["lock_public"]:
                raise PostgresqlError("grants names PUBLIC, and lock_public takes everything from it. Leave one of the two out.")
    if params["connection_limit"] is not None and params["connection_limit"] < -1:
        raise PostgresqlError("connection_limit is less than -1: give -1 (no limit), 0 or a number of connections.")


def ensure(module):
    """Make the database what the module's parameters say; return the module's result. Raises PostgresqlError."""
    params = module.params
    problems(params)
    servers = []
    try:
        return retried(lambda: _attempt(module, servers))
    finally:
        for server in servers:
            server.close()


def _connect(params, servers, **override):
    server = Server(params, **override)
    servers.append(server)
    return server


def _result(module, servers, predicted, before, after):
    """Return the module's result: what was run, also in an attempt that was then overtaken, or in check mode what would have been."""
    queries = predicted if module.check_mode else [query for server in servers for query in server.queries]
    return {"changed": bool(queries), "queries": queries, "diff": {"before": before, "after": after}}


def _attempt(module, servers):
    params = module.params
    if params["state"] == "absent":
        return _absent(module, servers)
    # Extensions and the schema public are only seen from inside the database, and everything else from there too: one connection is enough
    inside = params["extensions"] or managed(params)
    elsewhere = inside and params["name"] != params["login_db"]
    server = None
    if elsewhere:
        try:
            server = _connect(params, servers, dbname=params["name"])
        except PostgresqlError as error:
            # the words of a database that does not exist are in the server's language, but name it; a wrong password's do not
            if " ".join(params["name"].split()) not in error.words:
                raise
    elsewhere = elsewhere and not server
    server = server or _connect(params, servers)
    state = read(server, params, module.check_mode)
    if elsewhere and state["exists"]:
        # another session has just created it; or else it lets nobody in, and the server says so again
        server = _connect(params, servers, dbname=params["name"])
        state = read(server, params, module.check_mode)
    for kind, key in (("role", "missing"), ("extension", "unavailable")) if module.check_mode else ():
        if state.get(key):
            module.warn(f"No such {kind} on the server yet: {', '.join(state[key])}. A real run fails unless it is there by then.")
    if state["exists"]:
        refuse_mismatch(params, state)
        statements, before, after = plan(params, state)
        if statements and not module.check_mode:
            server.execute(statements)
        return _result(module, servers, server.shown(statements), before, after)
    creation, state = create(params), expected(server, params)
    predicted = server.shown([creation])
    if not module.check_mode:
        server.execute([creation], transaction=False)
        if inside:
            server = _connect(params, servers, dbname=params["name"])
            # all else is issued as predicted: it does no harm where the template has it already
            state["schema_owner"] = read(server, params).get("schema_owner")
    statements, _before, after = plan(params, state)
    if statements and not module.check_mode:
        server.execute(statements)
    predicted += server.shown(statements)
    created = {key: params[key] for key in CREATION if params[key] is not None}
    return _result(module, servers, predicted, {}, {**created, **after})


def _absent(module, servers):
    params = module.params
    server = _connect(params, servers)
    state = read(server, params)
    if not state["exists"]:
        return _result(module, servers, [], {}, {})
    if state["template"]:
        raise PostgresqlError(
            f"The database {params['name']} is a template and is never dropped. ALTER DATABASE ... IS_TEMPLATE false first."
        )
    statement = ["DROP DATABASE", sql.Identifier(params["name"]), *(["WITH (FORCE)"] if params["force"] else [])]
    if not module.check_mode:
        server.execute([statement], DROP_RACES, transaction=False)
    return _result(module, servers, server.shown([statement]), {"name": params["name"]}, {})


def read(server, params, check=False):
    """Return the database's state as a dict; with `check`, it also says which extensions the server could not install."""
    roles = [grant["role"] for grant in params["grants"] or [] if grant["role"] != PUBLIC]
    roles += [params["owner"]] if params["owner"] else []
    parts = [BASE]
    parts += [ENCODING] if params["encoding"] else []
    parts += [COMMENT] if params["comment"] is not None else []
    parts += [ROLES] if roles else []
    parts += [EXTENSIONS] if params["extensions"] else []
    parts += [UNAVAILABLE] if params["extensions"] and check else []
    parts += [ACCESS] if managed(params) else []
    values = {"name": params["name"], "encoding": params["encoding"], "roles": roles, "extensions": params["extensions"]}
    state = server.read(QUERY.format(",".join(parts)), values)
    if params["encoding"] and not state["encoding_wanted"]:
        raise PostgresqlError(f"encoding: the server knows no {params['encoding']}. Give one of its names, such as UTF8 or LATIN1.")
    return state


def expected(server, params):
    """Return the state that CREATE DATABASE leaves, with the template's content taken to be nothing but a stock schema public."""
    owner = params["owner"] or params["login_user"]
    schema_owner = OWNER_ROLE if server.version >= PUBLIC_IS_OWNERS else "postgres"
    return {
        "owner": owner,
        "connection_limit": -1 if params["connection_limit"] is None else params["connection_limit"],
        "comment": "",
        "extensions": [],
        "database_acl": {PUBLIC: ["CONNECT", "TEMPORARY"], owner: ["CONNECT", "CREATE", "TEMPORARY"]},
        "schema_owner": schema_owner,
        "schema_acl": {PUBLIC: ["CREATE", "USAGE"], schema_owner: ["CREATE", "USAGE"]},
    }


def create(params):
    """Return the CREATE DATABASE statement."""
    words = ["CREATE DATABASE", sql.Identifier(params["name"])]
    for option, word in CREATION.items():
        if params[option] is not None:
            quote = sql.Identifier if option in ("owner", "template") else sql.Literal
            words += [word, quote(params[option])]
    return words


def same_locale(one, other):
    """Tell whether two locale names mean the same: the C library writes en_US.UTF-8 and en_US.utf8 alike."""
    return one == other or one.lower().replace("-", "") == other.lower().replace("-", "")


def refuse_mismatch(params, state):
    """Raise PostgresqlError if an option that only a creation can set differs from the database."""
    wrong = []
    if params["encoding"] and state["encoding_wanted"] != state["encoding"]:
        wrong.append(f"encoding is {state['encoding']}, not {params['encoding']}")
    for option in ("lc_collate", "lc_ctype"):
        wanted = params[option] or params["locale"]
        if wanted and not same_locale(wanted, state[option]) and not (params["locale"] and state["locale"] == wanted):
            wrong.append(f"{option} is {state[option]}, not {wanted}")
    if wrong:
        raise PostgresqlError(
            f"The database {params['name']} exists and cannot be changed so: its {'; its '.join(wrong)}. "
            "Correct the options, or dump it, drop it and restore it into a new one."
        )


def plan(params, state):
    """Return (statements, before, after): what is to be run inside the database, and the two sides of the diff."""
    name, statements = sql.Identifier(params["name"]), []
    before, after = {"name": params["name"]}, {"name": params["name"]}
    if params["owner"] is not None and params["owner"] != state["owner"]:
        statements.append(["ALTER DATABASE", name, "OWNER TO", sql.Identifier(params["owner"])])
        before["owner"], after["owner"] = state["owner"], params["owner"]
    if params["connection_limit"] is not None and params["connection_limit"] != state["connection_limit"]:
        statements.append(["ALTER DATABASE", name, "CONNECTION LIMIT", sql.Literal(params["connection_limit"])])
        before["connection_limit"], after["connection_limit"] = state["connection_limit"], params["connection_limit"]
    lacking = [extension for extension in dict.fromkeys(params["extensions"] or []) if extension not in state["extensions"]]
    statements += [["CREATE EXTENSION IF NOT EXISTS", sql.Identifier(extension)] for extension in lacking]
    if lacking:
        before["extensions"], after["extensions"] = sorted(state["extensions"]), sorted({*state["extensions"], *lacking})
    statements += grants(params, state, before, after) if managed(params) else []
    if params["comment"] is not None and params["comment"] != state["comment"]:
        statements.append(["COMMENT ON DATABASE", name, "IS", sql.Literal(params["comment"] or None)])
        before["comment"], after["comment"] = state["comment"], params["comment"]
    return statements, before, after
