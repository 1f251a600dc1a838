"""PostgreSQL 17 to 18 in a cluster: refused without the playbook, left as it was where the copy fails, whole where it does not.

It needs an image of PostgreSQL 18: `python tests/tiers/cluster_images.py --load postgres18`.
"""

from __future__ import annotations

import os

import pytest
from lib.cluster_platform import ClusterPlatform, explained
from lib.long_tests import LONG
from lib.platform_journal import missing, write
from lib.platform_rows import owners, rows
from lib.s3_buckets import bodies

# an installation and three runs of the playbook
pytestmark = LONG

UPGRADE = "playbooks/upgrade_postgresql.yml"
NEW = {"postgresql_version": 18}
BUCKET, HISTORY = "mlflow-artifacts", "artifacts/0/major/history"


@pytest.fixture(scope="module")
def old(kubeconfig):
    """A platform of the roles' default, 17, with data."""
    platform = ClusterPlatform.with_secrets(kubeconfig, os.environ.get("MLOPS_TEST_NAMESPACE"))
    try:
        platform.install()
        platform.runs = [write(platform.http(), f"before-{number}", os.urandom(1000 + 100_000 * number)) for number in range(3)]
        s3 = platform.s3()
        for body in (b"one", None, b"two"):
            s3.delete_object(Bucket=BUCKET, Key=HISTORY) if body is None else s3.put_object(Bucket=BUCKET, Key=HISTORY, Body=body)
        yield platform
    finally:
        if os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_NAMESPACE={platform.namespace}")
        else:
            platform.remove()


def major(platform):
    with platform.database("postgres") as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10000


def test_another_version_is_refused_and_the_playbook_named(old):
    before = old.lives()
    explained(old.run(extra=NEW), "run playbooks/upgrade_postgresql.yml with the same variables")
    explained(old.run(UPGRADE, extra={"postgresql_version": 16}), "PostgreSQL has no way down")
    assert "Predict the copy" in old.run(UPGRADE, check=True, extra=NEW).ok().changed
    assert old.lives() == before and old.answers()


def test_where_the_copy_fails_the_old_server_goes_on(old):
    missing_image = {**NEW, "postgresql_image": "docker.io/library/postgres:there-is-none"}
    explained(old.run(UPGRADE, extra=missing_image), "data of PostgreSQL 17 are as they were")
    old.wait_until_up()
    assert major(old) == 17 and missing(old, old.runs) == []


def test_everything_is_there_after_the_upgrade(old):
    expected, history = rows(old, users=True), bodies(old.s3(), BUCKET, HISTORY)
    old.variables.update(NEW)
    run = old.run(UPGRADE).ok()
    print(f"\nupgraded in {run.seconds:.0f} s")
    old.wait_until_up()
    assert major(old) == 18
    assert rows(old, users=True) == expected and owners(old) == {"mlflow"}
    assert missing(old, old.runs) == [] and bodies(old.s3(), BUCKET, HISTORY) == history
    old.run("playbooks/verify.yml").unchanged()
    old.run().unchanged()
    # nothing more to do
    old.run(UPGRADE).unchanged()
    assert missing(old, [write(old.http(), "after", b"after")]) == []
