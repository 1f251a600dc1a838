"""Rehearses a restore beside the running platform: with databases and an object store of its own, which it compares and removes."""

from __future__ import annotations

import shutil
import time

from mlops_backup import beside, database, drill_dump, metrics, objects_restore, recovery, rows, wal
from mlops_backup.catalog import Catalog, moment
from mlops_backup.lock import alone
from mlops_backup.plan import plan
from mlops_backup.problems import BackupError
from mlops_backup.store import explain

# only names the socket
PORT = 2
# the databases, in a dump's case beside the dump and the log of loading it
COPIES = {"base": 1, "dump": 3}


def drill(settings, request):
    """Restore the newest backup beside the platform, compare, and remove it; return what was measured. Raises BackupError if it differs."""
    place = settings.metrics
    with alone(settings, "drill"):
        metrics.update(place, {"mlops_drill_last_attempt_success": 0})
        try:
            result = _drill(settings, plan(settings, {**request, "time": ""}))
        except OSError as error:
            raise BackupError(explain(error, settings.root())) from None
        finally:
            shutil.rmtree(settings.data / "backup" / "drill", ignore_errors=True)
        metrics.update(
            place,
            {
                "mlops_drill_last_attempt_success": 1,
                "mlops_drill_last_success_timestamp_seconds": time.time(),
                "mlops_drill_recovery_point_seconds": result["rpo_seconds"],
                "mlops_drill_objects_recovery_point_seconds": result["rpo_objects_seconds"],
                "mlops_drill_recovery_time_seconds": result["rto_seconds"],
            },
        )
    return result


def _drill(settings, found):
    """Return what was measured and compared. Raises BackupError."""
    catalog = Catalog(settings.vault(found["installation"]))
    manifest = catalog.read(found["backup"])
    folder = settings.data / "backup" / "drill"
    shutil.rmtree(folder, ignore_errors=True)
    # objects that go into a bucket of the platform's server take no room here
    database.room(
        settings,
        manifest["database"]["size"] * COPIES[manifest["engine"]]
        + (2 * manifest["objects"]["bytes"] if beside.has_own_store(settings) else 0),
    )
    folder.mkdir(mode=0o700)
    if manifest["engine"] == "dump":
        return drill_dump.rehearse(settings, catalog, manifest, folder)
    # What a loss right now would cost, before anything is done for the drill.
    rpo = time.time() - _reached(settings, catalog, manifest)
    newer = objects_restore.newer(catalog, found["backup"], settings.s3())
    rpo_objects = time.time() - moment(manifest["point"]["time"]).timestamp() if newer else 0
    before = rows.snapshot(settings)
    point = _mark(settings)
    after = rows.snapshot(settings)
    began = time.monotonic()
    # there and no further: users go on, and what they write since then is archived meanwhile
    server = recovery.recovered(settings, catalog.vault, manifest, folder / "postgresql", PORT, position=point)
    try:
        recovery.forget_objects(server)
        with beside.store(settings, folder) as store:
            counts = objects_restore.run(catalog, found["backup"], store.target, settings.workers)
            rto = time.monotonic() - began
            # every byte once more, as a reader gets it from the restored store
            checked = objects_restore.run(catalog, found["backup"], store.target, settings.workers)
        restored = rows.snapshot(settings, host=server.run, port=server.port, password=False)
    finally:
        server.stop()
    different = rows.compare(before, after, restored)
    if different or checked["written"] or checked["unreadable"]:
        raise BackupError(
            f"what was restored from {found['backup']} is not what the platform has: {'; '.join(different[:5]) or 'objects'};"
            f" {checked['unreadable']} objects unreadable, {checked['written']} missing"
        )
    return {
        "backup": found["backup"],
        "rpo_seconds": round(rpo, 1),
        "rpo_objects_seconds": round(rpo_objects, 1),
        "rto_seconds": round(rto, 1),
        "rows": rows.counts(restored),
        "objects": {"restored": counts["written"], "bytes": counts["written_bytes"], "checked": checked["checked"], "newer": newer},
        "changed": False,
    }


def _reached(settings, catalog, manifest):
    """Return the time (seconds since the epoch) up to which everything can be restored."""
    with database.session(settings) as cursor:
        idle = database.one(cursor, "SELECT pg_current_wal_lsn() <= %s::pg_lsn", manifest["database"]["last_lsn"])[0]
    if idle:
        # nothing was written since: there is nothing to lose
        return time.time()
    last, _missing = wal.reach(catalog.vault.store, manifest["database"]["first_wal"], wal.of(manifest))
    return last or moment(manifest["point"]["time"]).timestamp()


def _mark(settings):
    """Have everything archived that is committed now, and return that position in the log. Raises BackupError where it does not come."""
    from mlops_backup.restore import flush

    with database.session(settings) as cursor:
        position = database.one(cursor, "SELECT pg_current_wal_insert_lsn()::text")[0]
    # it writes a record of its own, at which a recovery to this position ends
    found = flush(settings, {})
    if not found["flushed"]:
        raise BackupError(f"a drill compares with what runs, and needs its write-ahead log in the archive: {found['why']}")
    return position
