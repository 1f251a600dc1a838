"""The write-ahead log of a server that has no program for it: followed, archived and restored to any second.

The program is that of a cluster's pods, with the other container's script; the server, its tools and the object store are real.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lib import backup_program, postgresql_wheel
from lib.platform import USER
from lib.platform_proc import wait_until

MODULES = backup_program.FILES.parents[2] / "plugins" / "module_utils"
PASSWORDS = {"postgres": "the superuser's"}
TABLES = {"mlflow": "alembic_version", "mlflow_auth": "alembic_version_auth"}
BUCKET = "backup-follow"


@pytest.fixture(scope="module")
def server(platform):
    with postgresql_wheel.running(platform, PASSWORDS) as found:
        for name, table in TABLES.items():
            found.ask("postgres", "postgres", f"CREATE DATABASE {name}")
            found.ask("postgres", name, f"CREATE TABLE {table} (version_num text)", f"INSERT INTO {table} VALUES ('0123456789ab')")  # noqa: S608
        found.ask("postgres", "mlflow", "CREATE TABLE runs (name text, at timestamptz DEFAULT clock_timestamp())")
        yield found


@pytest.fixture(scope="module")
def bucket(platform):
    """A versioned bucket of the platform's own object store."""
    s3 = platform.s3()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="one", Body=b"an artifact")
    yield s3
    for kind in ("Versions", "DeleteMarkers"):
        for one in s3.list_object_versions(Bucket=BUCKET).get(kind, []):
            s3.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


def end(process):
    """End what was started, and whoever started it as another user: as on a node that is lost, without a word."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


class Pod:
    """The program and its settings, as a pod has them, and the other container's script."""

    def __init__(self, platform, server):
        self.platform, self.server, self.data = platform, server, server.folder / "pod"
        self.backups = server.folder / "backups"

    def make(self, connection):
        """Write what the ConfigMaps and Secrets hold."""
        shutil.copytree(backup_program.FILES, self.data / "bin", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(MODULES, self.data / "bin/ansible_collections/mlops/platform/plugins/module_utils")
        for name in ("etc", "secrets"):
            (self.data / name).mkdir()
        for script in ("tools.sh", "fetch.sh"):
            shutil.copy(backup_program.FILES / script, self.data / "etc")
        login = {"host": "127.0.0.1", "port": self.server.port, "administrator": "postgres", "major": 18, "accounts": [], "schemas": TABLES}
        about = {
            "pod": True,
            "installation": "4711",
            "host": "a pod",
            "data_dir": str(self.data),
            "destination": {"kind": "directory", "path": str(self.backups)},
            "engine": "base",
            "retention_days": 30,
            "workers": 2,
            "reserve_mb": 0,
            "key_file": str(self.data / "secrets/backup_key"),
            "secrets_in_clear": False,
            "archive": True,
            "wal_seconds": 1,
            "postgresql": {**login, "data": str(self.server.data), "run": str(self.data / "run")},
            "object_store": {
                "endpoint_url": connection["endpoint_url"],
                "region": "us-east-1",
                "bucket": BUCKET,
                "names_in_postgresql": False,
            },
            "versions": {},
            "variables": {},
        }
        (self.data / "etc/backup.json").write_text(json.dumps(about))
        given = {
            "backup_key": backup_program.KEY,
            "postgresql_superuser_password": PASSWORDS["postgres"],
            "object_store_admin_access_key": connection["access_key"],
            "object_store_admin_secret_key": connection["secret_key"],
        }
        for name, value in given.items():
            (self.data / "secrets" / name).write_text(value)
        if self.platform.root:
            for path in [self.data, *self.data.rglob("*")]:
                shutil.chown(path, USER)

    def start(self, *words, path="/usr/bin:/bin"):
        command = self.platform.as_service("env", "-i", f"PATH={path}", "LC_ALL=C.UTF-8", *words)
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, start_new_session=True, **said)

    def program(self, command):
        return [self.platform.python("tools"), "-E", "-s", "-B", self.data / "bin/backup.py", command]

    def answer(self, command, **request):
        """Run a command of the program to its end; return what it says."""
        words = self.platform.as_service("env", "-i", "PATH=/usr/bin:/bin", *self.program(command))
        done = subprocess.run(words, cwd="/", input=json.dumps(request), capture_output=True, text=True, check=False)
        found = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        assert done.returncode == 0, f"{found.get('problem')}\n{done.stderr[-3000:]}"
        return found

    @contextlib.contextmanager
    def follower(self):
        """Have the log followed."""
        process = self.start(*self.program("follow"))
        try:
            wait_until("who follows the log", lambda: (self.data / "run/follows").exists() or process.poll() is not None, 60)
            assert process.poll() is None, process.stdout.read()
            yield process
        finally:
            end(process)
            (self.data / "run/follows").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def pod(platform, server, bucket):
    found = Pod(platform, server)
    found.make(platform.connections["s3"])
    tools = found.start(
        "sh",
        found.data / "etc/tools.sh",
        found.data / "tools",
        found.data / "secrets/postgresql_superuser_password",
        path=f"{server.programs}:/usr/bin:/bin",
    )
    try:
        yield found
    finally:
        (found.data / "tools/done").touch()
        tools.communicate(timeout=30)


