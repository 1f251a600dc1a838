"""An upgrade of MLflow whose way back is a dump: on a host with the distribution's PostgreSQL, of which there are no base backups."""

from __future__ import annotations

import os

import pytest
from lib.long_tests import LONG
from lib.platform_upgrade import NEW, OLD, old_on_host

# an installation with two MLflows and two upgrades
pytestmark = [LONG, pytest.mark.skipif(os.geteuid() != 0, reason="only root installs the distribution's PostgreSQL")]


@pytest.fixture(scope="module")
def old():
    """A platform of its own with the older MLflow, PostgreSQL of the distribution, and data."""
    with old_on_host("mlops-dump", postgresql_engine="package") as found:
        yield found


def test_what_fails_after_the_migration_goes_back_to_the_dump(old):
    run = old.upgrade(upgrade_fail_at="verify")
    assert run.code != 0
    assert f"MLflow {OLD} runs again with databases and objects of the backup" in run.failed[-1]
    assert old.journal()["state"] == "returned"
    old.complete(OLD)


def test_it_is_upgraded_and_taken_back_by_hand(old):
    old.upgrade().ok()
    assert old.journal()["state"] == "done"
    old.complete(NEW)
    old.platform.run("playbooks/upgrade.yml", extra={"upgrade_back": True, "backup_restore_confirm": str(old.platform.data_dir)}).ok()
    old.complete(OLD)
