"""What a restore checks: a base backup that is what its manifest says, and what is compared afterwards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from lib.backup_program import settings
from mlops_backup import addresses, audit, base_manifest, metrics, recovery, rows, state
from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory
from mlops_backup.vault import Vault

NAME = "20260101T000000Z"


# --- base backups -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A directory that looks like a base backup; the log is taken to be right."""
    monkeypatch.setattr(base_manifest.tools, "run", lambda *_words: "")
    place = tmp_path / "base"
    (place / "base" / "1").mkdir(parents=True)
    (place / "pg_wal").mkdir()
    (place / "base" / "1" / "100").write_bytes(b"rows")
    (place / "pg_wal" / "000000010000000000000003").write_bytes(b"log")
    (place / "backup_label").write_text(
        "START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nCHECKPOINT LOCATION: 0/3000080\nSTART TIMELINE: 1\n"
    )
    files = [
        {"Path": str(path.relative_to(place)), "Size": path.stat().st_size, "Checksum": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in (place / "base/1/100", place / "backup_label")
    ]
    spans = [{"Timeline": 1, "Start-LSN": "0/3000028", "End-LSN": "0/3000158"}]
    text = json.dumps({"Files": files, "WAL-Ranges": spans})[:-1] + ",\n"
    (place / "backup_manifest").write_text(text + f'"Manifest-Checksum": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n')
    return place


def test_a_base_backup_that_is_what_it_says(base, tmp_path):
    base_manifest.verify(settings(tmp_path), base)
    assert base_manifest.label(base) == {
        "first_lsn": "0/3000028",
        "first_wal": "000000010000000000000003",
        "last_lsn": "0/3000158",
        "timeline": 1,
    }


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda base: (base / "base/1/100").write_bytes(b"row"), "base/1/100 has 3 bytes instead of 4"),
        (lambda base: (base / "base/1/100").write_bytes(b"rowz"), "base/1/100 has another checksum"),
        (lambda base: (base / "base/1/100").unlink(), "base/1/100 is missing"),
        (lambda base: (base / "base/1/101").touch(), "base/1/101 is not in its manifest"),
        (lambda base: (base / "backup_manifest").write_bytes((base / "backup_manifest").read_bytes()[:-90]), "truncated or damaged"),
    ],
)
def test_a_base_backup_that_is_not(base, tmp_path, spoil, words):
    spoil(base)
    with pytest.raises(BackupError, match=words):
        base_manifest.verify(settings(tmp_path), base)


