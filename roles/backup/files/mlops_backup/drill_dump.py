"""A rehearsal in a cluster: a dump into a server of the drill's own in this pod, and the objects into a bucket of its own.

The running platform has moved on since the backup. So what is restored is held against what the backup says of itself: the rows'
checksums, taken in the very snapshot that was dumped, and each object's SHA-256.
"""

from __future__ import annotations

import json
import time

from mlops_backup import database, dumps, objects_restore, rows
from mlops_backup.catalog import moment
from mlops_backup.drill_bucket import DrillBucket
from mlops_backup.pod_server import PodServer
from mlops_backup.problems import BackupError


def rehearse(settings, catalog, manifest):
    """Return what was measured and compared. Raises BackupError where the restored is not what the backup says."""
    name, record = manifest["name"], manifest["files"].get(dumps.ROWS)
    if not record:
        raise BackupError(f"{name} has no checksums of its rows, with which a drill compares: take another backup first")
    wanted = json.loads(catalog.vault.read(f"backups/{name}/{dumps.ROWS}", record=record))
    # the dump, the database made of it, and its log
    database.room(settings, 3 * manifest["database"]["size"])
    # what a loss right now would cost, before anything is done for the drill
    age = time.time() - moment(manifest["point"]["time"]).timestamp()
    rpo = age if rows.different(wanted, rows.totals(rows.snapshot(settings))) else 0
    newer = objects_restore.newer(catalog, name, settings.s3())
    began = time.monotonic()
    with PodServer(settings, settings.data / "backup" / "drill") as server, DrillBucket(settings) as bucket:
        _load(settings, catalog.vault, manifest, server)
        counts = objects_restore.run(catalog, name, bucket.target, settings.workers)
        rto = time.monotonic() - began
        # every byte once more, as a reader gets it from the restored bucket
        checked = objects_restore.run(catalog, name, bucket.target, settings.workers)
        restored = rows.totals(rows.snapshot(settings, **server.address))
    different = rows.different(wanted, restored)
    if different or checked["written"] or checked["unreadable"]:
        raise BackupError(
            f"what was restored from {name} is not what it says of itself: {'; '.join(different[:5]) or 'objects'};"
            f" {checked['unreadable']} objects unreadable, {checked['written']} missing"
        )
    return {
        "backup": name,
        "rpo_seconds": round(rpo, 1),
        "rpo_objects_seconds": round(age if newer else 0, 1),
        "rto_seconds": round(rto, 1),
        "rows": {table: count for table, (count, _digest) in restored.items() if count},
        "objects": {"restored": counts["written"], "bytes": counts["written_bytes"], "checked": checked["checked"], "newer": newer},
        "changed": False,
    }


def _load(settings, vault, manifest, server):
    """Restore the dumps into the drill's own server. Raises BackupError and OSError."""
    from psycopg2 import sql

    with dumps.staged(settings) as folder, database.session(settings, **server.address) as cursor:
        cursor.execute("CREATE ROLE mlflow")
        for one in dumps.names(settings):
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER mlflow TEMPLATE template0").format(sql.Identifier(one)))
            dumps.load(settings, vault, manifest, folder, one, one, server.address)
