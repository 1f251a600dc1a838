# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries one object version from one server to another, in pieces of bounded size, and hashes what a server holds."""

from __future__ import annotations

import base64
import hashlib
import math
import tempfile
import time
from urllib.parse import urlencode

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import ATTEMPTS, NOT_IMPLEMENTED, S3Error

MIB = 1024 * 1024
CHUNK = MIB
PART = 16 * MIB  # of an upload in parts whose parts at the source are unknown
IN_MEMORY = 32 * MIB  # a larger piece goes through a file
LARGEST_PIECE = 512 * MIB  # what is kept in one piece because the source has it so
MOST_PARTS = 10000
# what a reader sees of an object beside its content
KEPT = (
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
)


class Changed(Exception):
    """The object is not the one that was listed any more: somebody writes to an unversioned bucket."""


def which(entry):
    """Return what names the version of `entry` in a request. A bucket that never had versioning needs nothing, and may refuse more."""
    return {} if entry.version == "null" and entry.latest else {"VersionId": entry.version}


def read(connection, bucket, entry, sink, first=0, length=None):
    """Give the content of `entry`, or `length` bytes of it from `first` on, to `sink` and return the headers.

    `sink(chunk)` takes the bytes; `sink(None)` means that all so far is void, as the connection broke. Raises S3Error and Changed.
    """
    length = entry.size if length is None else length
    span = {} if length == entry.size else {"Range": f"bytes={first}-{first + length - 1}"}
    same = {"IfMatch": f'"{entry.etag}"'} if entry.etag and entry.version == "null" else {}
    for attempt in range(ATTEMPTS):
        try:
            answer = connection.call(f"read {entry.key!r}", "get_object", Bucket=bucket, Key=entry.key, **which(entry), **span, **same)
        except S3Error as error:
            if error.code in ("PreconditionFailed", "412", "NoSuchKey", "404") and same:
                raise Changed(entry.key) from None
            raise
        count = 0
        try:
            while chunk := answer["Body"].read(CHUNK):
                count += len(chunk)
                sink(chunk)
        except Exception as error:  # of urllib3 or botocore, whichever noticed
            problem = f"{type(error).__name__}: {error}"
        else:
            if count == length:
                return answer
            problem = f"{count} bytes came instead of {length}"
        finally:
            answer["Body"].close()
        sink(None)
        time.sleep(attempt)
    raise S3Error(f"cannot read {entry.key!r} at {connection.where}: {problem}")


def sha256(connection, bucket, entry):
    """Return the SHA-256 of what the server holds of `entry`. Raises S3Error and Changed."""
    digests = [hashlib.sha256()]

    def sink(chunk):
        if chunk is None:
            digests[0] = hashlib.sha256()
        else:
            digests[0].update(chunk)

    read(connection, bucket, entry, sink)
    return digests[0].hexdigest()


class Piece:
    """Some bytes on their way, in memory or in a file, with their MD5; `whole` is a SHA-256 that goes on over all pieces."""

    def __init__(self, length, whole):
        self.file = tempfile.TemporaryFile() if length > IN_MEMORY else None  # noqa: SIM115 - it lives as long as the piece
        self.whole, self.before = whole, whole.copy()
        self.take(None)

    def take(self, chunk):
        """Add `chunk`, or begin anew for None."""
        if chunk is None:
            self.md5, self.memory, self.whole = hashlib.md5(usedforsecurity=False), bytearray(), self.before.copy()
            if self.file:
                self.file.seek(0)
                self.file.truncate()
            return
        self.md5.update(chunk)
        self.whole.update(chunk)
        if self.file:
            self.file.write(chunk)
        else:
            self.memory += chunk

    def body(self):
        """Return Body and ContentMD5 of the request: the server refuses what was damaged on the way."""
        if self.file:
            self.file.seek(0)
        return {"Body": self.file or bytes(self.memory), "ContentMD5": base64.b64encode(self.md5.digest()).decode()}

    def __enter__(self):
        """Return the piece."""
        return self

    def __exit__(self, *_unused):
        """Remove its file."""
        if self.file:
            self.file.close()


