"""A platform of a host moved into a cluster, by a backup at a bucket that both reach: rows, users, models, and objects byte for byte.

The host's PostgreSQL is 18, so the cluster needs an image of that version: `python tests/tiers/cluster_images.py --load postgres18`.
"""

from __future__ import annotations

import os
import re
import secrets

import pytest
from lib import platform_clients as clients
from lib.backup_program import KEY
from lib.cluster_platform import ClusterPlatform, explained
from lib.long_tests import LONG
from lib.platform_journal import API, missing, write
from lib.platform_rows import owners, rows
from lib.platform_session import session_platform
from lib.s3_buckets import bodies
from lib.s3_second import second_server

# two installations, a backup and a restore take a quarter of an hour
pytestmark = LONG

BUCKET, HISTORY, BACKUPS = "mlflow-artifacts", "artifacts/0/move/history", "backups"
ALICE = ("alice", secrets.token_hex(12))


def fill(host):
    """Write what a platform has: runs with artifacts, a model with an alias, a user with a permission, an object's history."""
    http = host.http()
    runs = [write(http, f"moved-{number}", os.urandom(1000 + 3_000_000 * number)) for number in range(4)]
    model = {"name": "moved", "source": f"mlflow-artifacts:/0/{runs[0]['id']}/artifacts", "run_id": runs[0]["id"]}
    http.json("POST", f"{API}/registered-models/create", {"name": "moved"})
    http.json("POST", f"{API}/model-versions/create", model)
    http.json("POST", f"{API}/registered-models/alias", {"name": "moved", "alias": "champion", "version": "1"})
    http.json("POST", f"{API}/users/create", {"username": ALICE[0], "password": ALICE[1]})
    permission = {"experiment_id": "0", "username": ALICE[0], "permission": "EDIT"}
    http.json("POST", f"{API}/experiments/permissions/create", permission)
    s3 = host.s3()
    for body in (b"one", os.urandom(70_000), None, b"three"):
        s3.delete_object(Bucket=BUCKET, Key=HISTORY) if body is None else s3.put_object(Bucket=BUCKET, Key=HISTORY, Body=body)
    return runs


@pytest.fixture(scope="module")
def host():
    with session_platform() as platform:
        platform.runs = fill(platform)
        yield platform


@pytest.fixture(scope="module")
def destination(host, cluster, tmp_path_factory):
    """The variables of a bucket that host and pods reach, at the node's address."""
    folder = tmp_path_factory.mktemp("backups")
    with second_server(host.program("seaweedfs", "weed"), folder, address=cluster.node_address()) as server:
        clients.s3(server).create_bucket(Bucket=BACKUPS)
        yield {
            "mlops_backup_bucket": BACKUPS,
            "backup_bucket_url": server["endpoint_url"],
            "backup_bucket_access_key": server["access_key"],
            "backup_bucket_secret_key": server["secret_key"],
            "backup_key": KEY,
        }


@pytest.fixture(scope="module")
def backed(host, destination):
    """The number under which the host's backups are, the last of which is a dump."""
    output = host.run("playbooks/backup.yml", extra={**destination, "backup_engine": "dump"}).ok().output
    return re.search(r"installation: '?(\d+)", output)[1]


@pytest.fixture(scope="module")
def target(kubeconfig, cluster, destination, backed):
    """A new platform in the cluster, of the PostgreSQL that can read the host's dump."""
    platform = ClusterPlatform.with_secrets(kubeconfig, os.environ.get("MLOPS_TEST_NAMESPACE"), postgresql_version=18, **destination)
    try:
        yield platform.install()
    finally:
        if os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_NAMESPACE={platform.namespace}")
        else:
            platform.remove()


def restore(target, **extra):
    return target.run("playbooks/restore.yml", extra={"backup_restore_confirm": target.namespace, **extra})


def test_another_platforms_backup_is_restored_only_where_its_number_is_given(target, backed):
    before = target.lives()
    words = explained(restore(target), f"Of others: {backed}; to restore one of them here, set backup_restore_installation to it")
    assert "backup_restore_installation" in words
    assert target.lives() == before


def test_everything_of_the_host_is_in_the_cluster(host, target, backed):
    expected, history = rows(host), bodies(host.s3(), BUCKET, HISTORY)
    keys = [one["Key"] for one in host.s3().list_objects_v2(Bucket=BUCKET)["Contents"]]
    run = restore(target, backup_restore_installation=backed).ok()
    print(f"\nmoved in {run.seconds:.0f} s")
    target.wait_until_up()
    assert rows(target) == expected
    assert owners(target) == {"mlflow"}
    assert missing(target, host.runs) == []
    assert bodies(target.s3(), BUCKET, HISTORY) == history
    for key in keys:
        assert bodies(target.s3(), BUCKET, key) == bodies(host.s3(), BUCKET, key), key


def test_users_models_and_the_administrator_are_right_there(host, target, backed):
    alice = target.http(ALICE)
    assert alice.json("GET", f"{API}/experiments/get?experiment_id=0")["experiment"]["name"] == "Default"
    version = alice.json("GET", f"{API}/registered-models/alias?name=moved&alias=champion")["model_version"]
    assert (version["version"], version["run_id"]) == ("1", host.runs[0]["id"])
    # the administrator has the password of the platform that the data are in now
    assert target.http().json("GET", f"{API}/users/get?username=alice")["user"]["username"] == "alice"
    assert target.http(("admin", host.secret("mlflow_admin_password")))("GET", f"{API}/users/get?username=alice")[0] == 401
    new = write(target.http(), "after-the-move", b"new")
    assert missing(target, [*host.runs, new]) == []
    target.run("playbooks/verify.yml").unchanged()
    target.run().unchanged()
    # the host was only read
    assert missing(host, host.runs) == []
