"""Restores in place: the databases first, then the objects, each beside what is there, which is set aside and never removed here."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from mlops_backup import addresses, database, dumps, follow, objects_restore, pod, recovery, state, wal
from mlops_backup.catalog import Catalog, moment
from mlops_backup.exchange import put
from mlops_backup.lock import alone, held, look
from mlops_backup.plan import plan
from mlops_backup.problems import BackupError
from mlops_backup.store import explain, fsync_directory

# only names the socket
PORT = 1
# how long the last segment may take to the destination
FLUSH_SECONDS = 60


def flush(settings, _request):
    """Bring everything that was acknowledged into the archive, where the server still runs and archives.

    Returns {flushed, runs, archives, why}: `why` says in words why it was not flushed, and is empty where it was.
    """
    try:
        with database.session(settings) as cursor:
            if not database.archives(cursor):
                return {"flushed": False, "runs": True, "archives": False, "why": "the write-ahead log is not archived (mlops_backup)"}
            # a commit after everything else: a recovery to any time before now ends at a record, and not at the end of the log
            cursor.execute("SELECT pg_logical_emit_message(true, 'mlops_backup', 'flush')")
            end, name = database.one(cursor, "SELECT lsn::text, pg_walfile_name(lsn) FROM pg_switch_wal() AS lsn")
            deadline = time.monotonic() + FLUSH_SECONDS
            while time.monotonic() < deadline:
                if follow.has(cursor, end) if settings.pod else _archived(cursor, name):
                    return {"flushed": True, "runs": True, "archives": True, "last": name, "why": ""}
                time.sleep(0.2)
    except BackupError as error:
        return {"flushed": False, "runs": False, "archives": False, "why": str(error)}
    who = "the pod mlops-backup-log" if settings.pod else "PostgreSQL"
    why = f"{name} was not archived within {FLUSH_SECONDS} s; the log of {who} says why"
    return {"flushed": False, "runs": True, "archives": True, "why": why}


def _archived(cursor, name):
    """Return whether the server has archived the segment `name`."""
    last = database.one(cursor, "SELECT last_archived_wal FROM pg_stat_archiver")[0]
    return bool(last) and wal.comparable(last) >= wal.comparable(name)


def databases(settings, request):
    """Restore the database cluster. PostgreSQL must be stopped. Returns what was restored. Raises BackupError: nothing is replaced then."""
    began = time.monotonic()
    data = Path(settings.postgresql["data"])
    # a pod has no database to lock: there it is the volume, which each of them has
    with held(data.parent / "restore.lock", "restore") if settings.pod else alone(settings, "restore"):
        found = plan(settings, request)
        if _runs(settings, data):
            raise BackupError("PostgreSQL still runs: stop it first")
        catalog = Catalog(settings.vault(found["installation"]))
        manifest = catalog.read(found["backup"])
        secrets = state.read_secrets(catalog.vault, found["backup"], manifest) if request.get("secrets") else {}
        keep = _blobs_stay(settings, found, request)
        # in a pod beside the data: the volume's, and not the pod's
        restored = _beside(settings, data) / "restored"
        wanted = found["time"]
        target = wanted if wanted in ("", "backup") else moment(wanted).isoformat(sep=" ")
        try:
            if data.exists():
                # What a killed run left takes the room of this one. Without an old cluster it may be a whole one: made anew, not removed
                shutil.rmtree(restored, ignore_errors=True)
            database.room(settings, manifest["database"]["size"], restored.parent)
            with _draft(restored):
                server = recovery.recovered(
                    settings, catalog.vault, manifest, restored, PORT, target, archive=settings.archive and found["own"]
                )
                try:
                    if not settings.pod:
                        recovery.hold_passwords(settings, server, secrets)
                    with server.session("mlflow") as cursor:
                        addresses.check(settings, manifest, cursor)
                    if not keep:
                        recovery.forget_objects(server)
                    last, schemas = recovery.replayed(server), database.schemas(settings, host=server.run, port=server.port, password=False)
                finally:
                    server.stop()
                server.keep_archived(manifest, catalog.vault)
                # recovering takes its time, and somebody may not have known of it
                if _runs(settings, data):
                    raise BackupError("PostgreSQL was started meanwhile, by another run. Wait for that one's end, and run this again")
        except OSError as error:
            raise BackupError(explain(error, catalog.vault.store)) from None
        # only now: until here the platform could go on as it was
        _place(settings, secrets)
        aside = _replace(settings, restored, data, keep)
    return {
        **found,
        "changed": True,
        "last_transaction": last,
        "schemas": schemas,
        "blobs_kept": keep,
        "aside": str(aside),
        "secrets_restored": sorted(secrets),
        "seconds": round(time.monotonic() - began, 1),
    }


def objects(settings, request):
    """Bring the object store to what the backup, and the time to which the server was restored, say. Returns counts. Raises BackupError."""
    with alone(settings, "restore"):
        catalog = Catalog(settings.vault(request["installation"]))
        # names that came back with the server are those of its time, and right wherever the content can be read
        came_back = settings.object_store["names_in_postgresql"] and catalog.read(request["backup"])["engine"] == "base"
        when = "" if came_back else request["time"]
        return objects_restore.run(catalog, request["backup"], settings.s3(), settings.workers, when)


def whole(settings, request):
    """Restore databases and objects of a dump, nobody between. MLflow must not run. Raises BackupError."""
    with alone(settings, "restore"):
        found = dumps.replace(settings, request)
        catalog = Catalog(settings.vault(found["installation"]))
        try:
            done = objects_restore.run(catalog, found["backup"], settings.s3(), settings.workers, found["time"])
        except BackupError as error:
            # until here the platform could go on as it was
            raise BackupError(f"the databases are restored, and not all objects: {error}") from None
        return {**found, "restored": done}


@contextlib.contextmanager
def _draft(directory):
    """Take away what is made in `directory`, from its beginning on, where that fails or is ended.

    It is never the only copy of anything: all of it comes from the destination, and no client was let in.
    """
    try:
        yield
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _beside(settings, data):
    """Return the directory in which a new cluster is made and the old one set aside, on the same file system as `data`."""
    return data.parent if settings.pod else settings.data / "backup"


def _runs(settings, data):
    """Return whether a server works in `data`."""
    if settings.pod:
        return pod.reached(settings)
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except (OSError, ValueError, IndexError):
        return False


def _blobs_stay(settings, found, request):
    """Return whether the blobs that there are, are those that the restored metadata names.

    They are where this very installation's cluster is restored, and they were not lost: only what came later is in them besides. In a
    cluster the role looks, whether the volumes are older than the backup. MinIO and a server outside keep their names themselves.
    """
    if not settings.object_store["names_in_postgresql"]:
        return True
    if settings.pod:
        made = request.get("blobs") or []
        return found["own"] and bool(made) and max(made) < found["point"]["time"]
    return found["own"] and any(Path(settings.object_store["data"], "volume").glob("*.dat"))


def _place(settings, secrets):
    """Put secrets back, each as a whole."""
    for name, text in secrets.items():
        path = settings.data / name
        new = path.with_name(path.name + ".new")
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.chmod(0o600)
        new.replace(path)


def _replace(settings, restored, data, keep):
    """Put the restored cluster in its place; return the directory to which the old one, and blobs that do not belong to it, went."""
    aside = _beside(settings, data) / time.strftime("replaced-%Y%m%dT%H%M%SZ", time.gmtime())
    aside.mkdir(mode=0o700)
    (aside / "README").write_text("What a restore replaced. Remove it when you are sure that nothing of it is needed.\n", encoding="utf-8")
    blobs = [] if keep or settings.pod else [Path(settings.object_store["data"], name) for name in ("volume", "master")]
    for path in blobs:
        if path.exists():
            path.rename(aside / path.name)
    data.parent.mkdir(mode=0o700, exist_ok=True)
    put(restored, data, aside / "postgresql")
    for path in blobs:
        path.mkdir(mode=0o700, parents=True)
    for folder in (aside, data.parent, aside.parent):
        fsync_directory(folder)
    return aside


def preview(settings, request):
    """Return what a restore would do; see plan."""
    # what another one does would be found out only when MLflow stands still
    look(settings)
    return plan(settings, {**request, "live": _archives(settings)})


def _archives(settings):
    """Return the identifier of the server where it runs and archives what a restore needs before it stops, else None."""
    try:
        found = database.facts(settings)
    except BackupError:
        return None
    return found["system"] if found["archive"] else None


def listed(settings, request):
    """Return the complete backups of the installation, newest last."""
    own = request.get("installation") or wal.own(settings)
    catalog = Catalog(settings.vault(own))
    found = []
    for name in catalog.names():
        try:
            manifest = catalog.read(name)
            found.append({key: manifest[key] for key in ("name", "engine", "point", "objects", "encrypted")})
        except BackupError as error:
            found.append({"name": name, "problem": str(error)})
    return {"backups": found, "installation": own, "where": catalog.vault.store.where}
