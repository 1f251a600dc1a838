"""Every second of a platform in a cluster: the write-ahead log is followed, and with a base backup any time can be restored."""

from __future__ import annotations

import datetime
import re
import time

import pytest
from lib.backup_program import KEY
from lib.cluster_platform import SMALL_BACKUPS, explained
from lib.long_tests import LONG
from lib.platform_journal import Journal, missing, write
from lib.platform_proc import wait_until
from lib.s3_buckets import bodies
from test_cluster_backup import BUCKET, OBJECT, leftovers, lose

# each restore takes three to four minutes
pytestmark = LONG

WAL_SECONDS = 5
VARIABLES = {**SMALL_BACKUPS, "backup_key": KEY, "mlops_backup": True, "mlops_backup_wal_seconds": WAL_SECONDS}
LOG = "mlops-backup-log"


@pytest.fixture(scope="module")
def followed(platform):
    """The platform with its log followed, and a backup from whose end on every second can be restored."""
    platform.variables.update(VARIABLES)
    assert platform.run(check=True, diff=True).ok().changed
    platform.run().ok()
    platform.marked = [write(platform.http(), "marked", b"before the backup")]
    s3 = platform.s3()
    for body in (b"one", b"two", None, b"three"):
        s3.delete_object(Bucket=BUCKET, Key=OBJECT) if body is None else s3.put_object(Bucket=BUCKET, Key=OBJECT, Body=body)
    platform.run("playbooks/backup.yml").ok()
    yield platform
    for variable in VARIABLES:
        platform.variables.pop(variable)
    platform.run().ok()
    platform.cluster.core.delete_namespaced_persistent_volume_claim("mlops-backup", platform.namespace)


def slots(platform):
    with platform.database("postgres") as cursor:
        cursor.execute("SELECT slot_name, active FROM pg_replication_slots")
        return dict(cursor.fetchall())


def restored(platform, **extra):
    began = time.monotonic()
    platform.run("playbooks/restore.yml", extra={"backup_restore_confirm": platform.namespace, **extra}).ok()
    platform.wait_until_up()
    return (time.monotonic() - began) / 60


def test_it_is_followed_and_the_second_run_changes_nothing(followed):
    assert slots(followed) == {"mlops_backup": True}
    before = followed.lives()
    followed.run().unchanged()
    followed.run(check=True, diff=True).unchanged()
    assert followed.lives() == before and leftovers(followed) == []


def test_a_dropped_table_is_back_as_it_was_the_second_before(followed):
    history = bodies(followed.s3(), BUCKET, OBJECT)
    with Journal(followed, pause=0.5) as journal:
        time.sleep(5)
    time.sleep(1.5)
    target = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    time.sleep(1.5)
    with followed.database("mlflow") as cursor:
        cursor.execute("DROP TABLE params")
    assert followed.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={journal.runs[-1]['id']}")[0] != 200
    minutes = restored(followed, backup_restore_time=target.isoformat())
    assert missing(followed, followed.marked + journal.runs) == []
    assert bodies(followed.s3(), BUCKET, OBJECT) == history
    assert slots(followed) == {"mlops_backup": True} and leftovers(followed) == []
    followed.run().unchanged()
    print(f"\n{len(journal.runs)} runs; back in {minutes:.1f} minutes")


def test_the_volume_is_lost_under_load_and_all_but_the_last_seconds_come_back(followed):
    with Journal(followed, pause=0.2) as journal:
        time.sleep(20)
        lost_at = time.time()
        lose(followed, "mlops-postgresql")
    # a server that is made anew archives too, and is another one
    minutes = restored(followed)
    assert missing(followed, followed.marked + journal.before(lost_at - 2 * WAL_SECONDS - 5)) == []
    there = [run for run in journal.runs if followed.http()("GET", f"/api/2.0/mlflow/runs/get?run_id={run['id']}")[0] == 200]
    last = max(run["acknowledged"] for run in journal.runs)
    audit = followed.run("playbooks/audit.yml").unchanged().output
    assert re.search(r"rows_without_objects: 0\b", audit), audit[-3000:]
    print(f"\nlost: rows of the last {last - max(run['acknowledged'] for run in there):.1f} s; back in {minutes:.1f} minutes")


def test_who_follows_is_killed_again_and_again_and_nothing_is_missing(followed):
    with Journal(followed, pause=0.2) as journal:
        for _turn in range(4):
            time.sleep(WAL_SECONDS + 1)
            (pod,) = followed.cluster.core.list_namespaced_pod(
                followed.namespace, label_selector="app.kubernetes.io/component=backup-log"
            ).items
            followed.cluster.core.delete_namespaced_pod(pod.metadata.name, followed.namespace, grace_period_seconds=0)
    wait_until("somebody to follow the log", lambda: slots(followed) == {"mlops_backup": True}, 120)
    restored(followed)
    assert missing(followed, journal.runs) == []


def test_a_drill_restores_the_log_too_and_finds_no_difference(followed):
    before = followed.lives()
    write(followed.http(), "after-the-backup", b"later")
    output = followed.run("playbooks/drill.yml").unchanged().output
    assert float(re.search(r"\brto_seconds: ([\d.]+)", output)[1]) > 0 <= float(re.search(r"\brpo_seconds: ([\d.]+)", output)[1]), output[
        -3000:
    ]
    assert int(re.search(r"\bchecked: (\d+)", output)[1]) > 0 < int(re.search(r"\bmlflow.runs: (\d+)", output)[1])
    assert followed.lives() == before and leftovers(followed) == []


def test_what_cannot_be_reached_is_refused_before_anything_is_touched(followed):
    before = followed.lives()
    extra = {"backup_restore_confirm": followed.namespace}
    explained(followed.run("playbooks/restore.yml", extra={**extra, "backup_restore_time": "2020-01-01T00:00:00Z"}), "before the window")
    explained(followed.run("playbooks/restore.yml", extra={**extra, "backup_restore_time": "2090-01-01T00:00:00Z"}), "is outside of what")
    assert followed.lives() == before and followed.answers()


def test_without_backups_nobody_follows_and_the_server_keeps_nothing(followed):
    followed.run(extra={"mlops_backup": False}).ok()
    assert slots(followed) == {} and followed.schedules() == []
    assert LOG not in [one.metadata.name for one in followed.cluster.apps.list_namespaced_deployment(followed.namespace).items]
    followed.run(extra={"mlops_backup": False}).unchanged()
