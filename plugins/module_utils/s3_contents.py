# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a bucket: every object version, delete marker and unfinished multipart upload, and how to remove all of it."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils.s3 import NOT_IMPLEMENTED, S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_pages import pages, pages_of_all

# DeleteObjects takes so many keys, and a list page holds so many
BATCH = 1000
SHOWN_KEYS = 5
# keys that no XML 1.0 request can name: they go one by one, in the address of the request
NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Contents:
    """Counts and removes what is in one bucket.

    `counts` says how many versions, delete_markers and multipart_uploads were found (or removed), `keys` the first few keys.
    """

    def __init__(self, connection, bucket):
        self.connection = connection
        self.bucket = bucket
        self.counts = {"versions": 0, "delete_markers": 0, "multipart_uploads": 0}
        self.keys = []
        self.more = False

    def survey(self, whole):
        """Count what is there: all of it when `whole`, else the first page (then `more` says whether there is more).

        Raises S3Error.
        """
        for kind, entries, truncated in self._pages():
            self._count(kind, entries)
            if truncated and not whole:
                self.more = True
                return

    def remove(self):
        """Remove everything that a whole survey found, and what came since; `counts` then says how much was removed.

        Raises S3Error when something stays, with `counts` true all the same.
        """
        surveyed, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        refused, left = {}, None
        # a second look finds what was written in the meantime, and what the server kept although it said otherwise
        while True:
            found = set()
            for kind, entries, _more in self._pages():
                errors = self._abort(entries) if kind == "multipart_uploads" else self._delete(entries)
                refused.update(errors)
                self._count(kind, [entry for entry in entries if entry not in errors])
                if left is not None:
                    found.update(entries)
                else:  # the first round can be large: only whether there was anything counts
                    found.update(entries[:1])
            if not found:
                return
            if refused or found == left:
                break
            left = found if left is not None else set()
        rest = Contents(self.connection, self.bucket)
        rest.survey(whole=True)
        self.counts = {kind: max(0, surveyed[kind] - rest.counts[kind]) for kind in surveyed}
        reasons = "; ".join(f"{key!r}: {why}" for (key, _id), why in list(refused.items())[:SHOWN_KEYS])
        if not refused:
            reasons = f"the server lists {', '.join(map(repr, rest.keys))} and does not remove them; use the server's own tools"
        raise S3Error(
            f"cannot empty bucket {self.bucket} at {self.connection.where}: removed {self.describe()}; left {rest.describe()}; {reasons}"
        )

    def describe(self):
        """Return the counts in words."""
        return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in self.counts.items() if count) or "nothing"

    def __bool__(self):
        """Return whether anything was counted."""
        return any(self.counts.values())

    def _count(self, kind, entries):
        self.counts[kind] += len(entries)
        self.keys.extend(key for key, _id in entries[: max(0, SHOWN_KEYS - len(self.keys))])

    def _pages(self):
        """Yield kind, [(key, id), ...] and whether more follows, page by page; both kinds of a version page come one by one."""
        yield from self._upload_pages()
        for versioned, page in pages_of_all(self.connection, self.bucket):
            kinds = {"versions": "Versions", "delete_markers": "DeleteMarkers"} if versioned else {"versions": "Contents"}
            for kind, name in kinds.items():
                yield from self._entries(kind, page, name, "VersionId")

    def _upload_pages(self):
        """Yield the unfinished multipart uploads; none, with a warning, where the server cannot list them."""
        try:
            for page in pages(self.connection, self.bucket, "list_multipart_uploads", f"list bucket {self.bucket}"):
                yield from self._entries("multipart_uploads", page, "Uploads", "UploadId")
        except S3Error as error:
            if error.code not in NOT_IMPLEMENTED:
                raise
            self.connection.module.warn(f"{self.connection.where} cannot list unfinished multipart uploads: none is counted or removed")

    @staticmethod
    def _entries(kind, page, name, identity):
        entries = [(entry["Key"], entry.get(identity)) for entry in page.get(name, [])]
        if entries:
            yield kind, entries, bool(page.get("IsTruncated"))

    def _abort(self, uploads):
        """Abort `uploads`; return those that the server refused, with its words."""
        errors = {}
        for key, upload in uploads:
            try:
                self.connection.call("abort an upload", "abort_multipart_upload", Bucket=self.bucket, Key=key, UploadId=upload)
            except S3Error as error:
                if error.code != "NoSuchUpload":  # finished or aborted in the meantime
                    errors[(key, upload)] = str(error)
        return errors

    def _delete(self, entries):
        """Delete `entries` in batches; return those that the server refused, with its words."""
        errors = {}
        named = [entry for entry in entries if not NO_XML.search(entry[0])]
        for start in range(0, len(named), BATCH):
            batch = [{"Key": key, **({"VersionId": version} if version else {})} for key, version in named[start : start + BATCH]]
            answer = self.connection.call(
                f"delete objects of bucket {self.bucket}", "delete_objects", Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
            )
            for error in answer.get("Errors", []):
                entry = (error.get("Key", ""), error.get("VersionId"))
                # some servers leave the version out of their answer
                entry = entry if entry in named else next((known for known in named if known[0] == entry[0]), entry)
                errors[entry] = f"{error.get('Code', '')}: {error.get('Message', '')}"
        for key, version in set(entries) - set(named):
            try:
                extra = {"VersionId": version} if version else {}
                self.connection.call("delete an object", "delete_object", Bucket=self.bucket, Key=key, **extra)
            except S3Error as error:
                errors[(key, version)] = str(error)
        return errors