def runs(server):
    return [name for (name,) in server.ask("postgres", "mlflow", "SELECT name FROM runs ORDER BY at")]


def write(server, *names):
    for name in names:
        server.ask("postgres", "mlflow", f"INSERT INTO runs VALUES ('{name}')")  # noqa: S608


def restored(pod, **request):
    """Restore the databases while the server is stopped, and start it with what came of it."""
    pod.server.stop("fast")
    try:
        return pod.answer("restore-databases", **request)
    finally:
        pod.server.start()


def slot(server):
    return server.ask("postgres", "postgres", "SELECT slot_name, active FROM pg_replication_slots")


def test_each_second_comes_back_although_who_follows_is_killed(pod, server):
    with pod.follower():
        write(server, "before")
        # nothing is at the destination yet
        assert pod.answer("flush")["flushed"]
        taken = pod.answer("backup")
        assert taken["engine"] == "base" and taken["encrypted"]
        write(server, "after")
        time.sleep(1.5)
    # nobody follows: the server keeps it
    write(server, "meanwhile")
    with pod.follower():
        time.sleep(1.5)
        target = datetime.datetime.now(datetime.timezone.utc)
        time.sleep(1.5)
        server.ask("postgres", "mlflow", "DROP TABLE runs")
        flushed = pod.answer("flush")
        assert flushed["flushed"], flushed
    done = restored(pod, time=target.isoformat())
    assert runs(server) == ["before", "after", "meanwhile"]
    # what was replaced is beside it, and nothing else
    assert done["own"] and {path.name for path in server.folder.iterdir() if path.is_dir()} == {
        "pod",
        "backups",
        "data",
        Path(done["aside"]).name,
    }
    with pod.follower():
        write(server, "in the second life")
        pod.answer("flush")
    restored(pod)
    assert runs(server) == ["before", "after", "meanwhile", "in the second life"]
    names = {path.name for path in pod.backups.rglob("*.history.gz")}
    assert names == {"00000002.history.gz", "00000003.history.gz"}


def test_a_server_that_is_stopped_does_not_wait_for_who_follows(pod, server):
    with pod.follower() as process:
        write(server, "before the stop")
        # what pg_ctl says after a minute in which it does not end fails the test
        server.stop("fast")
        assert process.poll() is None
        server.start()
        wait_until("somebody to follow again", lambda: slot(server) == [("mlops_backup", True)], 60)
        assert pod.answer("flush")["flushed"]
    assert "before the stop" in runs(server)


def test_a_server_that_runs_is_not_replaced(pod, server):
    with pytest.raises(AssertionError, match="PostgreSQL still runs: stop it first"):
        pod.answer("restore-databases")
    assert runs(server)


def test_a_segment_that_is_damaged_ends_the_restore_and_replaces_nothing(pod, server):
    with pod.follower():
        pod.answer("backup")
        write(server, "in a damaged segment")
        pod.answer("flush")
    damaged = max(pod.backups.rglob("wal/*/*.gz"), key=lambda path: path.stat().st_mtime)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
    before = runs(server)
    with pytest.raises(AssertionError, match="recovery ended"):
        restored(pod)
    assert runs(server) == before
    damaged.write_bytes(content)
    restored(pod)
    assert runs(server) == before


def test_the_server_keeps_nothing_for_nobody(pod, server):
    assert slot(server) == []
    with pod.follower() as process:
        assert slot(server) == [("mlops_backup", True)]
        with pytest.raises(AssertionError, match="is active"):
            pod.answer("unfollow")
        end(process)
    wait_until("the end of its connection", lambda: slot(server) == [("mlops_backup", False)], 60)
    assert pod.answer("unfollow")["changed"] and not pod.answer("unfollow")["changed"]
    assert slot(server) == []
