"""Prove who gets into the object store and who does not, and that MLflow's identity can do its work and nothing else.

Reads one JSON object from standard input, so that no secret is on a command line:

    endpoint_url, region, bucket, admin {access_key, secret_key}, mlflow {access_key, secret_key}

Prints one JSON object: {"verified": [...], "problem": null or a line}. Exit code 1 where something is not as it should be. Needs boto3.
"""

from __future__ import annotations

import json
import secrets
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403")


class VerificationError(Exception):
    """Something that is not as it should be; the text says what."""


def client(request, keys):
    """Return an S3 client with the keys of `keys`, or without any for None."""
    given = {} if keys is None else {"aws_access_key_id": keys["access_key"], "aws_secret_access_key": keys["secret_key"]}
    config = Config(
        s3={"addressing_style": "path"},
        proxies={},
        retries={"max_attempts": 2},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **({"signature_version": UNSIGNED} if keys is None else {}),
    )
    return boto3.client("s3", endpoint_url=request["endpoint_url"], region_name=request["region"], config=config, **given)


def refused(what, call, **arguments):
    """Make a call that must be refused. Raises VerificationError when it is not."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in REFUSALS:
            return
        raise VerificationError(f"{what}: refused, but with {error}") from None
    raise VerificationError(f"{what}: it was allowed")


def work(s3, bucket, key):
    """Write, read, list and delete an object. Raises VerificationError or what boto3 raises."""
    content = secrets.token_bytes(1000)
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != content:
        raise VerificationError("an object came back with other content")
    if [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] != [key]:
        raise VerificationError("an object that was written is not listed")
    s3.delete_object(Bucket=bucket, Key=key)


def verify(request, verified):
    """Take all steps; add a line to `verified` for each. Raises VerificationError or what boto3 raises."""
    bucket, key = request["bucket"], f"mlops-platform-verify/{secrets.token_hex(8)}"
    admin, mlflow = client(request, request["admin"]), client(request, request["mlflow"])
    anonymous = client(request, None)
    wrong = client(request, {**request["mlflow"], "secret_key": "wrong" + secrets.token_hex(8)})
    if admin.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        raise VerificationError(f"the bucket {bucket} is not versioned")
    try:
        work(mlflow, bucket, key)
        versions = admin.list_object_versions(Bucket=bucket, Prefix=key)
        if len(versions.get("Versions", [])) != 1 or len(versions.get("DeleteMarkers", [])) != 1:
            raise VerificationError("a deleted object is not kept as a version behind a delete marker")
        verified.append("MLflow's identity writes, reads, lists and deletes in its bucket, and the version is kept")
        version = versions["Versions"][0]["VersionId"]
        suspend = {"Bucket": bucket, "VersioningConfiguration": {"Status": "Suspended"}}
        for what, call, arguments in (
            ("a list without credentials", anonymous.list_objects_v2, {"Bucket": bucket}),
            ("a write without credentials", anonymous.put_object, {"Bucket": bucket, "Key": key, "Body": b""}),
            ("a list with a wrong secret key", wrong.list_objects_v2, {"Bucket": bucket}),
            ("MLflow's identity suspends versioning", mlflow.put_bucket_versioning, suspend),
            ("MLflow's identity removes the lifecycle rules", mlflow.delete_bucket_lifecycle, {"Bucket": bucket}),
            ("MLflow's identity removes the policy", mlflow.delete_bucket_policy, {"Bucket": bucket}),
            ("MLflow's identity deletes a version for good", mlflow.delete_object, {"Bucket": bucket, "Key": key, "VersionId": version}),
            ("MLflow's identity makes a bucket", mlflow.create_bucket, {"Bucket": f"mlops-verify-{secrets.token_hex(6)}"}),
        ):
            refused(what, call, **arguments)
            verified.append(f"refused: {what}")
    finally:
        left = admin.list_object_versions(Bucket=bucket, Prefix=key)
        for entry in left.get("Versions", []) + left.get("DeleteMarkers", []):
            admin.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])


def main():
    """Run all steps and print the result; return the exit code."""
    request, verified, problem = json.load(sys.stdin), [], None
    try:
        verify(request, verified)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps({"verified": verified, "problem": problem}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
