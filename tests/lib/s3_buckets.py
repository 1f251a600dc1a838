"""Buckets of the tests on a real S3 server, and what looks at them: boto3 alone, none of the collection's modules.

The fixtures are those of tests/integration/conftest.py.
"""

from __future__ import annotations

import json
import uuid

import pytest

from lib import platform_clients as clients
from lib.modules import run_module

# --- what is asked of a server ------------------------------------------------------------------------------------------------------------


def exists(s3, name):
    return name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def remove(s3, name):
    """Delete a bucket, if it is there, with its policy and every version, delete marker and open upload; governance locks are bypassed."""
    if not exists(s3, name):
        return
    try:
        s3.delete_bucket_policy(Bucket=name)
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=name)


def put(s3, bucket, key, body, **options):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **options)


def read(s3, bucket, key, **options):
    return s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


def versions(s3, bucket, key=""):
    answer = s3.list_object_versions(Bucket=bucket, Prefix=key)
    return answer.get("Versions", []), answer.get("DeleteMarkers", [])


def bodies(s3, bucket, key):
    """Return the contents of a key's versions, newest first, and the number of its delete markers."""
    found, markers = versions(s3, bucket, key)
    return [read(s3, bucket, key, VersionId=entry["VersionId"]) for entry in found], len(markers)


def refused(call, *codes):
    """The call fails with one of the codes (S3's name or the HTTP status)."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    assert error["Error"]["Code"] in codes or str(error["ResponseMetadata"]["HTTPStatusCode"]) in codes, error["Error"]


def policy_of(name, **statement):
    one = {"Sid": "Keep", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketVersioning", "Resource": f"arn:aws:s3:::{name}"}
    return {"Version": "2012-10-17", "Statement": [{**one, **statement}]}


def converge(run_bucket, state, changes, look, before, after, **options):
    """Check mode, the real run, a second one; `look` returns what the server has, `state` is what `bucket` in the result holds of it."""
    predicted = run_bucket(check=True, diff=True, **options)
    assert predicted["changed"] and predicted["changes"] == changes
    assert look() == before, "check mode changed the server"
    done = run_bucket(diff=True, **options)
    assert done["changed"] and done["changes"] == changes
    assert look() == after
    assert done["diff"]["before"] == predicted["diff"]["before"]
    for key, value in state.items():
        assert done["bucket"][key] == predicted["bucket"][key] == value
        assert done["diff"]["after"][key] == value
    again = run_bucket(diff=True, **options)
    assert not again["changed"] and again["changes"] == []
    assert again["bucket"] == done["bucket"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert not run_bucket(check=True, **options)["changed"]
    return done


# --- fixtures -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3(s3_connection):
    """A boto3 client of the administrator."""
    return clients.s3(s3_connection)


@pytest.fixture
def make_bucket(s3):
    """Make a bucket and return its name; it is gone after the test."""
    names = []

    def make(**options):
        name = f"it-{uuid.uuid4().hex[:16]}"
        s3.create_bucket(Bucket=name, **options)
        names.append(name)
        return name

    yield make
    for name in names:
        remove(s3, name)


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture
def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture
def bucket_name(s3):
    """The name of a bucket that is not there, and is gone after the test."""
    name = f"it-{uuid.uuid4().hex[:16]}"
    yield name
    remove(s3, name)


@pytest.fixture
def run_bucket(s3_connection, bucket_name):
    """Run s3_bucket for the bucket of this test; the result must be no failure unless `fails` is set."""

    def run(fails=False, check=False, diff=False, env=None, **options):
        result = run_module("s3_bucket", {**s3_connection, "name": bucket_name, **options}, check=check, diff=diff, env=env)
        assert bool(result.get("failed")) is fails, result
        assert s3_connection["secret_key"] not in json.dumps(result)
        return result

    return run
