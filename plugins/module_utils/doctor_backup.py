# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups: is there one, how old, did the last one succeed, can the next one be written and read again, and when is the disk full."""

from __future__ import annotations

import glob
import json
import os
import re
import time

from ansible_collections.mlops.platform.plugins.module_utils import host_checks
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotApplicable, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import read
from ansible_collections.mlops.platform.plugins.module_utils.doctor_postgresql import rows

SUCCESS, ATTEMPT, SUCCEEDED = (
    "mlops_backup_last_success_timestamp_seconds",
    "mlops_backup_last_attempt_timestamp_seconds",
    "mlops_backup_last_attempt_success",
)
DRILL, DRILLED = "mlops_drill_last_attempt_success", "mlops_drill_last_success_timestamp_seconds"
# below the data directory; what a backup or a drill measured
METRICS = os.path.join("backup", "mlops_backup.prom")
DAY = 86400


def metrics(text):
    """Return {name: value} of what a backup has measured."""
    return {name: float(value) for name, value in re.findall(r"^(mlops_\w+) (\S+)$", text or "", re.M)}


def history(place):
    """Return [(time, bytes)] of the complete backups in a directory, oldest first: what the platform's data took at each time."""
    found = []
    for path in glob.glob(os.path.join(glob.escape(place), "*", "backups", "*", "manifest.json")):
        try:
            manifest = json.loads(read(path) or "")
            database = manifest["database"].get("size") or sum(one["size"] for one in manifest["files"].values())
            moment = time.mktime(time.strptime(manifest["point"]["time"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
            found.append((moment, database + manifest["objects"]["bytes"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(found)


def look(plan):
    """Return the facts of this layer."""
    place, data = plan["backup"]["place"], os.stat(host_checks.nearest_existing(plan["data_dir"]))
    settings = read(os.path.join(plan["data_dir"], "etc", "backup.json"))
    there = bool(place) and os.path.isdir(place)
    space = os.statvfs(plan["data_dir"])
    return {
        "now": time.time(),
        "metrics": metrics(read(os.path.join(plan["data_dir"], METRICS))),
        "settings": json.loads(settings) if settings else None,
        "place": there,
        "owner": os.stat(place).st_uid if there else None,
        "service_uid": data.st_uid if plan["uid"] is None else plan["uid"],
        "history": history(place) if there else [],
        "free": space.f_bavail * space.f_frsize,
        "key": {path: bool((read(path) or "").strip()) for path in [json.loads(settings).get("key_file")] if path} if settings else {},
    }


def wanted(plan, facts):
    """Raise NotApplicable where nobody asked for backups, and none was taken."""
    if not plan["backup"]["wanted"] and not facts["metrics"]:
        raise NotApplicable(
            "no backup was ever taken, and mlops_backup is false: what this host loses is lost. Set it to true (docs/backup.md)"
        )


def recent(plan, facts):
    """There is a backup, it is recent, and the last one succeeded: what ends well has verified itself."""
    wanted(plan, facts)
    found, now = facts["metrics"], facts["now"]
    if SUCCESS not in found:
        yield error(
            "backup-none",
            "no backup of this platform has ever succeeded",
            "make backup; with mlops_backup the log of the service backup says why",
        )
    elif plan["backup"]["wanted"] and now - found[SUCCESS] > plan["backup_hours"] * 3600:
        yield error(
            "backup-old",
            f"the last good backup is {(now - found[SUCCESS]) / 3600:.0f} hours old, and doctor_backup_hours is {plan['backup_hours']}",
            "make backup; the log of the service backup says what keeps the schedule from it",
        )
    elif not plan["backup"]["wanted"] and now - found[SUCCESS] > plan["backup_days"] * DAY:
        yield warning(
            "backup-old",
            f"the last backup was taken {(now - found[SUCCESS]) / DAY:.0f} days ago, and none is scheduled",
            "make backup, or set mlops_backup: true",
        )
    if found.get(SUCCEEDED) == 0:
        yield error("backup-failed", "the last backup that was tried failed", "make backup: it says why")
    if found.get(DRILL) == 0:
        yield error("drill-failed", "the last rehearsal of a restore failed: the backup may not be one", "make drill: it says why")


def rehearsal(plan, last, now):
    """Yield what is wrong with the age of the last drill that succeeded, at `last` (seconds since the epoch, None for never)."""
    remedy = "make drill; with backup_drill_weekday the schedule does it each week"
    if last is None:
        yield warning("drill-none", "no restore of this platform was ever rehearsed: nobody knows that its backups are any good", remedy)
    elif now - last > plan["drill_days"] * DAY:
        yield warning(
            "drill-old",
            f"the last rehearsal of a restore was {(now - last) / DAY:.0f} days ago, and doctor_drill_days is {plan['drill_days']}",
            remedy,
        )


def rehearsed(plan, facts):
    """Where backups are taken, a restore was rehearsed, and not too long ago."""
    if not plan["backup"]["wanted"]:
        raise NotApplicable("mlops_backup is false: there is no schedule whose backups are to be relied on")
    yield from rehearsal(plan, facts["metrics"].get(DRILLED), facts["now"])


def archive(plan, facts):
    """The write-ahead log arrives at the backups."""
    if not plan["backup"]["wanted"]:
        raise NotApplicable("mlops_backup is false: no write-ahead log is archived")
    archived, failed = rows(facts, "archiver")[0]
    if failed > archived:
        yield error(
            "wal-archive-failing",
            "PostgreSQL cannot archive its write-ahead log: it keeps all of it, until the disk is full",
            "its log says why; make the destination (mlops_backup_directory, or the bucket) writable",
            subject="archive_command",
        )


def destination(plan, facts):
    """The next backup can be written, and what is encrypted can be read."""
    wanted(plan, facts)
    place = plan["backup"]["place"]
    if place and not facts["place"]:
        remedy = f"mount it, or correct mlops_backup_directory and run {UP}"
        # who takes none any more may have deleted the old ones, and needs a way to say so
        forget = f"; if they are gone for good, delete {os.path.join(plan['data_dir'], METRICS)}, which tells of them"
        make = error if plan["backup"]["wanted"] else warning
        yield make(
            "backup-destination-missing",
            f"the directory of the backups, {place}, is not there",
            remedy if plan["backup"]["wanted"] else remedy + forget,
        )
    elif place and facts["owner"] not in (facts["service_uid"], None):
        yield error(
            "backup-destination-owner",
            f"{place} belongs to user id {facts['owner']}: the services cannot write there",
            f"chown {plan['user']}: {place}",
        )
    for path, there in facts["key"].items():
        if not there:
            yield error(
                "backup-key-missing",
                f"the backups are encrypted, and their key {path} is missing",
                f"give {UP} the same backup_key; without it no backup can be read",
            )


def forecast(plan, facts):
    """When the disk is full, if the platform's data go on growing as they did between the backups."""
    points = facts["history"]
    if len(points) < 2 or points[-1][0] - points[0][0] < DAY:
        raise NotApplicable("it takes two backups in a directory, a day or more apart, to tell how fast the data grow")
    rate = (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
    left = facts["free"] - plan["reserve_mb"] * 1024 * 1024
    if rate > 0 and left / rate < plan["forecast_days"] * DAY:
        yield warning(
            "disk-forecast",
            f"at {rate * DAY / 2**20:.0f} MiB a day, as between the last {len(points)} backups, {plan['data_dir']} has room for"
            f" {max(0, left / rate / DAY):.0f} more days",
            "enlarge the file system; or keep less: object_store_noncurrent_days, mlflow gc",
        )


CHECKS = [
    Check("backup", "backup", recent),
    Check("drill", "backup", rehearsed),
    Check("backup-destination", "backup", destination),
    Check("backup-archive", "backup", archive, "database"),
    Check("disk-forecast", "backup", forecast),
]
