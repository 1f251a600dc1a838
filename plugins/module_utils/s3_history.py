# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The history of a bucket: every version and delete marker of every key in the order in which it came, and how two histories compare."""

from __future__ import annotations

import collections
import re

from ansible_collections.mlops.platform.plugins.module_utils.s3_pages import pages_of_all

# One version, or one delete marker (size None, no etag), of a key. `time`: when it came, with a zone; None of one that no server listed
Entry = collections.namedtuple("Entry", "key size etag version latest time", defaults=[None])
KINDS = re.compile(rb"<(Version|DeleteMarker)[\s>]")
EVENT = "after-call.s3.ListObjectVersions"


def keep_order(http_response, parsed, **_unused):
    """Note in `parsed` how versions and delete markers followed each other: botocore returns two lists, and times are in whole seconds."""
    if http_response.status_code == 200:
        parsed["Kinds"] = KINDS.findall(http_response.content)


def history(connection, bucket):
    """Return {key: [Entry, ...]} of `bucket`, each key's entries from the oldest to the newest. Raises S3Error."""
    connection.listen(EVENT, keep_order)
    found = {}
    for versioned, page in pages_of_all(connection, bucket):
        for entry in _together(page) if versioned else _objects(page):
            found.setdefault(entry.key, []).append(entry)
    for entries in found.values():
        # Newest first, as S3 lists them; a server that does not is put right by time. Equal times stay as they were listed.
        entries.sort(key=lambda entry: (entry.latest, entry.time), reverse=True)
        entries.reverse()
    return found


def _together(page):
    """Yield each Entry of a page, versions and delete markers in the order in which the server listed them."""
    versions, markers = page.get("Versions", []), page.get("DeleteMarkers", [])
    kinds = page.get("Kinds", [])
    if (kinds.count(b"Version"), kinds.count(b"DeleteMarker")) != (len(versions), len(markers)):
        kinds = [b"Version"] * len(versions) + [b"DeleteMarker"] * len(markers)
    lists = {b"Version": versions[::-1], b"DeleteMarker": markers[::-1]}
    for kind in kinds:
        found = lists[kind].pop()
        size, etag = (found["Size"], found.get("ETag", "").strip('"')) if kind == b"Version" else (None, "")
        yield Entry(found["Key"], size, etag, found.get("VersionId") or "null", bool(found.get("IsLatest")), found["LastModified"])


def _objects(page):
    """Yield each Entry of a page of a server that has no versions."""
    for found in page.get("Contents", []):
        yield Entry(found["Key"], found["Size"], found.get("ETag", "").strip('"'), "null", True, found["LastModified"])


def newest(entries):
    """Return [the object that a reader gets], or [] where a delete marker or nothing stands."""
    return [entry for entry in entries[-1:] if entry.size is not None]


def same(one, other, proof):
    """Return whether two entries hold the same. `proof(one, other)` decides where size and ETag cannot: servers form ETags differently."""
    if one.size is None or other.size is None:
        return one.size == other.size
    if one.size != other.size:
        return False
    if not one.size or (one.etag and one.etag == other.etag):
        return True
    return bool(proof(one, other))


def missing(source, target, proof):
    """Return how many of the newest entries of `source` the history `target` lacks, and how many older ones it has beyond it.

    The source may have removed its oldest since they were copied. Returns (None, 0) where the target has gone another way.
    """
    for older in range(len(target) + 1):
        kept = target[older:]
        if len(kept) <= len(source) and all(same(one, other, proof) for one, other in zip(source, kept)):
            if not kept and target and source:
                return None, 0
            return len(source) - len(kept), older
    return None, 0


def totals(found):
    """Return counts and bytes of a history."""
    entries = [entry for one in found.values() for entry in one]
    return {
        "keys": len(found),
        "versions": sum(entry.size is not None for entry in entries),
        "delete_markers": sum(entry.size is None for entry in entries),
        "bytes": sum(entry.size or 0 for entry in entries),
    }
