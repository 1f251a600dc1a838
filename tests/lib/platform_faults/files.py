"""Faults of files: rights, owners, secrets that are missing, and what a killed run leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from lib.platform_faults.planting import fault, kept


@fault("data-directory-mode/log")
def log_directory_that_others_enter(platform, plan):
    path = platform.data_dir / "log"
    path.chmod(0o755)
    yield {}
    path.chmod(0o700)


@fault("data-directory-owner/seaweedfs")
def data_of_another_user(platform, plan):
    path = platform.data_dir / "seaweedfs"
    owner = path.stat().st_uid
    os.chown(path, 65534, -1)
    yield {}
    os.chown(path, owner, -1)


@fault("secret-readable/secrets/mlflow_admin_password")
def secret_that_others_read(platform, plan):
    path = platform.data_dir / "secrets/mlflow_admin_password"
    path.chmod(0o644)
    yield {}
    path.chmod(0o600)


@fault("secret-missing/object_store_jwt_read_key")
def secret_missing(platform, plan):
    path = platform.data_dir / "secrets/object_store_jwt_read_key"
    path.rename(platform.scratch / "moved")
    yield {}
    shutil.move(platform.scratch / "moved", path)


@fault("secret-empty/ingress_scraper_password")
def secret_empty(platform, plan):
    with kept(platform.data_dir / "secrets/ingress_scraper_password") as path:
        path.write_text("")
        yield {}


@fault("run-interrupted", "lock-left/run/backup.lock")
def left_by_a_run_that_was_killed(platform, plan):
    new, lock = platform.data_dir / "secrets/mlflow_admin_password.previous", platform.data_dir / "run/backup.lock"
    ended = subprocess.Popen(["true"])
    ended.wait()
    new.write_text("the-one-before\n")
    new.chmod(0o600)
    os.chown(new, platform.uid, -1)
    lock.write_text(json.dumps({"what": "backup", "pid": ended.pid, "since": "2026-01-01T00:00:00Z"}))
    yield {}
    new.unlink()
    lock.unlink()
