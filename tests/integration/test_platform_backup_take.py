"""A backup of the running platform: what is kept of it, that the second copies only what is new, and what an audit finds.

Restores, and drills of base backups, are in tests/changes/test_platform_backup.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lib import platform_proc as proc
from lib.backup_program import FILES, KEY
from lib.platform import PORTS
from lib.platform_journal import write
from lib.platform_secrets import given_secrets


@pytest.fixture(scope="module")
def place(platform):
    """The directory of the backups, after a first one; what backups leave in the data directory is removed in the end."""
    found = Path(f"{platform.data_dir}-backup")
    platform.marked = write(platform.http(), "before-the-backup", b"content" * 1000)
    platform.run("playbooks/backup.yml", extra={"backup_key": KEY}).ok()
    yield found
    shutil.rmtree(found)
    for left in ("backup", "bin/mlops_backup", "bin/ansible_collections"):
        shutil.rmtree(platform.data_dir / left)
    for left in ("etc/backup.json", "secrets/backup_key", "bin/backup.py"):
        (platform.data_dir / left).unlink()


def program(platform, command, request=None):
    """Run the program as the schedule does; return its answer."""
    words = ["env", "-i", "PATH=/usr/bin:/bin", platform.python("tools"), "-E", "-s", "-B", platform.data_dir / "bin/backup.py", command]
    done = subprocess.run(
        platform.as_service(*words), input=json.dumps(request or {}), capture_output=True, text=True, check=False, cwd="/"
    )
    return json.loads(done.stdout)


def manifests(place):
    return [json.loads(path.read_text()) for path in sorted(place.glob("*/backups/*/manifest.json"))]


def test_a_backup_is_whole_encrypted_and_its_owners_alone(platform, place):
    (manifest,) = manifests(place)
    assert manifest["encrypted"] and manifest["engine"] == "base"
    assert {"base.tar", "objects.jsonl", "state.json", "secrets.json"} == set(manifest["files"])
    assert set(manifest["schemas"]) == {"mlflow", "mlflow_auth"}
    assert manifest["objects"]["versions"] >= 1
    secrets = [value.encode() for name, value in platform.secrets().items() if not name.startswith("backup_")]
    for path in place.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path
            assert KEY.encode() not in content and b"content" * 100 not in content
    assert not (platform.data_dir / "backup" / "staging").exists()


def test_what_made_the_platform_can_be_read_from_a_backup_and_no_secret_is_in_it(platform, place):
    (folder,) = place.glob("*/backups/*")
    command = [sys.executable, FILES / "backup.py", "variables", folder]
    done = subprocess.run(command, env={**os.environ, "MLOPS_BACKUP_KEY": KEY}, capture_output=True, text=True, check=True)
    # what the tests set beside secrets, none of which is a default
    assert json.loads(done.stdout) == {name: one for name, one in platform.variables.items() if name not in given_secrets()}


def test_the_second_backup_copies_what_is_new_alone(platform, place):
    write(platform.http(), "after-the-backup", b"new" * 1000)
    found = program(platform, "backup")
    assert found["objects"]["new_versions"] == 1, found
    assert [manifest["name"] for manifest in manifests(place)][-1] == found["name"]
    assert program(platform, "preview", {"time": "backup"})["backup"] == found["name"]


def test_an_audit_names_what_does_not_match(platform, place):
    assert program(platform, "audit")["rows_without_objects"] == 0
    s3 = platform.s3()
    s3.put_object(Bucket="mlflow-artifacts", Key="artifacts/0/no-such-run/artifacts/a", Body=b"a")
    model = {"experiment_id": "0", "name": "planted", "source_run_id": platform.marked["id"]}
    model_id = platform.http().json("POST", "/api/2.0/mlflow/logged-models", model)["model"]["info"]["model_id"]
    ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    platform.http().json("PATCH", f"/api/2.0/mlflow/logged-models/{model_id}", ready)
    program(platform, "audit")
    report = json.loads((platform.data_dir / "backup" / "audit.json").read_text())
    assert "artifacts/0/no-such-run/artifacts/a" in report["objects_without_rows"]
    assert [row["name"] for row in report["rows_without_objects"]] == [model_id]
    for version in s3.list_object_versions(Bucket="mlflow-artifacts", Prefix="artifacts/0/no-such-run/")["Versions"]:
        s3.delete_object(Bucket="mlflow-artifacts", Key=version["Key"], VersionId=version["VersionId"])
    platform.http().json("DELETE", f"/api/2.0/mlflow/logged-models/{model_id}", {})


def test_two_at_once_and_check_mode(platform, place):
    before = len(manifests(place))
    with (platform.data_dir / "run" / "backup.lock").open("r+b") as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another" in program(platform, "backup")["problem"]
    run = platform.run("playbooks/restore.yml", check=True, extra={"backup_key": KEY, "backup_restore_time": "backup"}).ok()
    assert "would restore backup" in run.output
    assert len(manifests(place)) == before


def test_a_dump_is_rehearsed_in_servers_of_its_own_which_leave_nothing(platform, place):
    """Of the platform's own programs, as with PostgreSQL of the distribution, which has dumps alone."""
    run = platform.run("playbooks/backup.yml", extra={"backup_key": KEY, "backup_engine": "dump", "backup_drill_port": PORTS + 71}).ok()
    assert "engine: dump" in run.output
    found = program(platform, "drill")
    newest = manifests(place)[-1]
    assert (found["backup"], newest["engine"]) == (newest["name"], "dump"), found
    assert found["objects"]["restored"] >= 1 and found["objects"]["checked"] >= 1
    assert found["rows"]["mlflow.runs"] >= 1 and found["rto_seconds"] > 0 and found["rpo_seconds"] == 0
    place_of_it = platform.data_dir / "backup" / "drill"
    assert not place_of_it.exists() and not proc.below(place_of_it)
