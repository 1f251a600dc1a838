"""playbooks/migrate_object_store.yml: from the platform's SeaweedFS to a server outside, the old one removed, and back to a new one."""

from __future__ import annotations

import datetime
import json
import secrets
import shutil
import stat
import time
import uuid

import pytest
from lib import platform_clients as clients
from lib.long_tests import LONG
from lib.s3_buckets import bodies, versions
from lib.s3_second import second_server

BUCKET = "mlflow-artifacts"
PLAYBOOK = "playbooks/migrate_object_store.yml"
KEY = "artifacts/0/migration/history"


@pytest.fixture(scope="module")
def outside(platform, tmp_path_factory):
    """The connection of a server outside, and the variables that name it."""
    mlflow = {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)}
    with second_server(platform.program("seaweedfs", "weed"), tmp_path_factory.mktemp("outside"), user=mlflow) as connection:
        variables = {
            "object_store_engine": "external",
            "object_store_external_url": connection["endpoint_url"],
            "object_store_admin_access_key": connection["access_key"],
            "object_store_admin_secret_key": connection["secret_key"],
            "object_store_mlflow_access_key": mlflow["access_key"],
            "object_store_mlflow_secret_key": mlflow["secret_key"],
        }
        yield connection, variables


@pytest.fixture(scope="module", autouse=True)
def as_it_was(platform):
    """The platform has its own object store again after this file, whatever failed."""
    before = settings(platform)
    yield
    if settings(platform) != before:
        platform.run(PLAYBOOK).ok()


def settings(platform):
    """MLflow's address of its object store."""
    lines = (platform.data_dir / "etc/mlflow.env").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("MLFLOW_S3_ENDPOINT_URL="))


def upload(platform, name, body):
    """Store an artifact through MLflow."""
    status, _headers, answer = platform.http()("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/migration/{name}", body)
    assert status == 200, answer


def download(platform, name):
    status, _headers, answer = platform.http()("GET", f"/api/2.0/mlflow-artifacts/artifacts/0/migration/{name}")
    assert status == 200, answer
    return answer


@LONG
def test_there_and_back(platform, outside):
    connection, variables = outside
    inside, there = platform.s3(), clients.s3(connection)
    old_url = platform.connections["s3"]["endpoint_url"]
    for body in (b"one", None, b"two", b"three"):
        inside.delete_object(Bucket=BUCKET, Key=KEY) if body is None else inside.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    model = uuid.uuid4().bytes * 1000
    upload(platform, "model.bin", model)
    history = bodies(inside, BUCKET, KEY)

    refused_by_site(platform, variables)
    refused_in_one_message(platform, variables)
    given_back_when_the_end_fails(platform, variables, there, old_url)
    assert download(platform, "model.bin") == model

    platform.run(PLAYBOOK, extra=variables, check=True).ok()
    assert settings(platform) == old_url
    platform.run(PLAYBOOK, extra=variables).ok()
    assert settings(platform) == connection["endpoint_url"]
    assert bodies(there, BUCKET, KEY) == history == ([b"three", b"two", b"one"], 1)
    # the variables of before would take it back to the old store, without what comes from now on
    assert "object_store_accept_another" in platform.run().failed[-1]
    # the old one is as it was, and serves
    assert bodies(inside, BUCKET, KEY) == history
    assert download(platform, "model.bin") == model
    upload(platform, "later.bin", b"later")
    assert "artifacts/0/migration/later.bin" in [entry["Key"] for entry in there.list_objects_v2(Bucket=BUCKET)["Contents"]]
    kept_private(platform)

    removed_when_told(platform, variables, old_url)
    assert download(platform, "model.bin") == model
    kept_by_backups(platform, variables, there, model)

    # back, to a SeaweedFS that is made anew
    platform.run(PLAYBOOK).ok()
    assert settings(platform) == old_url
    again = platform.s3()
    assert bodies(again, BUCKET, KEY) == history
    assert download(platform, "model.bin") == model and download(platform, "later.bin") == b"later"
    platform.run().unchanged()


def kept_by_backups(platform, variables, there, model):
    """A backup with the objects at a server outside is rehearsed, what is lost comes back, and objects go back with the rows."""
    backups = {**variables, "mlops_backup": True, "mlops_backup_wal_seconds": 5, "backup_restore_confirm": str(platform.data_dir)}
    try:
        platform.run("playbooks/backup.yml", extra={**variables, "backup_engine": "dump"}).ok()
        assert "rto_seconds" in platform.run("playbooks/drill.yml", extra={**variables, "backup_engine": "dump"}).ok().output
        assert not [one["Name"] for one in there.list_buckets()["Buckets"] if one["Name"].startswith(f"{BUCKET}-")]
        platform.run(extra=backups).ok()
        platform.run("playbooks/backup.yml", extra=backups).ok()
        as_it_was_at(platform, there, backups)
        # the newest state, with versions lost for good: nothing that was written since is covered
        upload(platform, "new.bin", b"newest")
        for name in ("model.bin", "later.bin"):
            lose(there, f"artifacts/0/migration/{name}")
        platform.run("playbooks/restore.yml", extra=backups).ok()
        assert platform.answers()
        assert download(platform, "model.bin") == model and download(platform, "later.bin") == b"later"
        assert download(platform, "new.bin") == b"newest"
        platform.run(extra=variables).ok()
    finally:
        for left in (f"{platform.data_dir}-backup", platform.data_dir / "backup"):
            shutil.rmtree(left, ignore_errors=True)
        (platform.data_dir / "etc/backup.json").unlink(missing_ok=True)


