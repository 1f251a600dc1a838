"""Secrets are rotated by their names: they and no others."""

from __future__ import annotations

import psycopg2
import pytest
from botocore.exceptions import ClientError
from lib.long_tests import LONG
from lib.platform_clients import postgresql, s3
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


@LONG
def test_what_is_named_is_rotated_and_nothing_else(generated):
    platform = generated
    run, before = platform.new_run("rotated by name"), platform.secrets()
    connection = dict(platform.connections["s3"])
    old = s3({**connection, "access_key": before["object_store_mlflow_access_key"], "secret_key": before["object_store_mlflow_secret_key"]})
    assert old.list_objects_v2(Bucket="mlflow-artifacts")["IsTruncated"] in (True, False)
    predicted = platform.run("playbooks/rotate.yml", check=True, extra=NAMED).ok()
    assert "would rotate: postgresql_mlflow_password, object_store_mlflow_keys" in predicted.output
    assert platform.secrets() == before

    done = platform.run("playbooks/rotate.yml", "-vvv", extra=NAMED).ok()
    after = platform.secrets()
    assert {name for name in before if before[name] != after[name]} == FILES
    assert "PostgreSQL: the old password of mlflow" in done.output and "the object store: the old keys of MLflow" in done.output
    with (
        pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
        postgresql(platform.variables["postgresql_port"], "mlflow", before["postgresql_mlflow_password"], "mlflow"),
    ):
        pass
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        old.list_objects_v2(Bucket="mlflow-artifacts")
    with platform.database("mlflow", user="mlflow") as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE run_uuid = %s", (run,))
        assert cursor.fetchone() == (1,)
    assert platform.s3(mlflow=True).list_objects_v2(Bucket="mlflow-artifacts")["IsTruncated"] in (True, False)
    assert not [name for name in FILES if before[name] in done.output or after[name] in done.output]
    assert logins(platform) == []
    platform.run().unchanged()
