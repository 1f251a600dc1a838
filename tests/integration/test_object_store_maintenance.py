"""What the master does every 17 minutes, done at once: its script, from its own file, through the operator's shell with mutual TLS."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
import tomllib
from lib.platform_proc import wait_until
from lib.s3_buckets import bodies, put, versions

DAYS = 30
# those of the platform's own bucket
RULES = [
    {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": DAYS}},
    {"ID": "markers", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
]


@pytest.fixture
def maintain(platform):
    """Run the script; no line of it may fail."""
    toml = tomllib.loads((platform.data_dir / "etc/seaweedfs/master.toml").read_text(encoding="utf-8"))
    script = toml["master"]["maintenance"]["scripts"]

    def run():
        # the master may be at it: then this waits for its lock
        command = platform.as_service("env", "WEED_SHELL_TIMEOUT=400", platform.data_dir / "bin/weed-shell")
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
        assert "shards 0-15 complete" in done.stdout
        return done.stdout

    return run


def varint(number):
    """Return a number as Protocol Buffers write it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def make_older(platform, bucket, key, days):
    """Set back every time in the metadata of a key's versions: in the filer's own table, as no client may. Return how many there were."""
    now, hits = int(time.time()), 0
    with platform.database("seaweedfs") as cursor:
        # each bucket has a table of its own
        cursor.execute(f'SELECT name, meta FROM "{bucket}" WHERE directory = %s', (f"/{key}.versions",))  # noqa: S608
        for name, meta in cursor.fetchall():
            older = bytes(meta)
            for second in range(now - 600, now + 1):
                for code in (varint, lambda number: str(number).encode()):
                    hits += older.count(code(second))
                    older = older.replace(code(second), code(second - days * 86400))
            cursor.execute(
                f'UPDATE "{bucket}" SET meta = %s WHERE directory = %s AND name = %s',  # noqa: S608
                (older, f"/{key}.versions", name),
            )
    return hits


def test_versions_go_when_their_time_has_come(platform, s3, versioned, maintain):
    """And only those: the current version, however old, and younger ones stay. A delete marker that nothing is behind any more goes too."""
    s3.put_bucket_lifecycle_configuration(Bucket=versioned, LifecycleConfiguration={"Rules": RULES})
    for key in ("due", "young"):
        for number in range(3):
            put(s3, versioned, key, f"{key} {number}".encode())
    last = put(s3, versioned, "orphan", b"x")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="orphan")
    s3.delete_object(Bucket=versioned, Key="orphan", VersionId=last)
    put(s3, versioned, "hidden", b"kept")
    s3.delete_object(Bucket=versioned, Key="hidden")
    assert make_older(platform, versioned, "due", DAYS + 1) >= 3
    assert make_older(platform, versioned, "young", DAYS - 1) >= 3
    assert [len(versions(s3, versioned, key)[1]) for key in ("orphan", "hidden")] == [1, 1]

    maintain()
    assert bodies(s3, versioned, "due") == ([b"due 2"], 0)
    assert bodies(s3, versioned, "young") == ([b"young 2", b"young 1", b"young 0"], 0)
    assert versions(s3, versioned, "orphan") == ([], [])
    assert bodies(s3, versioned, "hidden") == ([b"kept"], 1)

    # again, with rules that the script has seen before
    for number in range(2):
        put(s3, versioned, "later", f"later {number}".encode())
    assert make_older(platform, versioned, "later", DAYS + 1) >= 2
    maintain()
    assert bodies(s3, versioned, "later") == ([b"later 1"], 0)
    assert bodies(s3, versioned, "young") == ([b"young 2", b"young 1", b"young 0"], 0)


def test_the_space_of_a_deleted_object_comes_back(platform, s3, bucket, maintain):
    def size():
        return sum(path.stat().st_size for path in (platform.data_dir / "seaweedfs/volume").glob(f"{bucket}_*.dat"))

    put(s3, bucket, "kept", b"kept")
    put(s3, bucket, "large", os.urandom(20_000_000))
    assert size() > 20_000_000
    s3.delete_object(Bucket=bucket, Key="large")
    assert size() > 20_000_000, "it came back by itself: this test shows nothing"

    def vacuumed():
        # the filer deletes an object's blobs a little later
        maintain()
        return size() < 1_000_000

    wait_until("the space is free", vacuumed, 120, interval=2)
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
