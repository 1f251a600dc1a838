"""What an upgrade has to know of the data before it and after it. Reads a request on standard input, prints one JSON object.

The request: host, port, username, password, databases; data_dir, backs_up, backup_dir ('' for a bucket), runtime_mb, reserve_mb.
The answer: rows (exact counts by DATABASE.TABLE), megabytes, and problems, each in words with its remedy.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# what users have put there: a migration may rebuild other tables, but of these not a row may be missing
KEPT = (
    "experiments",
    "runs",
    "params",
    "metrics",
    "latest_metrics",
    "tags",
    "experiment_tags",
    "registered_models",
    "model_versions",
    "registered_model_aliases",
    "datasets",
    "inputs",
    "logged_models",
    "trace_info",
    "users",
)
MIB = 2**20


def counted(cursor, database):
    """Return {DATABASE.TABLE: count} of the tables in KEPT that `cursor` sees in a database. Raises the driver's errors."""
    cursor.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false))")
    found = {}
    for table in sorted({row[0] for row in cursor.fetchall()} & set(KEPT)):
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of KEPT
        found[f"{database}.{table}"] = cursor.fetchone()[0]
    return found


def rows(ask):
    """Return {DATABASE.TABLE: count} of the tables in KEPT that are there. Raises psycopg2.Error with the server's words."""
    import psycopg2

    found = {}
    for database in ask["databases"]:
        connection = psycopg2.connect(
            host=ask["host"], port=ask["port"], user=ask["username"], password=ask["password"], dbname=database, connect_timeout=10
        )
        try:
            with connection.cursor() as cursor:
                found.update(counted(cursor, database))
        finally:
            connection.close()
    return found


def size(directory):
    """Return the MiB that the files in a directory take, 0 where there is none or it cannot be read."""
    total = 0
    for folder, _folders, files in os.walk(directory):
        for name in files:
            try:
                total += Path(folder, name).lstat().st_blocks * 512
            except OSError:
                # files of a server that runs come and go
                continue
    return total // MIB


def space(path):
    """Return (the file system's number, free MiB) of the place where `path` is or will be."""
    while not path.is_dir():
        path = path.parent
    about = os.statvfs(path)
    return path.stat().st_dev, about.f_bavail * about.f_frsize // MIB


def room(ask):
    """Return (megabytes by what takes them, problems): whether an upgrade and its way back fit on the disks."""
    data, backups = Path(ask["data_dir"]), Path(ask["backup_dir"]) if ask["backup_dir"] else None
    database = size(data / "postgresql")
    objects = size(data / "seaweedfs" / "volume")
    # a backup copies the database beside the data directory's, and a restore puts another one there before the old one is set aside
    need = ask["runtime_mb"] + ask["reserve_mb"] + (2 * database if ask["backs_up"] else 0)
    device, free = space(data)
    found = {"database": database, "objects": objects, "needed": need, "free": free}
    problems = []
    if ask["backs_up"] and backups:
        # two base backups, and the objects that no backup has yet
        copies = 2 * database + max(objects - sum(size(place) for place in backups.glob("*/objects")), 0)
        other, elsewhere = space(backups)
        if other == device:
            need += copies
            found["needed"] = need
        else:
            found.update(needed_for_backups=copies, free_for_backups=elsewhere)
            if elsewhere < copies:
                problems.append(
                    f"{backups} has {elsewhere} MiB of free disk, and the backups of an upgrade need {copies}: free some, or name another"
                    " disk (mlops_backup_directory)"
                )
    if free < need:
        problems.append(
            f"{data} has {free} MiB of free disk, and an upgrade with its way back needs {need}: free some, such as environments in"
            " runtime/ that no process uses and backup/replaced-* of earlier restores"
        )
    return found, problems


def main():
    """Answer the request; return the exit code."""
    ask = json.load(sys.stdin)
    megabytes, problems = room(ask)
    try:
        counts = rows(ask)
    except Exception as error:  # the driver's own class is known only once it is imported
        print(json.dumps({"problem": " ".join(str(error).split())}))
        return 1
    print(json.dumps({"verified": [], "rows": counts, "megabytes": megabytes, "problems": problems}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
