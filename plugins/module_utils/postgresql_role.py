# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One role: its state in one query, and the statements that turn it into the wanted one."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils import postgresql_scram as scram
from ansible_collections.mlops.platform.plugins.module_utils.postgresql import (
    DROP_RACES,
    RACES,
    STATE_HINTS,
    PostgresqlError,
    Secret,
    Server,
    check_name,
    retried,
    sql,
)

ATTRIBUTES = ("login", "superuser", "createdb", "createrole", "inherit", "replication", "bypassrls")
# 16 gave memberships the options INHERIT and SET, and a grantor each
MODERN = 160000
# Their values are lists of names (GUC_LIST_QUOTE; the same list is in pg_dump's variable_is_guc_list_quote)
LIST_SETTINGS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
# What is read of a role r: the always wanted, then what an option needs. A new session has no catalogue in its cache, so that each one
# that is not asked for counts. inherit_option and set_option came with 16: to_jsonb gives NULL for a column that is not there.
STATE = {
    None: """
  'exists', r.oid IS NOT NULL, 'connection_limit', r.rolconnlimit,
  'login', r.rolcanlogin, 'superuser', r.rolsuper, 'createdb', r.rolcreatedb, 'createrole', r.rolcreaterole,
  'inherit', r.rolinherit, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls""",
    "password": """
  'verifier', r.rolpassword, 'iterations', pg_catalog.current_setting('scram_iterations', true)""",
    "valid_until": """
  'valid_until', coalesce(r.rolvaliduntil, 'infinity')::text, 'valid_until_wanted', (%(valid_until)s::timestamptz)::text,
  'valid_until_same', coalesce(r.rolvaliduntil, 'infinity') = %(valid_until)s::timestamptz""",
    "comment": """
  'comment', coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), '')""",
    "settings": """
  'settings', coalesce((SELECT setconfig FROM pg_catalog.pg_db_role_setting WHERE setdatabase = 0 AND setrole = r.oid), '{}')""",
    "member_of": """
  'memberships', coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'role', pg_catalog.pg_get_userbyid(m.roleid), 'grantor', pg_catalog.pg_get_userbyid(m.grantor), 'admin', m.admin_option,
             'inherit', pg_catalog.to_jsonb(m) -> 'inherit_option', 'set', pg_catalog.to_jsonb(m) -> 'set_option')
           ORDER BY m.roleid, m.grantor)
    FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid), '[]'),
  'missing', ARRAY(SELECT n FROM pg_catalog.unnest(%(member_of)s::text[]) n WHERE n NOT IN (SELECT rolname FROM pg_catalog.pg_roles))""",
}
DEPENDENTS = """
  'dependents', (SELECT count(*) FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = r.oid
                   AND classid <> 'pg_catalog.pg_auth_members'::regclass)"""
QUERY = "SELECT pg_catalog.json_build_object({}) FROM (SELECT 1) one LEFT JOIN pg_catalog.{} r ON r.rolname = %(name)s"


def problems(params):
    """Raise PostgresqlError for what can be refused before anything is sent."""
    check_name("name", params["name"])
    for group in params["member_of"] or []:
        check_name("member_of", group)
        if group == params["name"]:
            raise PostgresqlError(f"member_of: the role {group} cannot be a member of itself. Take it out of the list.")
    password = params["password"]
    if password is not None and scram.problem(password):
        raise PostgresqlError(f"The password of the role {params['name']} {scram.problem(password)}")
    if params["connection_limit"] is not None and params["connection_limit"] < -1:
        raise PostgresqlError("connection_limit is less than -1: give -1 (no limit), 0 or a number of connections.")


def ensure(module):
    """Make the role what the module's parameters say; return the module's result. Raises PostgresqlError."""
    params = module.params
    problems(params)
    server = Server(params)
    try:
        return retried(lambda: _attempt(module, server))
    finally:
        server.close()