class Transfer:
    """Copies versions from `source` to `target`, each a (connection, bucket)."""

    def __init__(self, source, target):
        self.source, self.source_bucket = source
        self.target, self.target_bucket = target

    def copy(self, entry):
        """Copy one version; return the target's version id and the SHA-256 of the content. Raises S3Error and Changed."""
        length = self.part_length(entry)
        kept = self.kept(entry)
        if length is None:
            with Piece(entry.size, hashlib.sha256()) as piece:
                read(self.source, self.source_bucket, entry, piece.take)
                answer = self.call("put_object", entry.key, **kept, **piece.body())
            return answer.get("VersionId") or "null", piece.whole.hexdigest()
        return self.in_parts(entry, kept, length)

    def remove(self, key):
        """Put a delete marker on `key`; return its id. Raises S3Error."""
        return self.call("delete_object", key).get("VersionId") or "null"

    def call(self, operation, key, **arguments):
        """Send one request to the target. Raises S3Error."""
        return self.target.call(f"write {key!r}", operation, Bucket=self.target_bucket, Key=key, **arguments)

    def kept(self, entry):
        """Return the headers, the user's metadata and the tags of `entry`, as a write takes them."""
        head = self.source.call(f"look at {entry.key!r}", "head_object", Bucket=self.source_bucket, Key=entry.key, **which(entry))
        kept = {name: head[name] for name in KEPT if head.get(name)}
        encoding = [part for part in kept.pop("ContentEncoding", "").replace(" ", "").split(",") if part not in ("", "aws-chunked")]
        if encoding:
            kept["ContentEncoding"] = ",".join(encoding)
        if head.get("TagCount"):
            tags = self.source.call(
                f"read the tags of {entry.key!r}", "get_object_tagging", Bucket=self.source_bucket, Key=entry.key, **which(entry)
            )
            kept["Tagging"] = query(tags["TagSet"])
        return kept

    def part_length(self, entry):
        """Return the length of the parts in which `entry` is to be written, or None for one piece.

        As at the source where that can be known: then both servers give it the same ETag.
        """
        _digest, dash, count = entry.etag.partition("-")
        if not dash or not count.isdigit():
            return None if entry.size <= LARGEST_PIECE else max(PART, math.ceil(entry.size / MOST_PARTS))
        if entry.size == 0:
            return None
        first = None
        try:
            head = self.source.call(
                f"look at {entry.key!r}", "head_object", Bucket=self.source_bucket, Key=entry.key, PartNumber=1, **which(entry)
            )
            first = head["ContentLength"] if head.get("PartsCount", int(count)) == int(count) else None
        except S3Error as error:
            if error.code not in NOT_IMPLEMENTED | {"400", "InvalidArgument", "416", "InvalidPartNumber", "InvalidPart"}:
                raise
        for length in (first, 5 * MIB, 8 * MIB, 10 * MIB, 16 * MIB, 64 * MIB, 100 * MIB):
            if length and length <= LARGEST_PIECE and math.ceil(entry.size / length) == int(count):
                return length
        return max(PART, math.ceil(entry.size / MOST_PARTS))

    def in_parts(self, entry, kept, length):
        """Write `entry` as an upload in parts. Raises S3Error and Changed, and leaves no open upload then."""
        upload, whole, parts = self.call("create_multipart_upload", entry.key, **kept)["UploadId"], hashlib.sha256(), []
        try:
            for first in range(0, entry.size, length):
                size = min(length, entry.size - first)
                with Piece(size, whole) as piece:
                    read(self.source, self.source_bucket, entry, piece.take, first, size)
                    number = len(parts) + 1
                    answer = self.call("upload_part", entry.key, UploadId=upload, PartNumber=number, **piece.body())
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
                    whole = piece.whole
            answer = self.call("complete_multipart_upload", entry.key, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            try:
                self.call("abort_multipart_upload", entry.key, UploadId=upload)
            except S3Error as error:  # the bucket's lifecycle removes it; the first error is the one to tell
                self.target.module.warn(str(error))
            raise
        return answer.get("VersionId") or "null", whole.hexdigest()


def query(tags):
    """Return a list of tags as the header of a write takes it."""
    return urlencode({tag["Key"]: tag["Value"] for tag in tags})
