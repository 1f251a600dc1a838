"""Backups of a cluster in a bucket of others, over TLS: the whole namespace is lost while clients write, and restored in another one."""

from __future__ import annotations

import datetime
import re
import time

import pytest
from lib.backup_program import KEY
from lib.cluster_platform import SMALL_BACKUPS, ClusterPlatform, explained
from lib.long_tests import LONG
from lib.outside_s3 import outside_s3
from lib.platform_journal import Journal, missing, write
from lib.s3_buckets import bodies

# two platforms are installed
pytestmark = LONG

BUCKET, OBJECT = "mlflow-artifacts", "artifacts/0/backup/history"


@pytest.fixture(scope="module")
def outside(cluster):
    with outside_s3(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def platforms(kubeconfig, outside):
    """Gives installations whose backups are there, each in a namespace of its own, and removes them."""
    made = []

    def install():
        made.append(ClusterPlatform(kubeconfig, **outside.variables, **SMALL_BACKUPS, backup_key=KEY))
        return made[-1].install()

    yield install
    for one in made:
        one.remove()


@pytest.fixture(scope="module")
def backed(platforms, outside):
    """A platform and its backup, taken while clients wrote: what they wrote is in its `journal`."""
    platform = platforms()
    s3 = platform.s3()
    for body in (b"one", b"two", None, b"three"):
        s3.delete_object(Bucket=BUCKET, Key=OBJECT) if body is None else s3.put_object(Bucket=BUCKET, Key=OBJECT, Body=body)
    with Journal(platform, pause=0.5) as journal:
        time.sleep(5)
        platform.run("playbooks/backup.yml").ok()
    platform.journal = journal
    return platform


def test_the_backup_is_in_the_bucket_alone(outside, backed):
    (backups,) = outside.manifests().values()
    assert len(backups) == 1
    claims = [one.metadata.name for one in backed.cluster.core.list_namespaced_persistent_volume_claim(backed.namespace).items]
    assert "mlops-backup" not in claims
    shown = backed.run("playbooks/status.yml").unchanged().output
    assert re.search(r"backup \d{8}T\d{6}Z: 0\.\d h old, [\d.]+ [KM]?B", re.sub(r"\s+", " ", shown)), shown[-3000:]
    drill = backed.run("playbooks/drill.yml").unchanged().output
    assert int(re.search(r"\bchecked: (\d+)", drill)[1]) > 3


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"backup_bucket_secret_key": "wrong"}, ("SignatureDoesNotMatch",)),
        ({"backup_bucket_ca": ""}, ("certificate", "backup_bucket_ca")),
        # SeaweedFS says nothing else to who may not make a bucket
        ({"mlops_backup_bucket": "not-there"}, ("bucket not-there", "AccessDenied")),
    ],
)
def test_a_bucket_that_cannot_be_used_is_told_in_the_servers_words(backed, changed, words):
    explained(backed.run("playbooks/backup.yml", extra=changed), *words)


def test_the_namespace_is_lost_under_load_and_restored_in_another_one(outside, platforms, backed):
    history = bodies(backed.s3(), BUCKET, OBJECT)
    ((installation, backups),) = outside.manifests().items()
    point = datetime.datetime.fromisoformat(backups[-1]["point"]["time"].replace("Z", "+00:00")).timestamp()
    kept = backed.journal.before(point)
    assert len(kept) > 3
    with Journal(backed, pause=0.5) as later:
        # the last ones that are acknowledged before everything is gone
        time.sleep(5)
        began = time.time()
        backed.cluster.remove_namespace(backed.namespace)
    assert later.runs

    found = platforms()
    new = write(found.http(), "before-the-restore", b"new")
    extra = {"backup_restore_confirm": found.namespace, "backup_restore_installation": installation}
    found.run("playbooks/restore.yml", extra=extra).ok()
    found.wait_until_up()

    assert missing(found, kept) == []
    assert bodies(found.s3(), BUCKET, OBJECT) == history
    # what came after the recovery point is lost, and what was there before the restore is replaced
    assert len(missing(found, [*later.runs, new])) >= len(later.runs) + 1
    audit = found.run("playbooks/audit.yml").unchanged().output
    assert re.search(r"rows_without_objects: 0\b", audit), audit[-3000:]
    found.run().unchanged()
    last = max(run["acknowledged"] for run in later.runs)
    print(f"\nlost: what was written in the last {last - point:.0f} s; back in {(time.time() - began) / 60:.1f} minutes")
    # from now on it has backups of its own beside the old ones
    found.run("playbooks/backup.yml").ok()
    assert {name: len(each) for name, each in outside.manifests().items()}[installation] == 1
    assert len(outside.manifests()) == 2
