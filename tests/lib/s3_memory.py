"""A small S3 server in memory, which stands in for the connection of the s3 modules' service classes."""

from __future__ import annotations

import itertools

from ansible_collections.mlops.platform.plugins.module_utils import s3_bucket
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_bucket import Bucket


class Server:
    """Stands in for Connection: one bucket at most, `fail` maps operations to error codes, `requests` lists what was asked."""

    where = "http://s3.test"

    def __init__(self, exists=True, page=1000):
        self.module = self
        self.warnings, self.requests, self.fail = [], [], {}
        self.exists, self.page = exists, page
        self.settings = {}
        self.objects, self.uploads = [], []
        self.refused, self.stuck = {}, set()

    def warn(self, text):
        self.warnings.append(text)

    def client_region(self):
        return "us-east-1"

    def call(self, what, operation, **kwargs):
        self.requests.append(operation)
        code = self.fail.get(operation)
        code = code.pop(0) if isinstance(code, list) else code
        if code:
            raise S3Error(f"cannot {what}: {code}", code)
        if not self.exists and operation not in ("create_bucket", "list_buckets"):
            raise S3Error("no bucket", "404" if operation == "head_bucket" else "NoSuchBucket")
        kwargs.pop("Bucket", None)
        return getattr(self, operation)(**kwargs)

    def head_bucket(self):
        return {}

    def list_buckets(self):
        return {"Buckets": [{"Name": "bkt"}] if self.exists else []}

    def create_bucket(self, ObjectLockEnabledForBucket=False):
        self.exists = True
        if ObjectLockEnabledForBucket:
            self.settings.update(versioning="Enabled", lock={"ObjectLockEnabled": "Enabled"})

    def delete_bucket(self):
        if self.objects:
            raise S3Error("not empty", "BucketNotEmpty")
        self.exists = False

    def _setting(self, key, code):
        if key not in self.settings:
            raise S3Error(code, code)
        return self.settings[key]

    def get_bucket_versioning(self):
        return {"Status": self.settings["versioning"]} if "versioning" in self.settings else {}

    def put_bucket_versioning(self, VersioningConfiguration):
        self.settings["versioning"] = VersioningConfiguration["Status"]

    def get_bucket_tagging(self):
        return {"TagSet": self._setting("tags", "NoSuchTagSet")}

    def put_bucket_tagging(self, Tagging):
        self.settings["tags"] = Tagging["TagSet"]

    def delete_bucket_tagging(self):
        del self.settings["tags"]

    def get_bucket_policy(self):
        return {"Policy": self._setting("policy", "NoSuchBucketPolicy")}

    def put_bucket_policy(self, Policy):
        self.settings["policy"] = Policy

    def delete_bucket_policy(self):
        del self.settings["policy"]

    def get_bucket_lifecycle_configuration(self):
        return self._setting("lifecycle", "NoSuchLifecycleConfiguration")

    def put_bucket_lifecycle_configuration(self, LifecycleConfiguration):
        self.settings["lifecycle"] = LifecycleConfiguration

    def delete_bucket_lifecycle(self):
        del self.settings["lifecycle"]

    def get_object_lock_configuration(self):
        return {"ObjectLockConfiguration": self._setting("lock", "ObjectLockConfigurationNotFoundError")}

    def put_object_lock_configuration(self, ObjectLockConfiguration):
        self.settings["lock"] = ObjectLockConfiguration

    def list_object_versions(self, KeyMarker="", VersionIdMarker=""):
        after = sorted(entry for entry in self.objects if entry[:2] > (KeyMarker, VersionIdMarker))
        page, more = after[: self.page], len(after) > self.page
        answer = {"IsTruncated": more}
        for name, marker in (("Versions", False), ("DeleteMarkers", True)):
            answer[name] = [{"Key": key, "VersionId": version} for key, version, is_marker in page if is_marker == marker]
        if more:
            answer.update(NextKeyMarker=page[-1][0], NextVersionIdMarker=page[-1][1])
        return answer

    def list_objects_v2(self, ContinuationToken="0"):
        start = int(ContinuationToken)
        keys = sorted({key for key, _version, _marker in self.objects})
        page = [{"Key": key} for key in keys[start : start + self.page]]
        more = start + self.page < len(keys)
        return {"Contents": page, "IsTruncated": more, **({"NextContinuationToken": str(start + self.page)} if more else {})}

    def list_multipart_uploads(self, KeyMarker="", UploadIdMarker=""):
        after = sorted(entry for entry in self.uploads if entry > (KeyMarker, UploadIdMarker))
        page, more = after[: self.page], len(after) > self.page
        answer = {"IsTruncated": more, "Uploads": [{"Key": key, "UploadId": upload} for key, upload in page]}
        if more:
            answer.update(NextKeyMarker=page[-1][0], NextUploadIdMarker=page[-1][1])
        return answer

    def abort_multipart_upload(self, Key, UploadId):
        self.uploads.remove((Key, UploadId))

    def delete_object(self, Key, VersionId=None):
        self.objects = [entry for entry in self.objects if entry[0] != Key or (VersionId and entry[1] != VersionId) or Key in self.stuck]

    def delete_objects(self, Delete):
        assert len(Delete["Objects"]) <= 1000
        errors = []
        for entry in Delete["Objects"]:
            if entry["Key"] in self.refused:
                errors.append({**entry, "Code": self.refused[entry["Key"]], "Message": "no"})
            else:
                self.delete_object(**entry)
        return {"Errors": errors}


def stop_clock(monkeypatch):
    """Give the service classes a clock that only their sleeping moves."""
    clock = [0.0]
    monkeypatch.setattr(s3_bucket.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(s3_bucket.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))


def bucket_on(server, check=False):
    return Bucket(server, "bkt", check)


def filled(count=2500, **kwargs):
    server = Server(**kwargs)
    server.objects = [(f"k{number:05}", version, version == "v2") for number, version in itertools.product(range(count), ("v1", "v2"))]
    server.uploads = [(f"u{number}", "id") for number in range(3)]
    return server
