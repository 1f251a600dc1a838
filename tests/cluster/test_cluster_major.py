"""PostgreSQL 17 to 18 in a cluster: refused without the playbook, left as it was where the copy fails, whole where it does not.

It needs an image of PostgreSQL 18: `python tests/tiers/cluster_images.py --load postgres18`.
"""

from __future__ import annotations

import os

import pytest
from lib.cluster_platform import ClusterPlatform, explained
from lib.long_tests import LONG
from lib.platform_journal import missing, write
from lib.platform_major import UPGRADE, fill, finished, major, upgrade

# an installation and three runs of the playbook
pytestmark = LONG

NEW = {"postgresql_version": 18}


@pytest.fixture(scope="module")
def old(kubeconfig):
    """A platform of the roles' default, 17, with data."""
    platform = ClusterPlatform.with_secrets(kubeconfig, os.environ.get("MLOPS_TEST_NAMESPACE"))
    try:
        platform.install()
        fill(platform)
        yield platform
    finally:
        if os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_NAMESPACE={platform.namespace}")
        else:
            platform.remove()


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
    upgrade(old, NEW)
    finished(old)
    assert missing(old, [write(old.http(), "after", b"after")]) == []
