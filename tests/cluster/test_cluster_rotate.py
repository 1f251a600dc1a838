"""Every secret gets a new value while clients write, and no old one opens anything; a rotation that is killed ends in the next one."""

from __future__ import annotations

import base64

import psycopg2
import pytest
from botocore.exceptions import ClientError
from lib import platform_clients as clients
from lib.cluster_platform import SMALL_BACKUPS, settled
from lib.platform_clients import Load
from lib.platform_interrupt import kill_in
from lib.platform_journal import Journal, missing, write
from lib.platform_secrets import given_secrets

WORKER = ("rotation-worker", "a-password-of-its-own")
ROTATE = "playbooks/rotate.yml"
# what stays: objects that were stored with it are read with it alone
STAYS = {"object_store_sse_key"}
ACCOUNTS = {"superuser": ("postgres", "postgres"), "mlflow": ("mlflow", "mlflow"), "seaweedfs": ("seaweedfs", "seaweedfs")}
# by the names that users give, and the secrets that they are
NAMED = ["mlflow_admin_password", "mlflow_flask_secret_key", "postgresql_mlflow_password", "object_store_mlflow_keys"]
SECRETS = {*NAMED[:3], "object_store_mlflow_access_key", "object_store_mlflow_secret_key"}


@pytest.fixture(scope="module")
def generated(platform):
    """The platform without the variables that give secrets: those that are there are its own, and stay until they are rotated."""
    given = {name: platform.variables.pop(name) for name in given_secrets() if name in platform.variables}
    administrator = platform.http()
    administrator.json("POST", "/api/2.0/mlflow/users/create", dict(zip(("username", "password"), WORKER)))
    # an administrator whose password no rotation touches
    administrator.json("PATCH", "/api/2.0/mlflow/users/update-admin", {"username": WORKER[0], "is_admin": True})
    yield platform
    platform.http().json("DELETE", "/api/2.0/mlflow/users/delete", {"username": WORKER[0]})
    if given:
        platform.variables.update(given)
        platform.run().ok()


def certificate(platform):
    """Return the private key with which SeaweedFS's parts know each other."""
    return platform.cluster.core.read_namespaced_secret("mlops-object-store", platform.namespace).data["tls.key"]


def second_logins(platform):
    with platform.database("postgres") as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%rotating'")
        return [name for (name,) in cursor.fetchall()]


def refused(platform, old, names):
    """Assert that what is in `old` of the secrets `names` opens nothing any more, whichever pod is asked."""
    host, port = platform.address("mlops-postgresql")
    for account, (user, database) in ACCOUNTS.items():
        if f"postgresql_{account}_password" in names:
            with (
                pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
                clients.postgresql(port, user, old[f"postgresql_{account}_password"], database, host),
            ):
                pass
    host, port = platform.address("mlops-object-store")
    for owner in ("admin", "mlflow"):
        if f"object_store_{owner}_secret_key" in names:
            pair = {f"{kind}_key": old[f"object_store_{owner}_{kind}_key"] for kind in ("access", "secret")}
            with pytest.raises(ClientError, match="InvalidAccessKeyId"):
                clients.s3({"endpoint_url": f"http://{host}:{port}", **pair}).list_objects_v2(Bucket="mlflow-artifacts")
    if "mlflow_admin_password" in names:
        # a new connection each, until every pod has had one; the playbook has waited until none remembers it
        for _unused in range(10):
            login = ("admin", old["mlflow_admin_password"])
            assert platform.http(login)("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401


def test_every_secret_is_rotated_under_load(generated):
    """No request fails, and no artifact in the end; every old value is refused by what it opened; nothing is left, and backups go on."""
    platform = generated
    assert len(platform.pods("mlflow")) == 2
    before, key = platform.secrets(), certificate(platform)
    predicted = platform.run(ROTATE, check=True).ok()
    assert "would rotate: mlflow_admin_password, mlflow_flask_secret_key, postgresql_superuser_password" in predicted.output
    assert platform.secrets() == before and certificate(platform) == key

    # SeaweedFS in one pod is away while that is replaced: MLflow waits for it, and where that takes longer, its client does
    load, journal = Load(platform, login=WORKER), Journal(platform, clients=1, pause=0.5, login=WORKER, timeout=120, retries=7)
    with load, journal:
        run = platform.run(ROTATE).ok()
    print(f"\nrotated in {run.seconds:.0f} s: {load.done} requests, {len(load.failures)} failed;")
    print(f"{len(journal.runs)} artifacts, {sum(one['again'] for one in journal.runs)} sent again, {len(journal.failures)} failed")
    assert not load.failures, load.failures[:5]
    assert load.done > 200 and not load.lost()
    assert journal.runs and not journal.failures, journal.failures[:5]
    assert missing(platform, journal.runs) == []

    after = platform.secrets()
    assert set(after) == set(before)
    assert {name for name in before if after[name] == before[name]} == STAYS
    assert certificate(platform) != key
    refused(platform, before, set(before))
    assert second_logins(platform) == []
    # neither as it is nor as a Secret has it
    values = [*before.values(), *after.values()]
    assert not [one for one in values if one in run.output or base64.b64encode(one.encode()).decode() in run.output]
    platform.run().unchanged()


def test_a_backup_has_the_new_secrets(generated):
    """The superuser's password and the keys of the object store's administrator are the Job's own."""
    try:
        generated.run("playbooks/backup.yml", extra=SMALL_BACKUPS).ok()
    finally:
        generated.cluster.core.delete_namespaced_persistent_volume_claim("mlops-backup", generated.namespace)


@pytest.mark.parametrize(
    "task, goes_on",
    [
        # of the first play: MLflow moves to what nothing but the servers knows, and the Secrets have the old values
        ("fully out of mlflow", False),
        # of the second: the first of the new values is where it stays
        ("Make the accounts and their databases", True),
    ],
    ids=["while second logins are let in", "while the new values come to their places"],
)
def test_one_that_is_killed_ends_in_the_next_one(generated, task, goes_on):
    platform = generated
    settled(platform)
    before, kept = platform.secrets(), write(platform.http(), "kept", b"kept")
    kill_in(platform, task, playbook=ROTATE, extra={"rotate_secrets": NAMED})
    left = platform.secrets()
    assert (left != before) is goes_on
    assert "mlflow_rotating" in second_logins(platform)

    platform.run(ROTATE, extra={"rotate_secrets": NAMED}).ok()
    after = platform.secrets()
    assert {name for name in after if after[name] != before[name]} == SECRETS
    refused(platform, before, SECRETS)
    refused(platform, left, SECRETS)
    assert second_logins(platform) == []
    platform.wait_until_up()
    assert missing(platform, [kept]) == []
    platform.run().unchanged()
