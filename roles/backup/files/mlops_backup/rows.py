"""Compares the rows of two database servers while one of them goes on.

A table is a multiset of rows, and a row is known by its MD5. The rows are counted and summed up in 4096 groups: so a restored table can be
held against two looks at the running one, before and after the recovery point. A group that is the same in both must be the same in the
restored table; in the others somebody wrote, and the count must lie between.
"""

from __future__ import annotations

from mlops_backup import database

TABLES = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
# the first three digits name the group, fifteen others are summed up: sums of a billion rows fit into numeric
GROUPS = (
    "SELECT substr(h, 1, 3), count(*), sum(('x' || substr(h, 4, 15))::bit(60)::bigint)::text"
    " FROM (SELECT md5(t::text) AS h FROM {} AS t) AS hashes GROUP BY 1"
)


def snapshot(settings, **where):
    """Return {"database.table": {group: (count, sum)}} of MLflow's databases."""
    found = {}
    for name in settings.postgresql["schemas"]:
        with database.session(settings, name, **where) as cursor:
            # one look at all tables
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found.update(look(cursor, name))
            cursor.execute("COMMIT")
    return found


def look(cursor, name):
    """Return the tables of the database `name` that `cursor` is in, as snapshot() has them."""
    found = {}
    cursor.execute(TABLES)
    for (table,) in cursor.fetchall():
        # regclass quotes what needs it
        cursor.execute(GROUPS.format(table))
        found[f"{name}.{table}"] = {group: (count, digest) for group, count, digest in cursor}
    return found


def totals(found):
    """Return {table: [rows, sum]} of a snapshot: what a dump says of itself, to be held against what is restored from it."""
    return {
        table: [sum(count for count, _digest in groups.values()), str(sum(int(digest) for _count, digest in groups.values()))]
        for table, groups in sorted(found.items())
    }


def different(wanted, found):
    """Return in words where two totals() differ."""
    problems = []
    for table in sorted({*wanted, *found}):
        one, other = wanted.get(table), found.get(table)
        if one is None or other is None:
            problems.append(f"table {table} is {'not in the backup' if one is None else 'not there'}")
        elif list(one) != list(other):
            problems.append(f"table {table}: {other[0]} rows instead of {one[0]}" if one[0] != other[0] else f"table {table}: other rows")
    return problems


def counts(found):
    """Return {table: rows} of a snapshot, without empty tables."""
    return {table: total for table, groups in sorted(found.items()) if (total := sum(count for count, _digest in groups.values()))}


def compare(before, after, restored):
    """Return in words where `restored` is neither of two looks at the running server, nor between them."""
    problems = [f"table {table} is not there" for table in sorted(set(before) & set(after) - set(restored))]
    for table, groups in sorted(restored.items()):
        one, other = before.get(table, {}), after.get(table, {})
        wrong = 0
        for group in {*one, *other, *groups}:
            first, last, found = (look.get(group, (0, "0")) for look in (one, other, groups))
            if found not in (first, last) and (first == last or not min(first[0], last[0]) <= found[0] <= max(first[0], last[0])):
                wrong += 1
        if wrong:
            total = [sum(count for count, _digest in look.values()) for look in (one, groups)]
            problems.append(f"table {table}: {wrong} group(s) of rows differ, {total[1]} rows instead of {total[0]}")
    return problems
