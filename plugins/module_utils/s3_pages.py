# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pages of S3's listings, each of which says in its own words where the next one begins."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import NOT_IMPLEMENTED, S3Error

# operation: {argument of the next request: what the page calls it}
NEXT = {
    "list_object_versions": {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"},
    "list_multipart_uploads": {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"},
    "list_objects_v2": {"ContinuationToken": "NextContinuationToken"},
}


def pages(connection, bucket, operation, what):
    """Yield the pages of a listing of `bucket`; `what` names it for the error message.

    Raises S3Error, also where the server says that more follows and shows no way on.
    """
    marker = {}
    while True:
        page = connection.call(what, operation, Bucket=bucket, **marker)
        yield page
        if not page.get("IsTruncated"):
            return
        following = {argument: page[name] for argument, name in NEXT[operation].items() if page.get(name)}
        if following == marker or not following:
            raise S3Error(f"cannot {what} at {connection.where}: the server does not get on with its list")
        marker = following


def pages_of_all(connection, bucket):
    """Yield (versioned, page) of everything in `bucket`: its versions and delete markers, or its objects where a server has no versions.

    Raises S3Error.
    """
    what = f"list bucket {bucket}"
    try:
        for page in pages(connection, bucket, "list_object_versions", what):
            yield True, page
    except S3Error as error:
        if error.code not in NOT_IMPLEMENTED:
            raise
        for page in pages(connection, bucket, "list_objects_v2", what):
            yield False, page
