"""Delete for good what users have deleted in MLflow, once it is old enough, with MLflow's own garbage collector.

Usage: mlflow_garbage.py look|collect DAYS DATA, with the platform's data directory as DATA (in a cluster's pod `-`), the server's
environment, a tracking server in MLFLOW_TRACKING_URI, which deletes the artifacts, and its administrator in MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD.

`mlflow gc` asks neither whether a version of a registered model was made from a deleted run, nor whether it is a deleted logged model: its
artifacts would be gone, and the version would load no more. Those stay here, and so do the experiments that they are in.

Prints one JSON object: how many runs, logged models and experiments are (or would be) deleted, how many of them stay for a registered
model, and seconds; or {"problem": TEXT} and exit code 1. In a pod that is its termination message, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
import urllib.parse
from pathlib import Path

# in place of a data directory
IN_A_POD = "-"
SECONDS_PER_DAY = 24 * 60 * 60
# what MLflow writes into a version that was deleted
DELETED_VERSION = "Deleted_Internal"
# what the journal of an upgrade says from the moment at which MLflow stands still
UPGRADING = ("stopped", "migrating", "starting", "verifying", "returning")

# as of mlops_backup/lock.py
LOCK = (1835823984, 1)
OTHERS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s AND objsubid = 2"
    " AND pid <> pg_backend_pid()"
)

# Each is (id, whether a registered model needs it). A model's artifacts are below its run's in versions that older clients have registered.
RUNS = """
SELECT run_uuid, EXISTS (SELECT 1 FROM model_versions v WHERE v.run_id = runs.run_uuid AND v.current_stage IS DISTINCT FROM :deleted)
FROM runs WHERE lifecycle_stage = 'deleted' AND deleted_time < :before ORDER BY 1
"""
LOGGED_MODELS = """
SELECT model_id, EXISTS (
  SELECT 1 FROM model_versions v WHERE v.current_stage IS DISTINCT FROM :deleted
  AND (v.source = 'models:/' || model_id OR position('/models/' || model_id || '/' IN coalesce(v.storage_location, '') || '/') > 0))
FROM logged_models WHERE lifecycle_stage = 'deleted' AND last_updated_timestamp_ms < :before ORDER BY 1
"""
# an experiment goes with everything in it, so nothing in it may stay
EXPERIMENTS = """
SELECT CAST(experiment_id AS text) FROM experiments e WHERE lifecycle_stage = 'deleted' AND last_update_time < :before
AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id AND NOT r.run_uuid = ANY(:runs))
AND NOT EXISTS (SELECT 1 FROM logged_models m WHERE m.experiment_id = e.experiment_id AND NOT m.model_id = ANY(:models)) ORDER BY 1
"""


def choose(connection, before):
    """Return ({kind: ids to delete}, {kind: how many stay}) of what was deleted before the time `before` (milliseconds since the epoch)."""
    from sqlalchemy import text

    chosen, kept = {}, {}
    for kind, query in (("runs", RUNS), ("logged_models", LOGGED_MODELS)):
        rows = connection.execute(text(query), {"before": before, "deleted": DELETED_VERSION}).all()
        chosen[kind] = [name for name, needed in rows if not needed]
        kept[kind] = len(rows) - len(chosen[kind])
    values = {"before": before, "runs": chosen["runs"], "models": chosen["logged_models"]}
    chosen["experiments"] = [name for (name,) in connection.execute(text(EXPERIMENTS), values)]
    return chosen, kept


@contextlib.contextmanager
def alone(data):
    """Meet no backup, restore or upgrade: they would find less than they have counted. Raises RuntimeError that says which.

    It is the lock of backups, which an upgrade takes too, after it has begun its journal. The kernel gives it back when its holder dies.
    """
    descriptor = os.open(Path(data, "run", "backup.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode("utf-8", "replace") or "it has just begun"
            raise RuntimeError(f"a backup, restore or deletion is under way: {holder}. Wait for its end; nothing was deleted") from None
        journal = {}
        with contextlib.suppress(FileNotFoundError):
            journal = json.loads(Path(data, "upgrade", "journal.json").read_text(encoding="utf-8"))
        if journal.get("state") in UPGRADING:
            raise RuntimeError(f"an upgrade is at {journal['state']}: end it with playbooks/upgrade.yml; nothing was deleted")
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"what": "deletion of garbage", "pid": os.getpid(), "since": since}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def answers():
    """Return where MLflow's server takes connections: one that stands still, as in an upgrade, deletes no artifact. Raises RuntimeError."""
    server = urllib.parse.urlsplit(os.environ["MLFLOW_TRACKING_URI"])
    try:
        socket.create_connection((server.hostname, server.port), 30).close()
    except OSError as error:
        raise RuntimeError(f"MLflow, which deletes artifacts, does not answer at {server.netloc} ({error}): nothing was deleted") from None