def as_it_was_at(platform, there, backups):
    """A time between two changes, with what only the server outside has of it; and then the backup's own."""
    model, history = download(platform, "model.bin"), bodies(there, BUCKET, KEY)
    upload(platform, "model.bin", b"as it was")
    upload(platform, "new.bin", b"new")
    # whole seconds are what a server says of its versions
    time.sleep(1.5)
    then = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(1.5)
    upload(platform, "model.bin", b"too late")
    upload(platform, "new.bin", b"too late")
    there.delete_object(Bucket=BUCKET, Key="artifacts/0/migration/later.bin")
    platform.run("playbooks/restore.yml", extra={**backups, "backup_restore_time": then.isoformat()}).ok()
    assert [download(platform, f"{name}.bin") for name in ("model", "new", "later")] == [b"as it was", b"new", b"later"]
    platform.run("playbooks/restore.yml", extra={**backups, "backup_restore_time": "backup"}).ok()
    assert [download(platform, f"{name}.bin") for name in ("model", "later")] == [model, b"later"]
    assert bodies(there, BUCKET, KEY) == history


def refused_by_site(platform, variables):
    """Another server, or another bucket, would leave the artifacts behind."""
    for given in (variables, {"object_store_bucket": "another-bucket"}):
        run = platform.run(extra=given)
        assert run.code != 0 and platform.answers()
        assert "playbooks/migrate_object_store.yml" in run.failed[-1] and "nothing was changed" in run.failed[-1], run.failed[-1]


def refused_in_one_message(platform, variables):
    wrong = {
        "object_store_migration_source_url": "http://127.0.0.1:1",
        "object_store_migration_source_access_key": "an-access-key",
        "object_store_migration_source_secret_key": "a-secret-key",
    }
    run = platform.run(PLAYBOOK, extra={**variables, "object_store_external_url": "http://127.0.0.1:2", **wrong})
    assert run.code != 0 and platform.answers()
    message = run.failed[-1]
    for words in ("the source: ", "the target: ", "which is neither source nor target", "nothing was changed"):
        assert words in message, message


def given_back_when_the_end_fails(platform, variables, there, old_url):
    """An object of others in the target: nothing is overwritten, and MLflow goes on as before."""
    there.create_bucket(Bucket=BUCKET)
    there.put_object(Bucket=BUCKET, Key="theirs", Body=b"theirs")
    run = platform.run(PLAYBOOK, extra=variables)
    assert run.code != 0
    message = run.failed[-1]
    assert "theirs: not at the source" in message and "MLflow runs on the old store again" in message, message
    assert settings(platform) == old_url and platform.answers()
    lose(there, "theirs")


def lose(there, key):
    """Remove all versions and delete markers of a key: of a marker that stays it would be one that somebody has deleted."""
    for entry in sum(versions(there, BUCKET, key), []):
        there.delete_object(Bucket=BUCKET, Key=key, VersionId=entry["VersionId"])


def kept_private(platform):
    """What the migration keeps is readable by nobody else."""
    folder = platform.data_dir / "object_store_migration"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.suffix for path in folder.iterdir()} >= {".json", ".jsonl"}
    for path in folder.glob("*.json*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    record = [json.loads(line) for line in next(folder.glob("*.jsonl")).read_text(encoding="utf-8").splitlines()]
    # noted once when it was copied, and once when it was compared
    assert [line["verified"] for line in record if line.get("key") == KEY].count(True) == 3


def removed_when_told(platform, variables, old_url):
    told = {**variables, "object_store_migration_remove_old": True}
    run = platform.run(PLAYBOOK, extra={**told, "object_store_migration_confirm": "yes"})
    assert run.code != 0 and "not confirmed: nothing was removed" in run.failed[-1]
    assert (platform.data_dir / "seaweedfs").exists() and platform.service("seaweedfs")
    platform.run(PLAYBOOK, extra={**told, "object_store_migration_confirm": old_url}).ok()
    assert not (platform.data_dir / "seaweedfs").exists()
    assert not [process for process in platform.processes().values() if process.name == "weed"]
    assert not platform.sockets()
