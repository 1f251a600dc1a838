"""A platform whose PostgreSQL gets a new major version: what is in it before, and what has to hold after."""

from __future__ import annotations

import os

from lib.platform_journal import missing, write
from lib.platform_rows import owners, rows
from lib.s3_buckets import bodies

UPGRADE = "playbooks/upgrade_postgresql.yml"
NEW = 18
BUCKET, HISTORY = "mlflow-artifacts", "artifacts/0/major/history"


def fill(platform):
    """Write runs with artifacts, which become `runs` of the platform, and an object with versions."""
    platform.runs = [write(platform.http(), f"before-{number}", os.urandom(1000 + 100_000 * number)) for number in range(3)]
    s3 = platform.s3()
    for body in (b"one", None, b"two"):
        s3.delete_object(Bucket=BUCKET, Key=HISTORY) if body is None else s3.put_object(Bucket=BUCKET, Key=HISTORY, Body=body)


def major(platform):
    """Return the major version of the server that runs."""
    with platform.database("postgres") as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10000


def upgrade(platform, new):
    """Upgrade by the playbook with the variables `new`, and assert that everything is there, in the new version."""
    expected, history = rows(platform, users=True), bodies(platform.s3(), BUCKET, HISTORY)
    platform.variables.update(new)
    run = platform.run(UPGRADE).ok()
    print(f"\nupgraded in {run.seconds:.0f} s")
    platform.wait_until_up()
    assert major(platform) == NEW
    assert rows(platform, users=True) == expected and owners(platform) == {"mlflow"}
    assert missing(platform, platform.runs) == [] and bodies(platform.s3(), BUCKET, HISTORY) == history


def finished(platform):
    """Assert that the platform works, and that nothing is left to do."""
    platform.run("playbooks/verify.yml").unchanged()
    platform.run().unchanged()
    platform.run(UPGRADE).unchanged()
