"""Faults of the object store: bucket, policy, and what MLflow's environment says of it."""

from __future__ import annotations

import contextlib
import json

from lib.platform_faults.planting import fault, kept


@fault("bucket-missing")
def bucket_missing(platform, plan):
    yield {"object_store": {**plan["object_store"], "bucket": "there-is-none"}}


@fault("versioning-suspended")
def versioning_suspended(platform, plan):
    bucket = {"Bucket": plan["object_store"]["bucket"]}
    platform.s3().put_bucket_versioning(VersioningConfiguration={"Status": "Suspended"}, **bucket)
    yield {}
    platform.s3().put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"}, **bucket)


@fault("lifecycle-missing")
def lifecycle_missing(platform, plan):
    bucket = {"Bucket": plan["object_store"]["bucket"]}
    before = platform.s3().get_bucket_lifecycle_configuration(**bucket)["Rules"]
    platform.s3().delete_bucket_lifecycle(**bucket)
    yield {}
    platform.s3().put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": before}, **bucket)


@contextlib.contextmanager
def policy(platform, plan, change):
    bucket = {"Bucket": plan["object_store"]["bucket"]}
    before = platform.s3().get_bucket_policy(**bucket)["Policy"]
    after = json.loads(before)
    change(after["Statement"])
    platform.s3().put_bucket_policy(Policy=json.dumps(after), **bucket)
    yield
    platform.s3().put_bucket_policy(Policy=before, **bucket)


@fault("bucket-policy-missing")
def policy_without_the_denial(platform, plan):
    with policy(platform, plan, lambda statements: statements.pop(0)):
        yield {}


@fault("s3-anonymous")
def bucket_open_to_everybody(platform, plan):
    name = f"arn:aws:s3:::{plan['object_store']['bucket']}"
    allow = {
        "Sid": "Planted",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [name, f"{name}/*"],
    }
    with policy(platform, plan, lambda statements: statements.append(allow)):
        yield {}


@contextlib.contextmanager
def environment(platform, name, value):
    """Give MLflow's environment file another value: its processes go on with the old one."""
    with kept(platform.data_dir / "etc/mlflow.env") as path:
        lines = [f'{name}="{value}"' if line.startswith(f"{name}=") else line for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")
        yield


@fault("s3-identity-refused", "service-stale")
def key_that_the_object_store_refuses(platform, plan):
    with environment(platform, "AWS_SECRET_ACCESS_KEY", "another"):
        yield {}


@fault("s3-checksum", "service-stale")
def checksums_that_not_every_server_takes(platform, plan):
    with environment(platform, "AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported"):
        yield {}


@fault("s3-path-style", "service-stale")
def bucket_in_the_hosts_name(platform, plan):
    with environment(platform, "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "virtual"):
        yield {}
