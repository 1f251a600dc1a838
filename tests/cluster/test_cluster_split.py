"""The object store in parts: what was acknowledged is there after one pod of each part was killed, and no part lets a stranger in.

A platform of its own: PostgreSQL and the object store alone. One site.yml makes it, the tests go from top to bottom.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from kubernetes.stream import stream
from lib import platform_attack, platform_attempts
from lib import platform_clients as clients
from lib.cluster_platform import ClusterPlatform, explained, settled
from lib.platform_proc import wait_until

BUCKET = "mlflow-artifacts"
TAGS = "postgresql,object_store"
PARTS = {"master": 3, "volume": 3, "filer": 2, "s3": 2}
PORTS = {"master": [9333, 19333], "volume": [8080, 18080], "filer": [8888, 18888], "s3": [8333, 18333]}
NAME = "mlops-object-store"
# ten pods of one program beside everything else that the node runs
TINY = {"requests": {"cpu": "10m", "memory": "64Mi"}}
SPLIT = {
    "object_store_topology": "split",
    "object_store_replicas": PARTS,
    "object_store_part_resources": dict.fromkeys(PARTS, TINY),
    "object_store_storage_size": "1Gi",
    "object_store_volume_mb": 64,
    "object_store_volume_drain_seconds": 5,
    "object_store_memory_limit": "200MiB",
    "object_store_wait_timeout": 600,
}


@pytest.fixture(scope="module")
def split(kubeconfig):
    """A running platform whose object store is split."""
    platform = ClusterPlatform(kubeconfig, **SPLIT)
    try:
        platform.first_run = platform.run(tags=TAGS, timeout=1500).ok()
        yield platform
    finally:
        if not os.environ.get("MLOPS_TEST_KEEP"):
            platform.remove()


def s3(platform, attempts=1):
    """Return a boto3 client of the administrator through the Service; `attempts`: how often a request is tried."""
    host, port = platform.address(NAME)
    keys = {key: platform.object_store_keys()[f"admin_{key}"] for key in ("access_key", "secret_key")}
    connection = {"endpoint_url": f"http://{host}:{port}", "region": "us-east-1", **keys}
    return clients.s3(connection, retries={"max_attempts": attempts, "mode": "standard"})


def part(platform, name):
    """Return the pods of a part, by name."""
    return platform.pods(f"object-store-{name}")


class Writer:
    """Puts objects and reads them back until it is stopped; keeps the digest of each object that was acknowledged."""

    def __init__(self, platform):
        self.client = s3(platform, attempts=5)
        self.acknowledged, self.failures = {}, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        number = 0
        while not self.stop.wait(0.2):
            number += 1
            key, content = f"split/{number}", os.urandom(40_000 if number % 5 else 400_000)
            try:
                self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
                self.acknowledged[key] = hashlib.sha256(content).hexdigest()
                self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            except (ClientError, BotoCoreError) as error:
                self.failures.append(f"{key}: {error}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_unused):
        self.stop.set()
        self.thread.join(120)
        assert not self.thread.is_alive()

    def more(self, count, timeout=120):
        """Wait until `count` more objects were acknowledged than now."""
        wanted = len(self.acknowledged) + count
        wait_until(f"{count} more objects", lambda: len(self.acknowledged) >= wanted, timeout)

    def damaged(self):
        """Return the objects that were acknowledged and are not there as they were."""
        found = []
        for key, digest in self.acknowledged.items():
            try:
                content = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            except (ClientError, BotoCoreError) as error:
                found.append(f"{key}: {error}")
            else:
                found += [] if hashlib.sha256(content).hexdigest() == digest else [f"{key}: other content"]
        return found


def ready(platform):
    """Return whether each part has all of its pods, and all are ready."""
    return platform.ready() and all(len(part(platform, name)) == count for name, count in PARTS.items())


def proven(run):
    """Return whether the role's proof of the object store was among what a run did."""
    return [task for task in run.tasks if task["event"] == "ok" and "Run the proof of The object store" in task["task"]]


def test_each_part_has_its_pods_and_the_bucket_was_verified(split):
    assert ready(split)
    assert proven(split.first_run)
    claims = {claim.metadata.name for claim in split.cluster.core.list_namespaced_persistent_volume_claim(split.namespace).items}
    wanted = {f"data-{NAME}-{name}-{number}" for name in ("master", "volume") for number in range(PARTS[name])}
    assert wanted == {name for name in claims if "object-store" in name}


def test_second_run_changes_nothing_and_restarts_nothing(split):
    before, objects = settled(split), split.objects()
    split.run(tags=TAGS).unchanged()
    split.run(tags=TAGS, check=True, diff=True).unchanged()
    assert split.lives() == before
    assert split.objects() == objects


