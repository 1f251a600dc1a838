"""Where backups are kept, in a bucket of another S3 server: the same names, whole files or none."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import tempfile

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_pages import pages

from mlops_backup.problems import BackupError

BLOCK = 1024 * 1024
# what is larger is on the disk until it is sent, and is sent in parts of this size
PART = 32 * BLOCK
MISSING = ("404", "NoSuchKey", "NotFound")
# what the connection's options are called among the role's variables
VARIABLES = {
    "endpoint_url": "backup_bucket_url",
    "region": "backup_bucket_region",
    "access_key": "backup_bucket_access_key",
    "secret_key": "backup_bucket_secret_key",
    "ca_bundle": "backup_bucket_ca",
}
# of a request that deletes
BATCH = 1000


class Outgoing:
    """A file on its way into a bucket: it is sent by commit(), and leaves nothing when it is dropped."""

    def __init__(self, store):
        self.store = store
        # a segment of the log stays in memory; PostgreSQL's process can write nowhere else
        self.file = tempfile.SpooledTemporaryFile(PART, dir=store.staging)  # noqa: SIM115 - it lives as long as the object

    def write(self, data):
        """Take `data`. Raises OSError."""
        self.file.write(data)

    def commit(self, name):
        """Send the file under its name. Raises BackupError."""
        size = self.file.tell()
        self.file.seek(0)
        if size <= PART:
            self.store.call("put_object", name, **_body(self.file.read()))
        else:
            self._in_parts(name)
        self.file.close()

    def _in_parts(self, name):
        upload, parts = self.store.call("create_multipart_upload", name)["UploadId"], []
        try:
            while data := self.file.read(PART):
                number = len(parts) + 1
                answer = self.store.call("upload_part", name, UploadId=upload, PartNumber=number, **_body(data))
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            self.store.call("complete_multipart_upload", name, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(BackupError):
                self.store.call("abort_multipart_upload", name, UploadId=upload)
            raise

    def drop(self):
        """Remove what was written. Does nothing after commit()."""
        self.file.close()

    def __enter__(self):
        """Return the file."""
        return self

    def __exit__(self, *_unused):
        """Leave nothing, unless it was sent."""
        self.drop()


def _body(data):
    """Return Body and ContentMD5 of a request: the server refuses what was damaged on the way."""
    return {"Body": data, "ContentMD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}


class Bucket:
    """The part of a bucket below `prefix`, through `connection`; `staging` is the directory for what is too large for the memory."""

    def __init__(self, connection, bucket, prefix, staging):
        self.connection, self.bucket, self.prefix, self.staging = connection, bucket, prefix, staging
        self.where = f"{connection.where}/{bucket}/{prefix}".rstrip("/")

    def below(self, name):
        """Return the store of the files whose names begin with `name`/."""
        return Bucket(self.connection, self.bucket, f"{self.prefix}{name}/", self.staging)

    def _problem(self, error):
        """Return the S3Error `error` for who knows the variables of the role alone: it names the connection's options."""
        told = ", ".join(f"{option} is {variable}" for option, variable in VARIABLES.items() if re.search(rf"\b{option}\b", str(error)))
        return BackupError(f"the backups' destination, bucket {self.bucket}: {error}" + (f" ({told})" if told else ""))

    def call(self, operation, name, **arguments):
        """Send one request about the file `name`. Raises BackupError."""
        try:
            return self.connection.call(f"{operation} {name!r}", operation, Bucket=self.bucket, Key=self.prefix + name, **arguments)
        except S3Error as error:
            raise self._problem(error) from None

    def _pages(self, prefix, **arguments):
        try:
            given = _Given(self.connection, Prefix=self.prefix + prefix, **arguments)
            yield from pages(given, self.bucket, "list_objects_v2", f"list bucket {self.bucket}")
        except S3Error as error:
            raise self._problem(error) from None

    def folders(self):
        """Return the names of the folders at the top."""
        found = [entry["Prefix"] for page in self._pages("", Delimiter="/") for entry in page.get("CommonPrefixes", [])]
        return sorted(name[len(self.prefix) :].rstrip("/") for name in found)

    def prepare(self):
        """See that the bucket can be written. Raises BackupError."""
        self.call("put_object", ".probe", Body=b"")
        self.call("delete_object", ".probe")

    def clean(self):
        """Do nothing: a file that was not sent whole has no name. The bucket's lifecycle ends uploads that were begun."""

    def incoming(self):
        """Return a new file on its way. Raises OSError."""
        return Outgoing(self)

    def blocks(self, name):
        """Yield the content of `name`. Raises BackupError where it is not there or cannot be read."""
        body, count = self.call("get_object", name), 0
        try:
            while block := body["Body"].read(BLOCK):
                count += len(block)
                yield block
        except Exception as error:  # of urllib3 or botocore, whichever noticed
            raise BackupError(f"{name} in {self.where} cannot be read: {type(error).__name__}: {error}") from None
        finally:
            body["Body"].close()
        if count != body["ContentLength"]:
            raise BackupError(f"{name} in {self.where} cannot be read: {count} bytes came instead of {body['ContentLength']}")

    def size(self, name):
        """Return the size of `name`, or None where it is not there. Raises BackupError."""
        try:
            found = self.connection.call(f"look for {name!r}", "head_object", Bucket=self.bucket, Key=self.prefix + name)
        except S3Error as error:
            if error.code in MISSING:
                return None
            raise self._problem(error) from None
        return found["ContentLength"]

    def names(self, prefix):
        """Return {name: (size, time)} of all files below the folder `prefix`."""
        found = {}
        for page in self._pages(f"{prefix}/" if prefix else ""):
            for entry in page.get("Contents", []):
                found[entry["Key"][len(self.prefix) :]] = (entry["Size"], entry["LastModified"].timestamp())
        return found

    def delete(self, names):
        """Remove files. Raises BackupError when one stays."""
        names = list(names)
        for start in range(0, len(names), BATCH):
            objects = [{"Key": self.prefix + name} for name in names[start : start + BATCH]]
            try:
                what = f"delete {len(objects)} files"
                answer = self.connection.call(what, "delete_objects", Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            except S3Error as error:
                raise self._problem(error) from None
            for error in answer.get("Errors", []):
                raise BackupError(f"the backups' destination keeps {error.get('Key')}: {error.get('Code')}: {error.get('Message')}")


class _Given:
    """A connection that adds arguments to a request: what lists pages knows of the bucket alone."""

    def __init__(self, connection, **arguments):
        self.connection, self.arguments, self.where = connection, arguments, connection.where

    def call(self, what, operation, **arguments):
        """Send one request. Raises S3Error."""
        return self.connection.call(what, operation, **self.arguments, **arguments)
