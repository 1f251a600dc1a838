"""The backup program as it is on a host, importable: its package, settings of an installation that is not there, and a versioned bucket.

The bucket is a stand-in for an S3 server: it answers the few requests that the program sends, from memory.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import sys
import threading
import types
from pathlib import Path

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error

FILES = Path(__file__).resolve().parents[2] / "roles" / "backup" / "files"
if str(FILES) not in sys.path:
    sys.path.insert(0, str(FILES))

# made here, so that no file of the tests holds it: one of them looks for a platform's secrets in the files of the whole machine
KEY = hashlib.sha256(b"a key of backups").hexdigest()
OTHER = "ff" * 32
BUCKET = "artifacts"


class Bucket:
    """One versioned bucket. `fail_after`: how many contents it gives before it is gone."""

    where = "http://s3.test"

    def __init__(self):
        self.entries, self.handler, self.number, self.fail_after, self.lock = [], None, 0, None, threading.Lock()

    @property
    def end(self):
        """What the program takes as (connection, bucket)."""
        return self, BUCKET

    def listen(self, _event, handler):
        self.handler = handler

    def put(self, key, body, **headers):
        etag = hashlib.md5(body or b"", usedforsecurity=False).hexdigest()
        with self.lock:
            self.number += 1
            found = {"key": key, "id": f"v{self.number}", "body": body, "etag": etag, "headers": headers, "number": self.number}
            self.entries.append(found)
        return found["id"]

    def newest(self, key):
        return [entry for entry in self.entries if entry["key"] == key][-1]

    def contents(self):
        """Return {key: contents from the oldest to the newest}, None for a delete marker."""
        found = {}
        for entry in self.entries:
            found.setdefault(entry["key"], []).append(entry["body"])
        return found

    def call(self, what, operation, **arguments):
        return getattr(self, operation)(what, **arguments)

    def list_object_versions(self, _what, **_arguments):
        page, kinds = {"Versions": [], "DeleteMarkers": [], "IsTruncated": False}, []
        for entry in reversed(self.entries):
            moment = datetime.datetime.fromtimestamp(entry["number"], datetime.timezone.utc)
            found = {"Key": entry["key"], "VersionId": entry["id"], "LastModified": moment, "IsLatest": entry is self.newest(entry["key"])}
            if entry["body"] is None:
                page["DeleteMarkers"].append(found)
            else:
                page["Versions"].append({**found, "Size": len(entry["body"]), "ETag": f'"{entry["etag"]}"'})
            kinds.append("Version" if entry["body"] is not None else "DeleteMarker")
        self.handler(types.SimpleNamespace(status_code=200, content="".join(f"<{kind}>" for kind in kinds).encode()), page)
        return page

    def head_bucket(self, what, **_arguments):
        if self.fail_after is not None and self.fail_after < 0:
            raise S3Error(f"cannot {what}: connection refused")
        return {}

    def _find(self, Key, VersionId=None, **_unused):
        return next(entry for entry in self.entries if entry["key"] == Key and entry["id"] == VersionId)

    def head_object(self, _what, **arguments):
        entry = self._find(**arguments)
        return {**entry["headers"], "ContentLength": len(entry["body"])}

    def get_object(self, what, Range=None, **arguments):
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                raise S3Error(f"cannot {what}: connection refused")
        body = self._find(**arguments)["body"]
        if body is LOST:
            raise S3Error(f"cannot {what}: InternalError", "InternalError")
        if Range:
            first, last = (int(word) for word in Range[6:].split("-"))
            body = body[first : last + 1]
        return {"Body": io.BytesIO(body)}

    def put_object(self, _what, Key, Body, **arguments):
        arguments.pop("ContentMD5", None)
        arguments.pop("Bucket")
        return {"VersionId": self.put(Key, Body if isinstance(Body, bytes) else Body.read(), **arguments)}

    def delete_object(self, _what, Key, VersionId=None, **_arguments):
        if VersionId:
            self.entries.remove(self._find(Key, VersionId))
            return {}
        return {"VersionId": self.put(Key, None)}


class Lost(bytes):
    """A content whose blobs are gone: its name, size and ETag are still listed."""


LOST = Lost(b"12345")


def settings(folder, **changed):
    """Return the Settings of an installation in `folder` that has no server."""
    from mlops_backup.settings import Settings

    for name in ("run", "secrets", "backup", "etc"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    found = {
        "host": "one",
        "data_dir": str(folder / "data"),
        "destination": {"kind": "directory", "path": str(folder / "backups")},
        "engine": "base",
        "retention_days": 30,
        "time": "00:00",
        "drill_weekday": "",
        "workers": 2,
        "reserve_mb": 0,
        "key_file": "",
        "secrets_in_clear": False,
        "archive": True,
        "postgresql": {"data": str(folder / "data/postgresql/18"), "major": 18, "administrator": "postgres", "accounts": [], "schemas": {}},
        "object_store": {"bucket": BUCKET, "data": str(folder / "data/seaweedfs"), "names_in_postgresql": True},
        "versions": {"mlflow": "mlflow[auth]==3.17.2\n"},
        "variables": {},
        **changed,
    }
    path = folder / "data" / "etc" / "backup.json"
    path.write_text(json.dumps(found))
    return Settings(path)


def destination(folder):
    """Make the place of the backups of an installation at a destination in `folder`."""
    from mlops_backup.store import Directory

    found = Directory(folder / "backups" / "42")
    found.prepare()
    return found


def key_file(folder, key=KEY):
    path = folder / f"key-{key[:4]}"
    path.write_text(key + "\n")
    return str(path)


def cluster(folder, identifier=42):
    """Make what names a database cluster in the data directory of settings()."""
    control = folder / "data/postgresql/18/global"
    control.mkdir(parents=True, exist_ok=True)
    (control / "pg_control").write_bytes(int(identifier).to_bytes(8, sys.byteorder) + b"rest")
    return str(identifier)


def complete(vault, name, bucket=None, **changed):
    """Make a complete backup `name` with a base backup of some bytes; return its manifest."""
    from mlops_backup import objects
    from mlops_backup.catalog import Catalog

    copy = objects.Copy(vault, (bucket or Bucket()).end, {}, 2)
    records = copy.run()
    files = {"base.tar": vault.put(f"backups/{name}/base.tar", [b"a base backup"])}
    files["objects.jsonl"] = vault.put(f"backups/{name}/objects.jsonl", objects.lines(records))
    iso = f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}Z"
    manifest = {
        "format": 1,
        "name": name,
        "installation": "42",
        "host": "one",
        "data_dir": "/one",
        "engine": "base",
        "key_id": vault.key.id if vault.key else "",
        "encrypted": bool(vault.key),
        "point": {"time": iso, "consistent": iso, "lsn": "0/3000000"},
        "database": {"first_wal": "000000010000000000000003", "last_lsn": "0/3000000", "version": 180004, "size": 1, "archive": True},
        "schemas": {},
        "versions": {"mlflow": "mlflow[auth]==3.17.2\n"},
        "objects": copy.counts,
        "files": files,
        **changed,
    }
    Catalog(vault).write(name, manifest)
    return manifest