def test_no_part_lets_a_stranger_in(split, monkeypatch):
    """From outside of the pods, with no credential or forged ones: every port of one pod of each part."""
    marker, key = "marker-" + os.urandom(12).hex(), "0/run/artifacts/secret.txt"
    s3(split).put_object(Bucket=BUCKET, Key=key, Body=(marker * 20).encode())
    opened = []
    for name, ports in PORTS.items():
        pod = next(iter(part(split, name).values()))
        monkeypatch.setattr(platform_attack, "HOST", pod.status.pod_ip)
        ask = {
            "ports": {name: ports[:1]},
            "listening": ports,
            "harmless": {role: list(paths) for role, paths in platform_attempts.HARMLESS.items()},
            "bucket": BUCKET,
            "key": key,
            "marker": marker,
            "fid": "1,01637037d6",
            "access_key": "AKIDNOBODY",
            "weed": "",
            "stranger": False,
        }
        ask["attempts"] = platform_attempts.tables(ask)
        rows = platform_attack.Attack(ask).run()
        assert len(rows) > 20
        opened += [row for row in rows if row[2]]
    assert not opened, opened
    assert s3(split).get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == marker * 20


def weed_shell(platform, question):
    """Ask SeaweedFS's own shell, in a master's pod."""
    command = ["sh", "-c", f"echo '{question}' | sh /etc/seaweedfs/weed-shell.sh"]
    call, pod = platform.cluster.core.connect_get_namespaced_pod_exec, f"{NAME}-master-0"
    return stream(call, pod, platform.namespace, command=command, stderr=True, stdin=False, stdout=True, tty=False)


def test_blobs_are_synced_and_every_volume_of_the_bucket_is_on_two_servers(split):
    with Writer(split) as writer:
        writer.more(10)
    assert not writer.failures, writer.failures[:5]
    assert not writer.damaged()
    assert '"fsync":true' in "".join(weed_shell(split, "fs.configure").split())
    listed = weed_shell(split, "volume.list")
    copies = Counter(re.findall(rf"volume Id:(\d+),[^\n]*Collection:{BUCKET},", listed))
    assert copies and set(copies.values()) == {2}, listed


@pytest.mark.parametrize("name", ["volume", "filer", "s3", "master"])
def test_one_killed_pod_loses_no_acknowledged_object(split, name):
    wait_until("all pods are ready", lambda: ready(split), 300)
    doomed = sorted(part(split, name))[0]
    uid = part(split, name)[doomed].metadata.uid
    with Writer(split) as writer:
        writer.more(5)
        split.cluster.core.delete_namespaced_pod(doomed, split.namespace, grace_period_seconds=0)
        # while it is away, the others serve
        writer.more(10, timeout=180)
        wait_until(f"a new pod in place of {doomed}", lambda: uid not in {one.metadata.uid for one in part(split, name).values()}, 120)
        wait_until("all pods are ready", lambda: ready(split), 300)
        writer.more(5)
    print(f"{name}: {len(writer.acknowledged)} acknowledged, {len(writer.failures)} failed after 5 attempts each: {writer.failures[:3]}")
    assert not writer.damaged()


def test_what_was_deleted_stays_a_version_whichever_pods_answer(split):
    client = s3(split, attempts=5)
    client.put_object(Bucket=BUCKET, Key="split/versioned", Body=b"first")
    client.put_object(Bucket=BUCKET, Key="split/versioned", Body=b"second")
    client.delete_object(Bucket=BUCKET, Key="split/versioned")
    for _unused in range(4):
        found = s3(split, attempts=5).list_object_versions(Bucket=BUCKET, Prefix="split/versioned")
        assert len(found["Versions"]) == 2
        assert len(found["DeleteMarkers"]) == 1


def test_what_would_lose_objects_is_refused(split):
    """Before anything is touched: another form, fewer volume servers, another quorum."""
    before = settled(split)
    replicas = {**PARTS, "volume": 2, "master": 1}
    explained(split.run(tags=TAGS, extra={"object_store_topology": "single"}), "object_store_topology", f"data-{NAME}-volume-0")
    explained(split.run(tags=TAGS, extra={"object_store_replicas": replicas}), f"data-{NAME}-volume-2", "object_store_replicas.master is 1")
    assert split.lives() == before


def test_a_setting_rolls_the_parts_while_objects_are_written(split):
    """One pod of each part after the other: volume servers and S3 have time to drain, and what was acknowledged is kept."""
    wait_until("all pods are ready", lambda: ready(split), 300)
    extra = {"object_store_memory_limit": "210MiB"}
    before = {name: {pod.metadata.uid for pod in part(split, name).values()} for name in PARTS}
    began = time.monotonic()
    with Writer(split) as writer:
        split.run(tags=TAGS, extra=extra, timeout=1500).ok()
    print(
        f"{time.monotonic() - began:.0f} s, {len(writer.acknowledged)} acknowledged, {len(writer.failures)} failed: {writer.failures[:3]}"
    )
    for name, uids in before.items():
        assert not uids & {pod.metadata.uid for pod in part(split, name).values()}, name
    assert len(writer.acknowledged) > 20
    assert not writer.damaged()
    # as MLflow, as a stranger and as the administrator
    assert proven(split.run(tags=TAGS, extra=extra).unchanged())
