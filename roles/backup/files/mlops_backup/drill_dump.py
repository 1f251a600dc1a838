"""A rehearsal of a dump: into a server of the drill's own, and the objects into a store or a bucket of its own.

The running platform has moved on since the backup. So what is restored is held against what the backup says of itself: the rows'
checksums, taken in the very snapshot that was dumped, and each object's SHA-256.
"""

from __future__ import annotations

import json
import time

from mlops_backup import beside, database, dumps, objects_restore, rows
from mlops_backup.catalog import moment
from mlops_backup.problems import BackupError


def rehearse(settings, catalog, manifest, folder):
    """Return what was measured and compared of what it restores below `folder`. Raises BackupError where it is not what the backup says."""
    name, record = manifest["name"], manifest["files"].get(dumps.ROWS)
    if not record:
        raise BackupError(f"{name} has no checksums of its rows, with which a drill compares: take another backup first")
    wanted = json.loads(catalog.vault.read(f"backups/{name}/{dumps.ROWS}", record=record))
    # what a loss right now would cost, before anything is done for the drill
    age = time.time() - moment(manifest["point"]["time"]).timestamp()
    rpo = age if rows.different(wanted, rows.totals(rows.snapshot(settings))) else 0
    newer = objects_restore.newer(catalog, name, settings.s3())
    began = time.monotonic()
    with beside.server(settings, folder) as server, beside.store(settings, folder) as bucket:
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
