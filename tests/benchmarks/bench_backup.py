r"""Measures backup and restore of the local substrate against what people do by hand, and against the disk.

    MLOPS_TEST_DATA_DIR=/var/lib/mlops-test-xxxxxx python tests/benchmarks/bench_backup.py [--gigabytes 1] [--rows 200000] \
        [--object-mb 16] [--key]

It takes a platform that the tests kept (MLOPS_TEST_KEEP=1) and fills it with objects of random bytes and rows of metrics. Then, in turns:
the disk writes and reads that many bytes; `pg_dump` and a copy of the bucket with boto3's own transfers, ten at once as `aws s3 sync` has
them, and the way back of both into another database and bucket; and the playbooks: a first backup, a second one of the same data, and a
restore in place after databases and blobs were lost. The platform keeps what it was filled with. Prints one JSON line each, with MB/s and
what part that is of the disk's own reading (`of_disk_read`), and in the end all of it as a table.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from lib import platform_proc as proc  # noqa: E402
from lib.platform import Platform  # noqa: E402

MIB = 2**20
# as the AWS command line has it (max_concurrent_requests)
AT_ONCE = 10
BUCKET = "mlflow-artifacts"
READ = "the disk reads as much"


# (what, seconds, MB/s)
MEASURED = []


def say(**values):
    print(json.dumps(values), flush=True)


def measure(what, size, seconds, **more):
    """Print how many MB/s it is that `size` bytes took so many seconds, beside what the disk reads."""
    speed = size / 1e6 / seconds
    MEASURED.append((what, seconds, speed))
    disk = {name: found for name, _seconds, found in MEASURED}.get(READ)
    parts = {"of_disk_read": round(speed / disk, 2)} if disk else {}
    say(what=what, seconds=round(seconds, 1), mb_per_second=round(speed, 1), **parts, **more)


@contextlib.contextmanager
def timed(what, size):
    """Print how long the block took, and how many MB/s of `size` bytes that is."""
    began = time.monotonic()
    yield
    measure(what, size, time.monotonic() - began)


def table():
    """Print what was measured as the documentation has it."""
    disk = next(speed for what, _seconds, speed in MEASURED if what == READ)
    print("| What | Seconds | MB/s | in parts of the disk's reading |\n| --- | --- | --- | --- |")
    for what, seconds, speed in MEASURED:
        print(f"| {what} | {seconds:.0f} | {speed:.0f} | {speed / disk:.2f} |")


def at_once(work, items):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        # list(): the first exception is raised here
        list(pool.map(work, items))


def fill(platform, size, object_mb, rows):
    """Put `size` bytes of objects and `rows` rows into the platform; return the bytes of objects and databases."""
    s3, prefix = platform.s3(), f"bench/{secrets.token_hex(3)}"
    count = max(1, round(size / MIB / object_mb))
    at_once(lambda number: s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{number}", Body=os.urandom(object_mb * MIB)), range(count))
    run = platform.new_run("bench")
    with platform.database("mlflow") as cursor:
        cursor.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)"
            " SELECT 'loss', random(), 1700000000000 + n, %s, n, false FROM generate_series(1, %s) AS n",
            (run, rows),
        )
        cursor.execute("SELECT sum(pg_database_size(datname)) FROM pg_database WHERE datname LIKE 'mlflow%%'")
        databases = int(cursor.fetchone()[0])
    return count * object_mb * MIB, databases


def disk(folder, size):
    """Let the disk write `size` bytes, until they are on it, and read them back from it."""
    file, block = Path(folder, "bench-disk"), os.urandom(8 * MIB)
    try:
        with timed("the disk writes as much, until it is on it", size), file.open("wb") as stream:
            for _unused in range(size // len(block)):
                stream.write(block)
            os.fsync(stream.fileno())
        with file.open("rb") as stream:
            # what is in memory would be no read of the disk
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            with timed(READ, size):
                while stream.read(8 * MIB):
                    pass
    finally:
        file.unlink(missing_ok=True)


def by_hand(platform, folder, size):
    """Do what a README says: pg_dump and a copy of the bucket, and both back, beside the platform's own."""
    place = Path(folder, "bench-by-hand")
    place.mkdir(mode=0o700)
    s3, target = platform.s3(), f"bench-{secrets.token_hex(3)}"
    environment = {**os.environ, "PGPASSWORD": platform.secret("postgresql_superuser_password")}
    programs = Path(f"/proc/{platform.service('postgresql').pid}/exe").resolve().parent
    login = ["-h", "127.0.0.1", "-p", str(platform.variables["postgresql_port"]), "-U", "postgres"]

    def program(name, *arguments):
        subprocess.run([programs / name, *login, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

    def listed():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def download(key):
        path = place / "objects" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(BUCKET, key, str(path))

    def upload(path):
        s3.upload_file(str(path), target, str(path.relative_to(place / "objects")))

    try:
        with timed("by hand, backup", size):
            for name in ("mlflow", "mlflow_auth"):
                program("pg_dump", "-Fc", "-f", str(place / name), name)
            at_once(download, listed())
            os.sync()
        s3.create_bucket(Bucket=target)
        with platform.database("postgres") as cursor:
            cursor.execute(f'CREATE DATABASE "{target}"')
        with timed("by hand, restore", size):
            program("pg_restore", "--no-owner", "-d", target, str(place / "mlflow"))
            at_once(upload, [path for path in (place / "objects").rglob("*") if path.is_file()])
            os.sync()
    finally:
        shutil.rmtree(place)
        with contextlib.suppress(s3.exceptions.NoSuchBucket):
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=target)
            at_once(lambda key: s3.delete_object(Bucket=target, Key=key), [i["Key"] for page in pages for i in page.get("Contents", [])])
            s3.delete_bucket(Bucket=target)
        with platform.database("postgres") as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')


def lose_everything(platform):
    """Take databases and blobs away, as the loss of a disk would."""
    while found := proc.below(platform.data_dir):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    for name in ("postgresql", "seaweedfs"):
        shutil.rmtree(platform.data_dir / name)


def measured(platform):
    """Return what the last backup says of itself: its metrics, by name."""
    lines = (platform.data_dir / "backup/mlops_backup.prom").read_text(encoding="utf-8").splitlines()
    found = dict(line.split() for line in lines if line and not line.startswith("#"))
    return {name: float(found[f"mlops_backup_{name}"]) for name in ("duration_seconds", "size_bytes", "new_bytes")}


def playbooks(platform, size):
    """Take a backup, another one of the same data, and restore it when everything is lost."""
    for what in ("playbooks, first backup", "playbooks, second backup"):
        with timed(what, size):
            platform.run("playbooks/backup.yml", timeout=7200).ok()
        own = measured(platform)
        # the playbook takes its seconds whatever the size is
        measure(f"{what}: the program alone", size, own.pop("duration_seconds"), **own)
    lose_everything(platform)
    with timed("playbooks, restore", size):
        confirmed = {"backup_restore_confirm": str(platform.data_dir)}
        platform.run("playbooks/restore.yml", extra=confirmed, timeout=7200).ok()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--rows", type=int, default=200000)
    parser.add_argument("--object-mb", type=int, default=16)
    parser.add_argument("--key", action="store_true", help="encrypt the playbooks' backups")
    arguments = parser.parse_args()
    place = os.environ.get("MLOPS_TEST_DATA_DIR")
    if not place:
        parser.error("MLOPS_TEST_DATA_DIR must name a platform that the tests kept (MLOPS_TEST_KEEP=1)")
    platform, folder = Platform.at(place), Path(place).parent
    if arguments.key:
        platform.variables["backup_key"] = secrets.token_hex(32)
    try:
        platform.wait_until_up()
        objects, databases = fill(platform, round(arguments.gigabytes * 1e9), arguments.object_mb, arguments.rows)
        say(what="filled", objects_mb=round(objects / 1e6), databases_mb=round(databases / 1e6), object_mb=arguments.object_mb)
        disk(folder, objects)
        by_hand(platform, folder, objects + databases)
        playbooks(platform, objects + databases)
        table()
    finally:
        shutil.rmtree(f"{place}-backup", ignore_errors=True)


if __name__ == "__main__":
    main()