def archive(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode = kind, len(content), 0o4777
            member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            made.addfile(member, io.BytesIO(content))
    return [stream.getvalue()]


def test_a_base_backup_is_unpacked_for_its_owner_alone(tmp_path):
    recovery.unpack(archive(("./d", tarfile.DIRTYPE, b""), ("./d/f", tarfile.REGTYPE, b"content")), tmp_path / "to")
    assert (tmp_path / "to/d/f").read_bytes() == b"content"
    assert (tmp_path / "to/d/f").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize("name, kind", [("../f", tarfile.REGTYPE), ("/f", tarfile.REGTYPE), ("./link", tarfile.SYMTYPE)])
def test_what_is_no_file_of_a_cluster_is_not_unpacked(tmp_path, name, kind):
    with pytest.raises(BackupError, match="no file of a database cluster"):
        recovery.unpack(archive((name, kind, b"")), tmp_path / "to")


# --- afterwards ---------------------------------------------------------------------------------------------------------------------------


def test_addresses_of_artifacts():
    assert audit.key_of("mlflow-artifacts:/0/r/artifacts", "b") == "artifacts/0/r/artifacts"
    assert audit.key_of("s3://b/artifacts/0", "b") == "artifacts/0"
    assert audit.key_of("s3://other/artifacts/0", "b") is None
    assert audit.key_of("models:/m-1", "b") is None
    assert audit.key_of(None, "b") is None


class Rows:
    """A cursor of a database with the tables of `found`, each with the rows of the audit's query."""

    def __init__(self, found):
        self.found, self.answer = found, []

    def execute(self, query, values=None):
        tables = [values[0]] if values else [table for table, (_kind, asked) in audit.PLACES.items() if asked == query]
        self.answer = self.found.get(tables[0], [])
        if values:
            self.answer = [(tables[0] if tables[0] in self.found else None,)]

    def fetchone(self):
        return self.answer[0]

    def __iter__(self):
        return iter(self.answer)


def test_what_rows_name_and_what_of_it_must_be_there():
    """A table that is missing is passed over; a place elsewhere, and one of which nothing is wanted, need no object."""
    found = {
        "runs": [("r1", "mlflow-artifacts:/0/r1/artifacts", None), ("r2", "file:///elsewhere", None)],
        "logged_models": [("m1", "s3://b/models/m1/", ""), ("m2", "s3://b/models/m2", None), ("m3", "s3://other/m3", "")],
        "tags": [("r1", "mlflow-artifacts:/0/r1/artifacts", "tables/one.json"), ("r1", "mlflow-artifacts:/0/r1/artifacts", None)],
        "trace_tags": [("t1", "mlflow-artifacts:/0/traces/t1/artifacts", "traces.json"), ("t2", None, "traces.json")],
    }
    rows, needed = audit.named(Rows(found), "b")
    assert rows == {"artifacts/0/r1/artifacts", "models/m1", "models/m2", "artifacts/0/traces/t1/artifacts"}
    assert needed == [
        ("model", "m1", "models/m1"),
        ("logged table", "r1", "artifacts/0/r1/artifacts/tables/one.json"),
        ("trace", "t1", "artifacts/0/traces/t1/artifacts/traces.json"),
    ]


def test_rows_and_objects_are_held_against_each_other():
    named = {"artifacts/0/r1/artifacts", "artifacts/0/models/m1/artifacts"}
    needed = [("model", "m1", "artifacts/0/models/m1/artifacts"), ("model", "m2", "artifacts/0/models/m2/artifacts")]
    keys = {"artifacts/0/r1/artifacts/a/b.bin", "artifacts/0/models/m1/artifacts/MLmodel", "artifacts/0/r10/artifacts/x", "elsewhere"}
    without, unnamed = audit.compare(named, needed, keys)
    assert [found["name"] for found in without] == ["m2"]
    assert unnamed == ["artifacts/0/r10/artifacts/x", "elsewhere"]


@pytest.mark.parametrize(
    "before, after, restored, problems",
    [
        ({"a": (1, "5")}, {"a": (1, "5")}, {"a": (1, "5")}, 0),
        ({"a": (1, "5")}, {"a": (1, "5")}, {"a": (1, "6")}, 1),
        ({"a": (1, "5")}, {"a": (1, "5")}, {}, 1),
        # somebody wrote between the two looks
        ({"a": (1, "5")}, {"a": (3, "9")}, {"a": (2, "7")}, 0),
        ({"a": (1, "5")}, {"a": (3, "9")}, {"a": (4, "7")}, 1),
        ({}, {"a": (1, "5")}, {}, 0),
        ({}, {}, {"a": (1, "5")}, 1),
    ],
)
def test_restored_rows_lie_between_two_looks(before, after, restored, problems):
    assert len(rows.compare({"t": before}, {"t": after}, {"t": restored})) == problems


def test_a_table_that_is_not_there_is_named():
    assert rows.compare({"t": {}}, {"t": {}}, {}) == ["table t is not there"]


def test_metrics_keep_what_they_had_and_are_what_prometheus_reads(tmp_path):
    path = tmp_path / "backup" / "x.prom"
    metrics.update(path, {"mlops_backup_size_bytes": 5, "mlops_backup_last_attempt_success": 0})
    metrics.update(path, {"mlops_backup_last_attempt_success": 1, "mlops_backup_count": None})
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["mlops_backup_last_attempt_success 1.0", "mlops_backup_size_bytes 5.0"]
    assert sum(line.startswith("# TYPE") for line in lines) == 2


def test_secrets_are_kept_with_a_key_or_when_that_is_asked_for(tmp_path):
    found = settings(tmp_path)
    for name in ("mlflow_admin_password", "backup_key", "pgpass", "postgresql_superuser_password.previous"):
        (found.data / "secrets" / name).write_text(f"{name} text\n")
    store = Directory(tmp_path / "backups" / "42")
    store.prepare()
    assert state.put_secrets(Vault(store, None), NAME, found) == {}
    files = state.put_secrets(Vault(store, Key("ab" * 32)), NAME, found)
    assert b"mlflow_admin_password" not in (store.root / f"backups/{NAME}/secrets.json").read_bytes()
    assert state.read_secrets(Vault(store, Key("ab" * 32)), NAME, {"files": files}) == {
        "secrets/mlflow_admin_password": "mlflow_admin_password text\n"
    }
    found.secrets_in_clear = True
    assert state.put_secrets(Vault(store, None), NAME, found)
    with pytest.raises(BackupError, match="holds no secrets.*backup_restore_secrets: false"):
        state.read_secrets(Vault(store, None), NAME, {"files": {}})


class Addresses:
    """A cursor that finds `counts` rows of a table and column with addresses of a bucket."""

    def __init__(self, **counts):
        self.counts, self.answer, self.asked = counts, None, []

    def execute(self, query, values=()):
        if "information_schema" in query:
            self.answer = 1
        else:
            self.asked.append(values[0])
            self.answer = next((count for name, count in self.counts.items() if f"FROM {name} " in query), 0)

    def fetchone(self):
        return (self.answer,)


def test_addresses_of_a_bucket_of_another_name_are_refused(tmp_path):
    manifest = {"name": NAME, "objects": {"bucket": "theirs"}}
    cursor = Addresses(runs=3)
    with pytest.raises(BackupError, match="s3://theirs/.*3 of runs.artifact_uri.*object_store_bucket: theirs.*Nothing was replaced"):
        addresses.check(settings(tmp_path), manifest, cursor)
    assert set(cursor.asked) == {"s3://theirs/"}
    addresses.check(settings(tmp_path), manifest, Addresses())
    # of the same name nothing has to be looked for
    addresses.check(settings(tmp_path), {"name": NAME, "objects": {"bucket": settings(tmp_path).object_store["bucket"]}}, None)
