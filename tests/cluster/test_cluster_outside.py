"""A platform whose PostgreSQL is somebody else's, over TLS and with an account that is no superuser: backed up, lost, restored."""

from __future__ import annotations

import os
import re

import pytest
from lib.backup_program import KEY
from lib.cluster_platform import SMALL_BACKUPS, ClusterPlatform, explained
from lib.long_tests import LONG
from lib.outside_postgresql import outside_postgresql
from lib.platform_journal import missing, write

pytestmark = LONG


@pytest.fixture(scope="module")
def outside(cluster):
    with outside_postgresql(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def hosted(kubeconfig, outside):
    """A platform on that server."""
    platform = ClusterPlatform(kubeconfig, **outside.variables, **SMALL_BACKUPS, backup_key=KEY)
    try:
        yield platform.install()
    finally:
        platform.remove()


@pytest.fixture(scope="module")
def marked(hosted):
    """Runs that were there before a backup."""
    runs = [write(hosted.http(), f"marked-{number}", os.urandom(1000 + 100_000 * number)) for number in range(3)]
    hosted.run("playbooks/backup.yml").ok()
    return runs


def test_its_accounts_and_sessions_are_what_was_asked_for(outside, hosted, marked):
    accounts = outside.ask("postgres", "SELECT rolname, rolsuper FROM pg_roles WHERE rolname IN ('dba', 'mlflow', 'seaweedfs') ORDER BY 1")
    assert accounts == [("dba", False), ("mlflow", False), ("seaweedfs", False)]
    plain = "SELECT usename FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename IN ('mlflow', 'seaweedfs') AND NOT ssl"
    assert outside.ask("postgres", plain) == []
    hosted.run().unchanged()


def test_a_drill_is_held_against_the_backup(hosted, marked):
    output = hosted.run("playbooks/drill.yml").unchanged().output
    assert int(re.search(r"\bchecked: (\d+)", output)[1]) >= len(marked)
    assert float(re.search(r"\brto_seconds: ([\d.]+)", output)[1]) > 0


def test_a_superusers_session_is_in_the_way_of_a_restore_and_nothing_is_replaced(outside, hosted, marked):
    import psycopg2

    given = {"host": outside.host, "user": "postgres", "password": outside.passwords["postgres"], "dbname": "mlflow"}
    theirs = psycopg2.connect(**given, sslmode="require")
    try:
        run = hosted.run("playbooks/restore.yml", extra={"backup_restore_confirm": hosted.namespace})
        explained(run, "is being accessed by other users", "Nothing was replaced")
    finally:
        theirs.close()
    hosted.wait_until_up()
    assert missing(hosted, marked) == []


def test_all_its_databases_are_lost_and_restored_byte_for_byte(outside, hosted, marked):
    later = write(hosted.http(), "after-the-backup", b"later")
    outside.ask("postgres", *(f"DROP DATABASE {name} WITH (FORCE)" for name in ("mlflow", "mlflow_auth", "seaweedfs")))
    hosted.run("playbooks/restore.yml", extra={"backup_restore_confirm": hosted.namespace}).ok()
    hosted.wait_until_up()
    assert missing(hosted, marked) == []
    assert missing(hosted, [later]) != []
    audit = hosted.run("playbooks/audit.yml").unchanged().output
    assert re.search(r"rows_without_objects: 0\b", audit), audit[-3000:]
    hosted.run().unchanged()
