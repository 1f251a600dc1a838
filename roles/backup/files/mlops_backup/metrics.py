"""What Prometheus' node_exporter (textfile collector) reads: when the last backup succeeded, how large it is, what a drill measured."""

from __future__ import annotations

HELP = {
    "mlops_backup_last_success_timestamp_seconds": "When the last backup that succeeded ended.",
    "mlops_backup_last_attempt_timestamp_seconds": "When the last backup was tried.",
    "mlops_backup_last_attempt_success": "1 if the last backup that was tried succeeded, 0 if it failed.",
    "mlops_backup_duration_seconds": "How long the last backup took.",
    "mlops_backup_size_bytes": "Size of the last backup: the database's part as it is stored, and the content of all object versions.",
    "mlops_backup_new_bytes": "What the last backup added to the destination.",
    "mlops_backup_object_versions": "Object versions in the last backup.",
    "mlops_backup_count": "Complete backups at the destination.",
    "mlops_backup_wal_last_archived_timestamp_seconds": "When the last WAL segment was archived, as seen by the last backup.",
    "mlops_backup_wal_failed_count": "How often archiving of WAL failed since the server's statistics began.",
    "mlops_drill_last_success_timestamp_seconds": "When the last drill that succeeded ended.",
    "mlops_drill_last_attempt_success": "1 if the last drill that was tried succeeded, 0 if it failed.",
    "mlops_drill_recovery_point_seconds": "Age of the newest state that could have been restored when the drill began (RPO).",
    "mlops_drill_objects_recovery_point_seconds": "Age of the last backup when the drill began, 0 if no object is newer.",
    "mlops_drill_recovery_time_seconds": "How long the drill took to restore databases and objects (RTO).",
}


def update(path, values):
    """Bring `values` into the file `path` and keep the others that are there. The collector reads the old file or the new one."""
    found = {}
    if path.exists():
        for line in path.read_text(encoding="ascii").splitlines():
            name, _unused, value = line.partition(" ")
            if name in HELP:
                found[name] = value
    found.update({name: repr(round(float(value), 3)) for name, value in values.items() if value is not None})
    text = "".join(f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{name} {found[name]}\n" for name in HELP if name in found)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="ascii")
    # it holds no secret, and node_exporter is another user
    new.chmod(0o644)
    new.replace(path)
