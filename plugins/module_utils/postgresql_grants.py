# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Privileges on a database and on its schema public, compared with their access control lists."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.postgresql import sql

# the role whose only member is the owner of the connected database (PostgreSQL 14 and later)
OWNER_ROLE = "pg_database_owner"
# the key of PUBLIC in a list of privileges: no role can have that name in lower case
PUBLIC = "public"


def managed(params):
    """Tell whether the options of a database say anything on privileges."""
    return params["lock_public"] or params["grants"] is not None


def _grantee(role):
    return "PUBLIC" if role == PUBLIC else sql.Identifier(role)


def _change(verb, privileges, target, role):
    return [verb, ", ".join(sorted(privileges)), "ON", *target, "TO" if verb == "GRANT" else "FROM", _grantee(role)]


def grants(params, state, before, after):
    """Return the statements that lock PUBLIC out, and those that make the grants what they are to be; extends both sides of the diff.

    Takes `database_acl` and `schema_acl` of the state: role (or `public`) -> privileges, with a NULL list read as its defaults.
    """
    owner = params["owner"] or state["owner"]
    acls = {
        "database": {role: set(have) for role, have in (state["database_acl"] or {}).items()},
        "schema": {role: set(have) for role, have in (state["schema_acl"] or {}).items()},
    }
    if owner != state["owner"]:
        # ALTER DATABASE ... OWNER TO hands the old owner's entry to the new one
        acls["database"][owner] = acls["database"].pop(state["owner"], set()) | acls["database"].get(owner, set())
    was = {kind: {role: sorted(have) for role, have in acl.items() if have} for kind, acl in acls.items()}
    targets = {"database": ["DATABASE", sql.Identifier(params["name"])], "schema": ["SCHEMA public"]}
    # who has everything without being granted it, and is left alone by a purge
    owners = {"database": {owner}, "schema": {owner, state["schema_owner"], OWNER_ROLE}}
    statements = []
    if params["lock_public"]:
        for kind, acl in acls.items():
            if acl.pop(PUBLIC, None):
                statements.append(["REVOKE ALL ON", *targets[kind], "FROM PUBLIC"])
        # before 15 the schema is a superuser's, and the owner of the database lived from what PUBLIC had
        missing = {"CREATE", "USAGE"} - acls["schema"].get(owner, set())
        if state["schema_owner"] and state["schema_owner"] not in (owner, OWNER_ROLE) and missing:
            statements.append(_change("GRANT", missing, targets["schema"], owner))
            acls["schema"][owner] = {"CREATE", "USAGE"}
    for kind, option in (("database", "privileges"), ("schema", "schema_privileges")):
        wanted = {}
        for grant in params["grants"] or []:
            if grant[option] is not None:
                wanted.setdefault(grant["role"], set()).update(grant[option])
        acl = acls[kind]
        for role, privileges in wanted.items():
            # what pg_database_owner has, the owner has too
            have = acl.get(role, set()) | (acl.get(OWNER_ROLE, set()) if role == owner else set())
            if privileges - have:
                statements.append(_change("GRANT", privileges - have, targets[kind], role))
                acl[role] = acl.get(role, set()) | (privileges - have)
        if params["grants_purge"] and params["grants"] is not None:
            untouched = {grant["role"] for grant in params["grants"] if grant[option] is None}
            for role in sorted(set(acl) - owners[kind] - untouched - ({PUBLIC} - set(wanted))):
                surplus = acl[role] - wanted.get(role, set())
                if surplus:
                    statements.append(_change("REVOKE", surplus, targets[kind], role))
                    acl[role] = acl[role] - surplus
    for kind, acl in acls.items():
        now = {role: sorted(have) for role, have in acl.items() if have}
        if now != was[kind]:
            before[f"{kind}_privileges"], after[f"{kind}_privileges"] = was[kind], now
    return statements