def _attempt(module, server):
    params, absent = module.params, module.params["state"] == "absent"
    state = read(server, params)
    if absent:
        statements = [["DROP ROLE", sql.Identifier(params["name"])]] if state["exists"] else []
        before, after = ({"name": params["name"]} if state["exists"] else {}), {}
        if statements and module.check_mode and state["dependents"]:
            raise PostgresqlError(
                f"The server would refuse: {server.shown(statements)[0]}: {state['dependents']} objects or privileges depend on the role. "
                f"{STATE_HINTS['2BP01']}"
            )
    else:
        same = password_is_same(module, state)
        statements, before, after = plan(server, params, state, same)
        if module.check_mode and state.get("missing"):
            module.warn(f"member_of: no such role yet: {', '.join(state['missing'])}. A real run fails unless it is created before.")
    if statements and not module.check_mode:
        server.execute(statements, DROP_RACES if absent else RACES)
    queries = server.shown(statements) if module.check_mode else server.queries
    return {"changed": bool(queries), "queries": queries, "diff": {"before": before, "after": after}}


def read(server, params):
    """Return the role's state as a dict; `verifier` holds the stored password where it was asked for and is readable."""
    if params["state"] == "absent":
        return server.read(QUERY.format(",".join([STATE[None], DEPENDENTS]), "pg_roles"), params)
    parts = ",".join(part for option, part in STATE.items() if option is None or params[option] is not None)
    if params["password"] is not None:
        try:
            return {**server.read(QUERY.format(parts, "pg_authid"), params), "readable": True}
        except PostgresqlError as error:
            if error.sqlstate != "42501":
                raise
    return {**server.read(QUERY.format(parts, "pg_roles"), params), "readable": False}


def password_is_same(module, state):
    """Tell whether the role has the wanted password already (True also where none is wanted).

    Where pg_authid cannot be read (managed servers) the only proof is a login with it; where that proves nothing, the password is set,
    and a warning says that every run will set it.
    """
    params = module.params
    password = params["password"]
    if password is None:
        return True
    if not state["exists"]:
        return False
    if state["readable"]:
        return scram.verifies(password, state["verifier"])
    reason = "the verifier of a role can only be compared where pg_authid is readable"
    if not scram.VERIFIER.match(password):
        try:
            trial = Server(params, user=params["name"], password=password)
        except PostgresqlError as error:
            reason = error.words
            if "password authentication failed" in reason:
                return False
        else:
            used = trial.connection.info.used_password
            trial.close()
            if used:
                return True
            reason = "the server let the role in without asking for its password"
    module.warn(f"Whether the password of {params['name']} is the wanted one cannot be found out, so it is set on every run: {reason}")
    return False


def plan(server, params, state, same_password):
    """Return (statements, before, after): what is to be run, and the two sides of the diff."""
    name = sql.Identifier(params["name"])
    before, after = ({"name": params["name"]} if state["exists"] else {}), {"name": params["name"]}
    words = []
    for option in ATTRIBUTES:
        if params[option] is not None and params[option] != state[option]:
            words.append(option.upper() if params[option] else "NO" + option.upper())
            before[option], after[option] = state[option], params[option]
    if params["connection_limit"] is not None and params["connection_limit"] != state["connection_limit"]:
        words += ["CONNECTION LIMIT", sql.Literal(params["connection_limit"])]
        before["connection_limit"], after["connection_limit"] = state["connection_limit"], params["connection_limit"]
    if params["valid_until"] is not None and not (state["exists"] and state["valid_until_same"]):
        words += ["VALID UNTIL", sql.Literal(params["valid_until"])]
        before["valid_until"], after["valid_until"] = state["valid_until"], state["valid_until_wanted"]
    if not same_password:
        iterations = int(state["iterations"] or scram.ITERATIONS)
        words += ["PASSWORD", Secret(scram.verifier(params["password"], iterations))]
        after["password"] = "changed"  # noqa: S105 - all that a diff says of it
    statements = []
    if not state["exists"]:
        statements.append(["CREATE ROLE", name, *words])
        before = {}
    elif words:
        statements.append(["ALTER ROLE", name, *words])
    statements += _memberships(server, params, state, before, after)
    statements += _settings(params, state, before, after)
    comment = params["comment"]
    if comment is not None and comment != state["comment"]:
        statements.append(["COMMENT ON ROLE", name, "IS", sql.Literal(comment or None)])
        before["comment"], after["comment"] = state["comment"], comment
    return statements, (before if state["exists"] else {}), after


