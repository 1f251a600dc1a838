"""Holds MLflow's rows and the bucket against each other: rows whose objects are missing, and objects that no row names.

A run may have no artifact at all, so a run without objects says nothing. What names objects that must be there: a model that is ready, a
registered version, a table that was logged, a trace whose spans are an object. What was in the backup is known one by one.
"""

from __future__ import annotations

import json

from ansible_collections.mlops.platform.plugins.module_utils.s3_history import newest

from mlops_backup import database
from mlops_backup.catalog import Catalog
from mlops_backup.objects_restore import listed

# of each list in the report
SHOWN = 1000
# and of those in the answer of a pod, which holds 4 KiB
FIRST = 3
PROXIED = "mlflow-artifacts:/"

# By table: what its rows are, and a query for (name, the place that it names, what must be there of it: '' anything at or below it, NULL
# nothing). Tables that this MLflow does not have are left out. 2 is MLflow's LoggedModelStatus READY.
PLACES = {
    "runs": ("run", "SELECT run_uuid, artifact_uri, NULL FROM runs"),
    "logged_models": (
        "model",
        "SELECT model_id, artifact_location, CASE WHEN status = 2 AND lifecycle_stage = 'active' THEN '' END FROM logged_models",
    ),
    "model_versions": (
        "model version",
        "SELECT name || ' ' || version, coalesce(nullif(storage_location, ''), source),"
        " CASE WHEN current_stage <> 'Deleted_Internal' THEN '' END FROM model_versions",
    ),
    "tags": (
        "logged table",
        "SELECT run_uuid, runs.artifact_uri, jsonb_array_elements(tags.value::jsonb) ->> 'path'"
        " FROM tags JOIN runs USING (run_uuid) WHERE key = 'mlflow.loggedArtifacts' AND lifecycle_stage = 'active'",
    ),
    "trace_tags": (
        "trace",
        "SELECT request_id, value, CASE WHEN NOT EXISTS (SELECT 1 FROM trace_tags AS place WHERE place.request_id = trace_tags.request_id"
        " AND place.key = 'mlflow.trace.spansLocation' AND place.value = 'TRACKING_STORE') THEN 'traces.json' END"
        " FROM trace_tags WHERE key = 'mlflow.artifactLocation'",
    ),
}


def key_of(address, bucket):
    """Return the key in `bucket` that an artifact's address stands for, or None where it is elsewhere."""
    if not address:
        return None
    if address.startswith(PROXIED):
        return "artifacts/" + address[len(PROXIED) :].strip("/")
    if address.startswith(f"s3://{bucket}/"):
        return address[len(f"s3://{bucket}/") :].strip("/")
    return None


def ancestors(key):
    """Yield `key` and every folder above it."""
    while key:
        yield key
        key = key.rpartition("/")[0]


def compare(rows, needed, keys):
    """Return (rows without objects, objects without rows), of the keys that rows name, those that they need, and those of the bucket."""
    folders = {folder for key in keys for folder in ancestors(key)}
    without = [{"kind": kind, "name": name, "key": key} for kind, name, key in needed if key not in folders]
    return without, [key for key in sorted(keys) if rows.isdisjoint(ancestors(key))]


def named(cursor, bucket):
    """Return (keys that rows name, [(what, name, key)] that must have an object)."""
    rows, needed = set(), []
    for table, (kind, query) in PLACES.items():
        if database.one(cursor, "SELECT to_regclass(%s)", table)[0]:
            cursor.execute(query)
            for name, address, below in cursor:
                if key := key_of(address, bucket):
                    rows.add(key)
                    if below is not None:
                        needed.append((kind, name, f"{key}/{below}".strip("/")))
    return rows, needed


def audit(settings, request):
    """Return the report, which is also written to backup/audit.json. `request` may name a backup to hold the bucket against too."""
    target = settings.s3()
    # The rows first: what they name was in the bucket before.
    with database.session(settings, "mlflow") as cursor:
        rows, needed = named(cursor, target[1])
    keys = {key for key, entries in listed(target).items() if newest(entries)}
    without, unnamed = compare(rows, needed, keys)
    lost = []
    if request.get("backup"):
        catalog = Catalog(settings.vault(request["installation"]))
        last = {record["key"]: record for record in catalog.objects(request["backup"])}
        lost = sorted(key for key, record in last.items() if record["sha256"] and key not in keys and not rows.isdisjoint(ancestors(key)))
    report = {
        "objects": len(keys),
        "counts": {"rows_without_objects": len(without), "objects_without_rows": len(unnamed), "objects_of_the_backup_missing": len(lost)},
        "rows_without_objects": without[:SHOWN],
        "objects_without_rows": unnamed[:SHOWN],
        "objects_of_the_backup_missing": lost[:SHOWN],
    }
    path = settings.data / "backup" / "audit.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    answer = {**report["counts"], "objects": len(keys), "report": str(path), "changed": False}
    if settings.pod:
        # its files end with the pod: the first ones in the answer, and all of them in the pod's log
        print(json.dumps(report), flush=True)
        answer["report"] = {kind: found[:FIRST] for kind, found in report.items() if isinstance(found, list) and found}
    return answer
