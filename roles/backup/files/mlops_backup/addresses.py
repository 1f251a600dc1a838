"""Rows that name the bucket itself (s3://BUCKET/...), and so are right only where the bucket has the same name."""

from __future__ import annotations

from mlops_backup import database
from mlops_backup.problems import BackupError

# where MLflow keeps addresses of artifacts; a table or column that this MLflow does not have is left out
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
PRESENT = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s AND column_name = %s"


def check(settings, manifest, cursor):
    """Refuse a restore after which addresses would lead to a bucket of another name. Raises BackupError.

    Takes the backup's manifest, and a cursor in the restored database of MLflow, which has not taken the old one's place yet.
    """
    theirs, ours = manifest["objects"].get("bucket", ""), settings.object_store["bucket"]
    if theirs in ("", ours):
        return
    found = []
    for table, column in COLUMNS:
        if database.one(cursor, PRESENT, table, column)[0]:
            # both names are of COLUMNS
            count = database.one(cursor, f"SELECT count(*) FROM {table} WHERE starts_with({column}, %s)", f"s3://{theirs}/")[0]  # noqa: S608
            if count:
                found.append(f"{count} of {table}.{column}")
    if found:
        raise BackupError(
            f"backup {manifest['name']} has addresses that begin with s3://{theirs}/ ({', '.join(found)}), and the bucket here is"
            f" {ours}: nobody would find what they name. Restore it into an installation with object_store_bucket: {theirs}."
            " Nothing was replaced"
        )