def _memberships(server, params, state, before, after):
    """Return the GRANTs and REVOKEs of memberships. Since 16 one membership can be granted several times, by different roles."""
    if params["member_of"] is None:
        return []
    name, statements = sql.Identifier(params["name"]), []
    modern = server.version >= MODERN
    options = {key: value for key, value in (params["member_of_options"] or {}).items() if value is not None}
    if not modern and options.get("set"):
        # a member always could
        del options["set"]
    if not modern and set(options) - {"admin"}:
        raise PostgresqlError(
            f"member_of_options: inherit, and set but true, need PostgreSQL 16; this server is {server.version // 10000}. Leave them out."
        )
    grants = {}
    for grant in state["memberships"]:
        grants.setdefault(grant["role"], []).append(grant)

    def by(grant):
        return ["GRANTED BY", sql.Identifier(grant["grantor"])] if modern and grant["grantor"] else []

    for role in dict.fromkeys(params["member_of"]):
        have = grants.get(role, [])
        if not have:
            wanted = {key: value for key, value in options.items() if modern or value}
            statements.append(["GRANT", sql.Identifier(role), "TO", name, *_with(wanted, modern)])
            continue
        # True: one grant that says so is enough. False: none may say so.
        lacking = {key: True for key, value in options.items() if value and not any(grant[key] for grant in have)}
        if lacking and modern:
            # as ourselves: who may not act for the first one's grantor, as the maker of a role (16 grants him ADMIN alone), may add one
            statements.append(["GRANT", sql.Identifier(role), "TO", name, *_with(lacking, modern)])
        for number, grant in enumerate(have):
            change = {key: False for key, value in options.items() if not value and grant[key]}
            if number == 0 and not modern:
                change.update(lacking)
            if change and not modern and not change["admin"]:
                statements.append(["REVOKE ADMIN OPTION FOR", sql.Identifier(role), "FROM", name])
            elif change:
                statements.append(["GRANT", sql.Identifier(role), "TO", name, *_with(change, modern), *by(grant)])
    if params["member_of_purge"]:
        for role in sorted(set(grants) - set(params["member_of"])):
            statements += [["REVOKE", sql.Identifier(role), "FROM", name, *by(grant)] for grant in grants[role]]
    if statements:
        before["member_of"] = sorted(grants)
        after["member_of"] = sorted(set(params["member_of"]) | (set() if params["member_of_purge"] else set(grants)))
        if options:
            after["member_of_options"] = options
    return statements


def _with(options, modern):
    """Return the WITH clause of a GRANT of a role."""
    if not options:
        return []
    if not modern:
        return ["WITH ADMIN OPTION"]
    return ["WITH", ", ".join(f"{key.upper()} {'TRUE' if value else 'FALSE'}" for key, value in sorted(options.items()))]


def names(value):
    """Return the names in the text of a setting that is a list of them, as the server reads it: search_path = '"$user", Public'."""
    found = []
    for match in re.finditer(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*))\s*(?:,|\Z)', value):
        if match[1] is not None:
            found.append(match[1].replace('""', '"'))
        elif match[2].strip():
            found.append(match[2].strip().lower())
    return found


def _settings(params, state, before, after):
    """Return the ALTER ROLE ... SET and RESET; a value of None resets the parameter."""
    name, statements = sql.Identifier(params["name"]), []
    if params["settings"] is None:
        return []
    current = {}
    for entry in state["settings"]:
        key, _equals, value = entry.partition("=")
        current[key.lower()] = value
    for key, value in params["settings"].items():
        check_name("settings", key)
        have = current.get(key.lower())
        if value is None:
            if have is None:
                continue
            change = ["ALTER ROLE", name, "RESET", sql.Identifier(*key.split("."))]
        else:
            # YAML's true is on, as everywhere in PostgreSQL; its lists are lists
            value = ("on" if value else "off") if isinstance(value, bool) else value
            listed = key.lower() in LIST_SETTINGS
            if listed:
                value = ([str(item) for item in value] if isinstance(value, list) else names(str(value))) or [""]
                same = have is not None and names(have) == value
            else:
                value = ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
                same = have == value
            if same:
                continue
            literals = sql.SQL(", ").join(map(sql.Literal, value if listed else [value]))
            change = ["ALTER ROLE", name, "SET", sql.Identifier(*key.split(".")), "TO", literals]
        statements.append(change)
        before.setdefault("settings", {})[key] = have
        after.setdefault("settings", {})[key] = value
    return statements