@contextlib.contextmanager
def alone_in_cluster():
    """Do what alone() does where no file is shared: hold the lock of mlops_backup/lock.py in MLflow's database, and look for it elsewhere.

    An upgrade takes backups before it touches anything. Raises RuntimeError that says which is under way.
    """
    # it is beside this program there
    import mlflow_schema

    answers()

    database = mlflow_schema.databases(dict(os.environ))[0]
    # others read who it is; PostgreSQL keeps 63 characters of it
    name = urllib.parse.quote(f"mlops_backup: deletion of garbage in {os.uname().nodename}"[:63])
    address = f"{database.url}{'&' if '?' in database.url else '?'}application_name={name}"
    with mlflow_schema.connect(database._replace(url=address)) as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK)
        held = cursor.fetchone()[0]
        cursor.execute(OTHERS, LOCK)
        if not held or cursor.fetchone()[0]:
            raise RuntimeError("a backup, restore, drill or deletion is under way in the cluster. Wait for its end; nothing was deleted")
        yield


def delete(address, chosen):
    """Delete the artifacts, then the rows, of everything in `chosen`. Raises what MLflow raises; the next call goes on."""
    # what `mlflow gc` does after it has read its options, which cannot say "these and no others" of all three kinds
    from mlflow.cli import _gc_tracking_resources
    from mlflow.tracking import _get_store

    # standard output is the answer's
    with contextlib.redirect_stdout(sys.stderr):
        _gc_tracking_resources(
            backend_store=_get_store(address, None),
            # it adds to this list
            run_ids=list(chosen["runs"]),
            experiment_ids=chosen["experiments"],
            logged_model_ids=chosen["logged_models"],
            older_than=None,
            time_delta=0,
            skip_experiments=not chosen["experiments"],
            skip_logged_models=not chosen["logged_models"],
        )


def run(command, days, data):
    """Do what `command` says; return (the answer, the exit code)."""
    began, address = time.time(), os.environ["_MLFLOW_SERVER_FILE_STORE"]
    try:
        from sqlalchemy import create_engine

        before = int((began - float(days) * SECONDS_PER_DAY) * 1000)
        collects = command == "collect"
        with (alone_in_cluster() if data == IN_A_POD else alone(data)) if collects else contextlib.nullcontext():
            engine = create_engine(address)
            with engine.connect() as connection:
                chosen, kept = choose(connection, before)
            engine.dispose()
            if collects and any(chosen.values()):
                delete(address, chosen)
    except Exception as error:
        return {"problem": " ".join(f"{type(error).__name__}: {error}".replace(address, "the database").split())}, 1
    return {**{kind: len(ids) for kind, ids in chosen.items()}, "kept": kept, "seconds": round(time.time() - began, 1)}, 0


def main():
    """Run one command; return the exit code."""
    answer, code = run(*sys.argv[1:])
    print(json.dumps(answer))
    if sys.argv[3] == IN_A_POD:
        # it has at most 4096 bytes
        text = json.dumps({name: value[:2000] if name == "problem" else value for name, value in answer.items()})
        Path(os.environ.get("TERMINATION_LOG", "/dev/termination-log")).write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
