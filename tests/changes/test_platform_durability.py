"""What was acknowledged survives: it is on the disk before the answer, and a power cut's damage is repaired by the next start."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from lib import platform_proc as proc

BUCKET = "mlflow-artifacts"


def obstacle():
    """Return why processes cannot be traced here, or None."""
    if not shutil.which("strace"):
        return "strace is not installed"
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
    try:
        done = subprocess.run(["timeout", "-s", "INT", "1", "strace", "-p", str(child.pid)], capture_output=True, text=True, check=False)
        return None if "attached" in done.stderr else f"processes cannot be traced here: {done.stderr.strip()[-200:]}"
    finally:
        child.kill()
        child.wait()


class Trace:
    """Every sync of the database's and the object store's processes, with its time and its file."""

    def __init__(self, platform):
        self.output = platform.scratch / f"strace-{os.urandom(3).hex()}"
        pids = [pid for pid, p in platform.processes().items() if p.name in ("postgres", "weed")]
        command = ["strace", "-f", "-y", "-ttt", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs", "-o", str(self.output)]
        self.process = subprocess.Popen([*command, *(f"-p{pid}" for pid in pids)], stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        for line in self.process.stderr:
            if "attached" in line:
                break
        time.sleep(1)
        return self

    def __exit__(self, *_unused):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)

    def during(self, action):
        """Do `action`; return the names of the files that were synced between its start and its answer."""
        start = time.time()
        action()
        end = time.time()
        time.sleep(0.3)
        found = []
        # a call that another one interrupts is written in two lines; the file stands in the first
        for line in self.output.read_text(errors="replace").splitlines():
            match = re.match(r"\d+ +(\d+\.\d+) (?:fsync|fdatasync|sync_file_range|syncfs)\(\d+<([^>]*)>", line)
            if match and start <= float(match.group(1)) <= end:
                found.append(match.group(2))
        return found


@pytest.fixture(scope="module")
def trace(platform):
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    with Trace(platform) as trace:
        yield trace


def wal(files):
    return [name for name in files if re.search(r"/pg_wal/[0-9A-F]{24}$", name)]


def blobs(files):
    return [name for name in files if name.endswith(".dat")]


@pytest.mark.parametrize("size", [100, 100_000, 20_000_000])
def test_an_acknowledged_object_is_on_the_disk(platform, trace, size):
    key = f"durability/{os.urandom(4).hex()}"
    synced = trace.during(lambda: platform.s3(mlflow=True).put_object(Bucket=BUCKET, Key=key, Body=os.urandom(size)))
    assert blobs(synced), synced
    assert wal(synced), synced


def test_an_acknowledged_artifact_is_on_the_disk(platform, trace):
    client, path = platform.http(), f"/api/2.0/mlflow-artifacts/artifacts/durability/{os.urandom(4).hex()}"
    answers = []
    synced = trace.during(lambda: answers.append(client("PUT", path, os.urandom(50_000))[0]))
    assert answers == [200]
    assert blobs(synced), synced
    assert wal(synced), synced


def test_an_acknowledged_metric_is_on_the_disk(platform, trace):
    run_id, client = platform.new_run("durability"), platform.http()
    body = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": 1}
    synced = trace.during(lambda: client.json("POST", "/api/2.0/mlflow/runs/log-metric", body))
    assert wal(synced), synced


def test_the_trace_tells_a_read_from_a_write(platform, trace):
    """Control: a request that writes nothing syncs no blob."""
    assert not blobs(trace.during(platform.answers))


def test_database_settings_that_durability_leans_on(platform):
    with platform.database("postgres") as cursor:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == ("on",), name


@pytest.mark.parametrize("damage", ["index cut", "index lost", "raft log torn"])
def test_a_power_cut_is_repaired_by_the_next_start(platform, damage):
    """Synced are blobs and metadata, the index and the raft log are not: after another boot they may be shorter, or gone."""
    s3, keys = platform.s3(mlflow=True), [f"powercut/{os.urandom(4).hex()}" for _unused in range(10)]
    content = {key: os.urandom(20_000) for key in keys}
    for key, body in content.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    old = platform.service("seaweedfs")
    store = platform.data_dir / "seaweedfs"
    assert "stopped" in platform.supervisor("stop", "seaweedfs")
    proc.wait_until("SeaweedFS is stopped", lambda: old.pid not in platform.processes(), 30)
    indexes = list((store / "volume").glob("*.idx"))
    assert any(path.stat().st_size for path in indexes)
    for path in indexes:
        if damage == "index cut":
            os.truncate(path, path.stat().st_size // 2 // 16 * 16)
        elif damage == "index lost":
            os.truncate(path, 0)
    if damage == "raft log torn":
        for path in (p for folder in (store / "master").glob("m[0-9]*") for p in folder.rglob("*") if p.is_file()):
            os.truncate(path, 0)
    (store / "boot_id").write_text("00000000-0000-0000-0000-000000000000\n")
    assert "started" in platform.supervisor("start", "seaweedfs")
    platform.wait_until_up()
    for key, body in content.items():
        read = proc.wait_until("the object", lambda k=key: platform.s3().get_object(Bucket=BUCKET, Key=k)["Body"].read(), 30)
        assert read == body
    # and it takes new ones
    proc.wait_until("a new object", lambda: platform.s3(mlflow=True).put_object(Bucket=BUCKET, Key=keys[0], Body=b"again"), 30)
    with open("/proc/sys/kernel/random/boot_id") as stream:  # noqa: PTH123
        assert (store / "boot_id").read_text() == stream.read()
