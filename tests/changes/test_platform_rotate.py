"""Secrets are rotated by their names, they and no others; a rotation that is killed ends in the runs after it."""

from __future__ import annotations

import shutil
import subprocess

import psycopg2
import pytest
from botocore.exceptions import ClientError
from lib import platform_attack
from lib.long_tests import LONG
from lib.platform_clients import postgresql, s3
from lib.platform_interrupt import kill_in
from lib.platform_journal import missing, write
from lib.platform_secrets import given_secrets

NAMED = {"rotate_secrets": ["postgresql_mlflow_password", "object_store_mlflow_keys"]}
FILES = {"postgresql_mlflow_password", "object_store_mlflow_access_key", "object_store_mlflow_secret_key"}


@pytest.fixture(scope="module")
def generated(platform):
    """The platform without the variables that give secrets: those that are there are its own, and stay until they are rotated."""
    given = {name: platform.variables.pop(name) for name in given_secrets() if name in platform.variables}
    yield platform
    platform.variables.update(given)
    platform.run().ok()


def logins(platform):
    with platform.database("postgres") as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%rotating'")
        return [name for (name,) in cursor.fetchall()]


def mlflows(platform, secrets):
    """Return a client of the object store with MLflow's keys that are in `secrets`."""
    pair = {f"{kind}_key": secrets[f"object_store_mlflow_{kind}_key"] for kind in ("access", "secret")}
    return s3({**platform.connections["s3"], **pair})


def refused(platform, secrets):
    """Assert that what is in `secrets` of FILES opens nothing any more."""
    with (
        pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
        postgresql(platform.variables["postgresql_port"], "mlflow", secrets["postgresql_mlflow_password"], "mlflow"),
    ):
        pass
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        mlflows(platform, secrets).list_objects_v2(Bucket="mlflow-artifacts")


@LONG
def test_what_is_named_is_rotated_and_nothing_else(generated):
    platform = generated
    run, before = platform.new_run("rotated by name"), platform.secrets()
    assert mlflows(platform, before).list_objects_v2(Bucket="mlflow-artifacts")["IsTruncated"] in (True, False)
    predicted = platform.run("playbooks/rotate.yml", check=True, extra=NAMED).ok()
    assert "would rotate: postgresql_mlflow_password, object_store_mlflow_keys" in predicted.output
    assert platform.secrets() == before

    done = platform.run("playbooks/rotate.yml", "-vvv", extra=NAMED).ok()
    after = platform.secrets()
    assert {name for name in before if before[name] != after[name]} == FILES
    assert "PostgreSQL: the old password of mlflow" in done.output and "the object store: the old keys of MLflow" in done.output
    refused(platform, before)
    with platform.database("mlflow", user="mlflow") as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE run_uuid = %s", (run,))
        assert cursor.fetchone() == (1,)
    assert platform.s3(mlflow=True).list_objects_v2(Bucket="mlflow-artifacts")["IsTruncated"] in (True, False)
    assert not [name for name in FILES if before[name] in done.output or after[name] in done.output]
    assert logins(platform) == []
    platform.run().unchanged()


def opened(platform, pair):
    """Return how many of SeaweedFS's gRPC ports talk to who has a certificate and its key."""
    attack = platform_attack.Attack({})
    ports = [platform.variables[f"object_store_{part}_port"] + 10000 for part in ("s3", "filer", "master", "volume")]
    for port in ports:
        attack.h2(port, pair)
    return [row[2] for row in attack.rows].count(True)


@LONG
def test_the_old_certificate_of_seaweedfs_opens_nothing(generated, tmp_path):
    platform = generated
    now = tuple(platform.data_dir / f"tls/seaweedfs.{end}" for end in ("crt", "key"))
    old = tuple(shutil.copy(path, tmp_path) for path in now)
    assert opened(platform, old) == 4
    kept = [write(platform.http(), "before", b"before")]
    platform.run("playbooks/rotate.yml", extra={"rotate_secrets": ["certificates"]}).ok()
    assert (opened(platform, old), opened(platform, now)) == (0, 4)
    # nor does one of the same name that the authority signs which clients trust
    assert opened(platform, signed_by_the_platform(platform, tmp_path)) == 0
    assert missing(platform, kept) == []
    platform.run().unchanged()


def signed_by_the_platform(platform, folder):
    """Return the paths of a certificate for SeaweedFS's name, and of its key, that the platform's own authority signs."""
    certificate, key, request = folder / "signed.crt", folder / "signed.key", folder / "signed.csr"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=seaweedfs.mlops.internal"]
    authority = ["-CA", platform.data_dir / "ca.crt", "-CAkey", platform.data_dir / "tls/ca.key", "-CAcreateserial", "-days", "1"]
    for command in (["req", *new, "-keyout", key, "-out", request], ["x509", "-req", "-in", request, *authority, "-out", certificate]):
        subprocess.run(
            ["openssl", *command, *(["-CAserial", folder / "serial"] if command[0] == "x509" else [])], check=True, capture_output=True
        )
    return certificate, key


@LONG
@pytest.mark.parametrize(
    "task, goes_on",
    [
        # the end of the first play: everybody has moved to what is written down nowhere else
        ("Give what was generated", set()),
        # of the second: the first of the new values is in its place, the others are not
        ("Make the accounts and their databases", {"postgresql_mlflow_password"}),
    ],
    ids=["before the second play", "in the second play"],
)
def test_one_that_is_killed_goes_back_or_on_and_ends_in_the_next_one(generated, task, goes_on):
    platform = generated
    before, kept = platform.secrets(), [write(platform.http(), "before", b"before")]
    kill_in(platform, task, after=0.2, playbook="playbooks/rotate.yml", extra=NAMED)
    left = platform.secrets()
    assert {name for name in before if left[name] != before[name]} == goes_on
    assert "mlflow_rotating" in logins(platform)

    platform.run().ok()
    assert platform.secrets() == left
    platform.wait_until_up()
    kept.append(write(platform.http(), "between", b"between"))
    with platform.database("mlflow", user="mlflow") as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE run_uuid = %s", (kept[1]["id"],))
        assert cursor.fetchone() == (1,)

    platform.run("playbooks/rotate.yml", extra=NAMED).ok()
    after = platform.secrets()
    assert {name for name in after if after[name] not in (left[name], before[name])} == FILES
    refused(platform, before)
    refused(platform, left)
    assert logins(platform) == []
    assert missing(platform, kept) == []
    platform.run().unchanged()
