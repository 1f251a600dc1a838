"""Takes a backup: one recovery point of databases and objects, verified, and complete or not there at all."""

from __future__ import annotations

import json
import time

from mlops_backup import database, dumps, metrics, objects, state, wal
from mlops_backup.catalog import FORMAT, Catalog
from mlops_backup.lock import alone, now
from mlops_backup.problems import BackupError
from mlops_backup.store import explain


def backup(settings, _request):
    """Take a backup; return what it is. Raises BackupError."""
    with alone(settings, "backup") as check:
        began, place = time.time(), settings.metrics
        metrics.update(place, {"mlops_backup_last_attempt_timestamp_seconds": began, "mlops_backup_last_attempt_success": 0})
        try:
            facts = database.facts(settings)
            vault = settings.vault(facts["installation"])
            vault.store.prepare()
            # by this a restore finds the backups when the data are lost
            (settings.data / "backup" / "installation").write_text(facts["installation"] + "\n", encoding="ascii")
            manifest = _take(settings, Catalog(vault), facts, check)
        except OSError as error:
            raise BackupError(explain(error, settings.root())) from None
        catalog = Catalog(vault)
        removed = catalog.expire(settings.retention_days)
        manifest["seconds"] = round(time.time() - began, 1)
        metrics.update(place, _measured(settings, catalog, manifest, began))
    result = {key: manifest[key] for key in ("name", "installation", "engine", "point", "objects", "schemas", "encrypted", "seconds")}
    result["size_bytes"] = manifest["objects"]["bytes"] + sum(record["stored_size"] for record in manifest["files"].values())
    return {**result, "changed": True, "where": vault.store.where, "removed": removed, "secrets": "secrets.json" in manifest["files"]}


def _take(settings, catalog, facts, check):
    """Return the manifest of a new backup, once it is complete. `check` fails where the lock is lost. Raises BackupError and OSError."""
    vault, name = catalog.vault, catalog.new_name()
    interrupted = catalog.clean()
    # checked before anything is written
    known = _known(catalog)
    files, taken = _databases(settings, vault, name, facts)
    # Now the objects, and not before: an artifact is in the object store before the row that names it is committed. So whatever the rows of
    # the database's point name is in the list that is made after that point. What was written since then is one object too many, not one
    # too few.
    copy = objects.Copy(vault, settings.s3(), known, settings.workers)
    records = copy.run()
    files["objects.jsonl"] = vault.put(f"backups/{name}/objects.jsonl", objects.lines(records))
    about = {"versions": settings.versions, "variables": settings.variables, "schemas": facts["schemas"]}
    files["state.json"] = vault.put(f"backups/{name}/state.json", [json.dumps(about, sort_keys=True).encode()])
    files.update(state.put_secrets(vault, name, settings))
    # what is at the destination now, and not what was sent there
    for file, record in files.items():
        vault.check(f"backups/{name}/{file}", record)
    manifest = {
        "format": FORMAT,
        "name": name,
        "installation": facts["installation"],
        "host": settings.host,
        "data_dir": str(settings.data),
        "engine": settings.engine,
        "key_id": vault.key.id if vault.key else "",
        "encrypted": bool(vault.key),
        "point": taken.pop("point"),
        "database": {**taken, "version": facts["version"]},
        "schemas": facts["schemas"],
        "versions": settings.versions,
        "objects": {**copy.counts, "bucket": settings.object_store["bucket"]},
        "files": files,
        "interrupted_before": interrupted,
        "completed": now(),
    }
    check()
    catalog.write(name, manifest)
    return manifest


def _known(catalog):
    """Return the records of the newest backup's objects by what identifies them, {} where there is none that can be read."""
    try:
        found = catalog.objects(catalog.latest())
        return {(record["key"], record["version"], record["etag"]): record for record in found if record["sha256"]}
    except BackupError:
        # everything is read again, and what is there already is not written again
        return {}


def _databases(settings, vault, name, facts):
    """Take the databases' part; return ({file: record}, its facts with the recovery point). Raises BackupError and OSError."""
    if settings.engine == "dump":
        return dumps.take(settings, vault, name, facts)
    database.room(settings, facts["size"])
    # What was acknowledged before the base backup begins is in it, whatever is written meanwhile; it is consistent from its end on.
    began = now()
    with database.base_backup(settings) as (directory, found):
        ended = now()
        with vault.writer(f"backups/{name}/base.tar") as writer:
            database.pack(directory, writer)
            record = writer.end()
            writer.incoming.commit(f"backups/{name}/base.tar")
    point = {"time": began, "consistent": ended, "lsn": found["last_lsn"]}
    found["log"] = wal.folder(settings, facts["system"])
    return {"base.tar": record}, {**found, "archive": facts["archive"], "size": facts["size"], "point": point}


def _measured(settings, catalog, manifest, began):
    """Return the metrics of a backup that succeeded."""
    stored = sum(record["stored_size"] for record in manifest["files"].values())
    archived, failed = _archiver(settings, catalog, manifest)
    return {
        "mlops_backup_last_success_timestamp_seconds": time.time(),
        "mlops_backup_last_attempt_success": 1,
        "mlops_backup_duration_seconds": time.time() - began,
        "mlops_backup_size_bytes": stored + manifest["objects"]["bytes"],
        "mlops_backup_new_bytes": stored + manifest["objects"]["new_bytes"],
        "mlops_backup_object_versions": manifest["objects"]["versions"],
        "mlops_backup_count": len(catalog.names()),
        "mlops_backup_wal_last_archived_timestamp_seconds": archived,
        "mlops_backup_wal_failed_count": failed,
    }


def _archiver(settings, catalog, manifest):
    """Return when the last segment was archived, and how often that failed, each None where nobody knows."""
    if settings.pod and "first_wal" in manifest["database"]:
        # the server is not told of failures: who follows its log says them in its pod's
        return wal.reach(catalog.vault.store, manifest["database"]["first_wal"], wal.of(manifest))[0], None
    with database.session(settings) as cursor:
        return database.one(cursor, "SELECT extract(epoch FROM last_archived_time)::float, failed_count FROM pg_stat_archiver")
