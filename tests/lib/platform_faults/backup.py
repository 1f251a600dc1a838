"""Faults of backups: none, a failed one, a key that is missing."""

from __future__ import annotations

import contextlib
import json
import os
import time

from lib.platform_faults.planting import fault


@contextlib.contextmanager
def measured(platform, **values):
    folder = platform.data_dir / "backup"
    there = folder.exists()
    folder.mkdir(exist_ok=True)
    file = folder / "mlops_backup.prom"
    assert not file.exists()
    file.write_text("".join(f"mlops_backup_{name} {value}\n" for name, value in values.items()))
    try:
        yield
    finally:
        file.unlink()
        if not there:
            folder.rmdir()


@fault("backup-none", "service-missing/backup", "backup-destination-missing", "drill-none")
def backups_that_are_never_taken(platform, plan):
    yield {
        "backup": {"wanted": True, "place": str(platform.scratch / "nowhere"), "drills": True},
        "services": [*plan["services"], "backup"],
    }


@fault("backup-failed", "backup-old")
def backup_that_failed(platform, plan):
    place = platform.scratch / "backups"
    place.mkdir(exist_ok=True)
    os.chown(place, platform.uid, -1)
    values = {"last_success_timestamp_seconds": time.time() - 30 * 86400, "last_attempt_success": 0}
    with measured(platform, **values):
        yield {"backup": {"wanted": False, "place": str(place), "drills": True}}


@fault("backup-key-missing")
def backup_key_missing(platform, plan):
    path = platform.data_dir / "etc/backup.json"
    assert not path.exists()
    path.write_text(json.dumps({"key_file": str(platform.data_dir / "secrets/backup_key")}))
    place = platform.scratch / "backups"
    place.mkdir(exist_ok=True)
    os.chown(place, platform.uid, -1)
    with measured(platform, last_success_timestamp_seconds=time.time(), last_attempt_success=1):
        yield {"backup": {"wanted": False, "place": str(place), "drills": True}}
    path.unlink()
