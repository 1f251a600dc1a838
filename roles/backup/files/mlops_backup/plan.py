"""What a restore would do, decided and checked before anything is touched."""

from __future__ import annotations

import datetime
import re

from mlops_backup import wal
from mlops_backup.catalog import Catalog, moment
from mlops_backup.problems import BackupError


def plan(settings, request):
    """Return what a restore of `request` would do. Raises BackupError when it cannot, and touches nothing.

    `request`: installation, backup, time. Empty: this installation's own, its newest, and as far as the archive reaches. `live`: the
    identifier of the database cluster that runs and whose log is archived, if there is one.
    """
    own = wal.own(settings)
    catalog = Catalog(settings.vault(_installation(settings, request.get("installation") or "", own)))
    wanted = (request.get("time") or "").strip()
    target = moment(wanted) if wanted not in ("", "backup") else None
    name = request.get("backup") or ""
    if target and (not name or name == "latest"):
        name = _before(catalog, target)
    name = catalog.latest() if name in ("", "latest") else name
    manifest = catalog.read(name)
    _fits(settings, manifest)
    for file, record in manifest["files"].items():
        catalog.vault.check(f"backups/{name}/{file}", record)
    _objects(catalog, name)
    system = request.get("live")
    live = bool(system) and own == manifest["installation"] and wal.of(manifest) == wal.folder(settings, system)
    reaches = _reach(catalog, name, manifest, wanted, target, live)
    return {
        "backup": name,
        "installation": manifest["installation"],
        "own": own == manifest["installation"],
        "engine": manifest["engine"],
        "point": manifest["point"],
        "time": "backup" if manifest["engine"] == "dump" else wanted,
        "reaches": reaches,
        "objects": manifest["objects"],
        "host": manifest["host"],
        "data_dir": manifest["data_dir"],
        "secrets": "secrets.json" in manifest["files"],
        "where": catalog.vault.store.where,
    }


def _installation(settings, wanted, own):
    """Return the identifier of the installation whose backups are meant. Raises BackupError."""
    root = settings.root()
    known = root.folders()
    if wanted:
        if wanted not in known:
            raise BackupError(
                f"backup_restore_installation: {wanted} has no backups in {root.where}; there are: {', '.join(known) or 'none'}"
            )
        return wanted
    if own in known:
        return own
    raise BackupError(
        f"{root.where} holds no backup of this installation ({own or 'which has no database yet'}). "
        + (f"Of others: {', '.join(known)}; to restore one of them here, set backup_restore_installation to it" if known else "It is empty")
    )


def _before(catalog, target):
    """Return the newest backup from which `target` can be reached. Raises BackupError."""
    names = catalog.names()
    reached = [name for name in names if moment(catalog.read(name)["point"]["consistent"]) <= target]
    if not reached:
        first = catalog.read(names[0])["point"]["consistent"] if names else "never"
        raise BackupError(f"backup_restore_time: {target.isoformat()} is before the window of the backups, which begins at {first}")
    return reached[-1]


def release(text):
    """Return the release in a requirement (NAME==1.2.3) as numbers, () where there is none."""
    match = re.search(r"^[\w\[\]-]+==([\d.]+)", text, re.M)
    return tuple(int(part) for part in match[1].split(".") if part) if match else ()


def _fits(settings, manifest):
    """Refuse a backup of newer programs than ours. Raises BackupError with all that does not fit."""
    # the files of one build of PostgreSQL, of a wheel or of an image, with its libraries: neither is tried with the other's
    theirs, ours = ("a pod's PostgreSQL" if pod else "a host's PostgreSQL" for pod in (wal.of(manifest) != wal.HOST, settings.pod))
    if manifest["engine"] == "base" and (theirs != ours or not settings.postgresql["data"]):
        raise BackupError(
            f"backup {manifest['name']} is a base backup, the files of {theirs}, and is restored into such a one alone. Take a dump there"
            " (backup_engine: dump). Nothing was touched"
        )
    problems = []
    theirs, ours = manifest["database"]["version"] // 10000, settings.postgresql["major"]
    if theirs != ours and (theirs > ours or manifest["engine"] == "base"):
        remedy = (
            "make that newer first, by playbooks/upgrade_postgresql.yml"
            if manifest["engine"] == "dump"
            else "a base backup is for that version alone; take a dump there (backup_engine: dump)"
        )
        problems.append(f"it holds PostgreSQL {theirs}, and this installation has {ours}: {remedy}")
    theirs, ours = (release(versions.get("mlflow", "")) for versions in (manifest["versions"], settings.versions))
    if theirs > ours:
        text = [".".join(map(str, numbers)) for numbers in (theirs, ours)]
        problems.append(f"it is of MLflow {text[0]}, whose schema this installation's {text[1]} does not know: update the collection first")
    if problems:
        raise BackupError(f"backup {manifest['name']} does not fit: {'; '.join(problems)}. Nothing was touched")


def _objects(catalog, name):
    """See that every content that backup `name` names is there, with its size. Raises BackupError."""
    there = {file: size for file, (size, _moment) in catalog.vault.store.names("objects").items()}
    wrong = []
    for record in catalog.objects(name):
        if record["sha256"] and there.get(record["place"]) != record["stored_size"]:
            wrong.append(f"{record['key']!r} ({record['place']})")
    if wrong:
        raise BackupError(
            f"{len(wrong)} object(s) of backup {name} are missing or truncated in {catalog.vault.store.where}: {', '.join(wrong[:5])}."
            " Restore an older backup"
        )


def _reach(catalog, name, manifest, wanted, target, live):
    """Return up to when the backup can be restored, as text. Raises BackupError where `target` is later. `live`: the server still runs."""
    point = manifest["point"]
    if wanted == "backup" or manifest["engine"] == "dump":
        if target:
            raise BackupError(f"backup_restore_time: {name} is a dump, which has no other time than its own, {point['time']}")
        return point["consistent"]
    last, missing = wal.reach(catalog.vault.store, manifest["database"]["first_wal"], wal.of(manifest))
    consistent = moment(point["consistent"])
    end = max(datetime.datetime.fromtimestamp(last, datetime.timezone.utc), consistent) if last else consistent
    if missing and not target:
        raise BackupError(
            f"the archive of the write-ahead log in {catalog.vault.store.where} lacks {len(missing)} segment(s) after {name}, the"
            f" first ending in {missing[0]}: nothing that came later can be restored. Set backup_restore_time to"
            f" {end.strftime('%Y-%m-%dT%H:%M:%SZ')} or earlier, or to backup"
        )
    if live and not missing:
        # what it has not archived yet it will archive before it stops
        end = datetime.datetime.now(datetime.timezone.utc)
    if target and not consistent <= target <= end:
        raise BackupError(
            f"backup_restore_time: {target.isoformat()} is outside of what {name} and the write-ahead log reach:"
            f" from {point['consistent']} to {end.strftime('%Y-%m-%dT%H:%M:%SZ')}"
        )
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")
