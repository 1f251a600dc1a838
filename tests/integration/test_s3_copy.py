"""s3_bucket_copy and s3_bucket_compare between two real servers: history in order, metadata, odd keys, parts, kills, differences."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from lib import platform_clients as clients
from lib.modules import _RUNNER, ROOT, run_module
from lib.platform_run import parents
from lib.s3_buckets import read, remove
from lib.s3_second import second_server

PART = 5 * 1024 * 1024
ODD = [
    "a b+c",
    "ü/日本.bin",
    "per%20cent",
    "q?a=1&b=2",
    "'\"<>~!@$^*()",
    "x&amp;y",
    "deep/er/and/deeper/still.txt",
    "#hash",
    "a=b;c",
]


@pytest.fixture(scope="module")
def source_connection(request, connections, tmp_path_factory):
    """A second server, from the program of the platform (or what the file of MLOPS_TEST_CONNECTIONS names as `weed`)."""
    weed = connections.get("weed") or request.getfixturevalue("platform").program("seaweedfs", "weed")
    with second_server(weed, tmp_path_factory.mktemp("second")) as connection:
        yield connection


@pytest.fixture(scope="module")
def old(source_connection):
    """A client of the source."""
    return clients.s3(source_connection)


@pytest.fixture
def ends(old, s3):
    """The names of two versioned buckets, at the source and at the target."""
    names = [f"it-{uuid.uuid4().hex[:12]}" for _end in range(2)]
    for client, name in zip((old, s3), names):
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield names
    for client, name in zip((old, s3), names):
        remove(client, name)


@pytest.fixture
def run(ends, s3_connection, source_connection, tmp_path):
    """Run one of the two modules; the result must be no failure unless `fails` is set."""

    def call(module="s3_bucket_copy", fails=False, check=False, diff=False, **options):
        given = {
            **s3_connection,
            "name": ends[1],
            "source": {**source_connection, "bucket": ends[0]},
            "state_file": str(tmp_path / "state"),
        }
        result = run_module(module, {**given, **options}, check=check, diff=diff)
        assert bool(result.get("failed")) is fails, result
        assert source_connection["secret_key"] not in json.dumps(result) and s3_connection["secret_key"] not in json.dumps(result)
        return result

    return call


def sequence(client, bucket, key):
    """The contents of a key from the oldest to the newest, None for a delete marker, in the order of the server's own list."""
    link = client.generate_presigned_url("list_object_versions", {"Bucket": bucket, "Prefix": key})
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - the test's own server
        listed = ET.fromstring(answer.read())  # noqa: S314
    found = [(child.tag.rpartition("}")[2], child.findtext("{*}VersionId")) for child in listed if child.findtext("{*}Key") == key]
    return [read(client, bucket, key, VersionId=version) if kind == "Version" else None for kind, version in reversed(found)]


def fill(client, bucket):
    """A key with a history, whose steps are far enough apart for whole seconds, and one that is deleted."""
    for step in (b"one", b"two", None, b"three", b"two"):
        if step is None:
            client.delete_object(Bucket=bucket, Key="runs/history")
        else:
            client.put_object(Bucket=bucket, Key="runs/history", Body=step)
        time.sleep(1.1)
    client.put_object(Bucket=bucket, Key="gone", Body=b"was here")
    client.delete_object(Bucket=bucket, Key="gone")
    client.put_object(
        Bucket=bucket,
        Key="meta.json",
        Body=b"{}",
        ContentType="application/json",
        CacheControl="max-age=5",
        ContentDisposition='attachment; filename="m.json"',
        ContentEncoding="identity",
        Metadata={"owner": "me", "x-y": "1 2"},
        Tagging="stage=prod&a%20b=c%2Bd",
    )
    client.put_object(Bucket=bucket, Key="empty", Body=b"")


def upload(client, bucket, key, bodies):
    made, parts = client.create_multipart_upload(Bucket=bucket, Key=key, ContentType="x/big", Metadata={"k": "v"})["UploadId"], []
    for number, body in enumerate(bodies, 1):
        answer = client.upload_part(Bucket=bucket, Key=key, UploadId=made, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=made, MultipartUpload={"Parts": parts})


def test_a_history_is_copied_in_order_and_predicted(old, s3, ends, run, tmp_path):
    fill(old, ends[0])
    predicted = run(check=True, diff=True)
    assert predicted["changed"] and not (tmp_path / "state").exists()
    assert s3.list_object_versions(Bucket=ends[1]).get("Versions", []) == []
    done = run(diff=True, progress_file=str(tmp_path / "progress"))
    assert {**done, "diff": 0} == {**predicted, "diff": 0, "invocation": done["invocation"]} and done["diff"] == predicted["diff"]
    assert done["counts"] == {"keys": 4, "versions": 7, "delete_markers": 2, "bytes": 3 + 3 + 5 + 3 + 8 + 2}
    assert done["source"] == done["counts"] and done["target"]["keys"] == 0
    assert json.loads((tmp_path / "progress").read_text())["done"] == done["counts"]
    assert sequence(s3, ends[1], "runs/history") == [b"one", b"two", None, b"three", b"two"] == sequence(old, ends[0], "runs/history")
    assert sequence(s3, ends[1], "gone") == [b"was here", None]
    kept = [client.head_object(Bucket=name, Key="meta.json") for client, name in ((old, ends[0]), (s3, ends[1]))]
    for name in ("ContentType", "CacheControl", "ContentDisposition", "Metadata", "ETag"):
        assert kept[0][name] == kept[1][name], name
    tags = [client.get_object_tagging(Bucket=name, Key="meta.json")["TagSet"] for client, name in ((old, ends[0]), (s3, ends[1]))]
    assert sorted(tag["Key"] for tag in tags[0]) == ["a b", "stage"] and sorted(map(str, tags[0])) == sorted(map(str, tags[1]))
    again = run(diff=True)
    assert not again["changed"] and again["changes"] == [] and again["target"] == done["source"]
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600


def test_what_came_since_is_added_behind(old, s3, ends, run):
    old.put_object(Bucket=ends[0], Key="k", Body=b"1")
    run()
    old.put_object(Bucket=ends[0], Key="k", Body=b"2")
    old.delete_object(Bucket=ends[0], Key="k")
    old.put_object(Bucket=ends[0], Key="new", Body=b"n")
    done = run()
    assert done["counts"] == {"keys": 2, "versions": 2, "delete_markers": 1, "bytes": 2}
    assert done["changes"] == ["k: 1 version(s), 1 bytes, 1 delete marker(s)", "new: 1 version(s), 1 bytes"]
    assert sequence(s3, ends[1], "k") == [b"1", b"2", None]
    assert run("s3_bucket_compare")["equal"]


def test_versions_of_one_second_keep_their_order(old, s3, ends, run):
    steps = [b"0", None, b"1", None, b"2", b"2", None, b"3"]
    for step in steps:
        old.delete_object(Bucket=ends[0], Key="fast") if step is None else old.put_object(Bucket=ends[0], Key="fast", Body=step)
    run()
    assert sequence(old, ends[0], "fast") == steps == sequence(s3, ends[1], "fast")
    assert run("s3_bucket_compare")["equal"]
    assert not run(state_file=None)["changed"]


def test_odd_keys_come_over_as_they_are(old, s3, ends, run):
    for key in ODD:
        old.put_object(Bucket=ends[0], Key=key, Body=key.encode())
    assert run()["counts"]["keys"] == len(ODD)
    assert sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket=ends[1])["Contents"]) == sorted(ODD)
    assert all(read(s3, ends[1], key) == key.encode() for key in ODD)
    assert run("s3_bucket_compare")["read"] == len(ODD) and not run()["changed"]


@pytest.mark.parametrize("versions", ["all", "current"])
def test_a_key_with_a_slash_at_its_end(old, s3, ends, run, versions):
    old.put_object(Bucket=ends[0], Key="folder/", Body=b"")
    old.put_object(Bucket=ends[0], Key="folder/file", Body=b"f")
    run(versions=versions)
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=ends[1])["Contents"]] == [
        e["Key"] for e in old.list_objects_v2(Bucket=ends[0])["Contents"]
    ]
    assert run("s3_bucket_compare", versions=versions)["equal"] and not run(versions=versions)["changed"]


def test_an_upload_in_parts_stays_one(old, s3, ends, run):
    bodies = [b"a" * PART, b"b" * PART, b"the end"]
    upload(old, ends[0], "big", bodies)
    upload(old, ends[0], "larger", [b"c" * (PART + 1), b"d"])
    run()
    for key in ("big", "larger"):
        before, after = old.head_object(Bucket=ends[0], Key=key), s3.head_object(Bucket=ends[1], Key=key)
        assert all(before[name] == after[name] for name in ("ETag", "ContentType", "Metadata", "ContentLength"))
    assert read(s3, ends[1], "big") == b"".join(bodies)
    assert s3.list_multipart_uploads(Bucket=ends[1]).get("Uploads", []) == []
    # recognised by the ETag alone
    assert not run(state_file=None)["changed"]


def test_a_large_object_does_not_pass_through_memory(old, ends, run):
    """In parts of 40 MiB, through a file: the module's memory stays far below the object's size."""
    upload(old, ends[0], "big", [b"x" * (40 * 1024 * 1024)] * 5)
    with memory_of("s3_bucket_copy") as copied:
        result = run(workers=1)
    assert result["counts"]["bytes"] == 200 * 1024 * 1024
    with memory_of("s3_bucket_compare") as compared:
        assert run("s3_bucket_compare")["equal"]
    assert 0 < copied[0] < 190 * 1024 and 0 < compared[0] < 190 * 1024


@contextlib.contextmanager
def memory_of(module):
    """Give a list with the most memory (KiB) that the process of `module` has had. (What getrusage() says includes its parent's.)"""
    most, done = [0], threading.Event()

    def look():
        while not done.wait(0.05):
            for pid in [pid for pid, parent in parents().items() if parent == os.getpid()]:
                with contextlib.suppress(OSError):
                    if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                        most[0] = max([most[0], *map(int, re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE))])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def test_a_copy_that_was_killed_goes_on(old, s3, ends, run, s3_connection, source_connection, tmp_path):
    for number in range(150):
        for body in (b"1", b"2"):
            old.put_object(Bucket=ends[0], Key=f"k/{number:03}", Body=body * (number + 1))
    given = {**s3_connection, "name": ends[1], "source": {**source_connection, "bucket": ends[0]}, "state_file": str(tmp_path / "state")}
    arguments = json.dumps({**given, "_ansible_check_mode": False})
    process = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(ROOT / "collections"), "s3_bucket_copy"],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdin.write(arguments)
    process.stdin.close()
    deadline = time.monotonic() + 60
    while not (tmp_path / "state").exists() or len((tmp_path / "state").read_text().splitlines()) < 50:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # as a kill in the middle of a write leaves it
    with (tmp_path / "state").open("a") as state:
        state.write('{"key":"k/0')
    resumed = run()
    assert 0 < resumed["counts"]["versions"] <= 300 - 40
    compared = run("s3_bucket_compare")
    assert compared["equal"] and compared["read"] == 300 and compared["target"] == compared["source"]
    assert run("s3_bucket_compare")["read"] == 0
    assert not run()["changed"]


def test_only_current_objects(old, s3, ends, run):
    fill(old, ends[0])
    done = run(versions="current")
    assert done["counts"] == {"keys": 3, "versions": 3, "delete_markers": 0, "bytes": 5}
    assert sequence(s3, ends[1], "runs/history") == [b"two"] and sequence(s3, ends[1], "gone") == []
    # deleted and replaced since; what others wrote to the target stays
    old.delete_object(Bucket=ends[0], Key="empty")
    old.put_object(Bucket=ends[0], Key="runs/history", Body=b"TWO")
    s3.put_object(Bucket=ends[1], Key="theirs", Body=b"t")
    assert run(versions="current")["counts"] == {"keys": 2, "versions": 1, "delete_markers": 1, "bytes": 3}
    assert sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket=ends[1])["Contents"]) == ["meta.json", "runs/history", "theirs"]
    assert read(s3, ends[1], "runs/history") == b"TWO"
    compared = run("s3_bucket_compare", versions="current")
    assert compared["differences"] == ["theirs: not at the source"] and compared["extra"] == 1
    assert run("s3_bucket_compare", versions="current", ignore_extra=True)["equal"]
    assert not run(versions="current")["changed"]


def test_an_unversioned_source_and_target(old, s3, ends, run, source_connection):
    plain = [f"{name}-plain" for name in ends]
    old.create_bucket(Bucket=plain[0])
    s3.create_bucket(Bucket=plain[1])
    try:
        old.put_object(Bucket=plain[0], Key="k", Body=b"1")
        source = {**source_connection, "bucket": plain[0]}
        refused = run(fails=True, name=plain[1], source=source)
        assert "does not keep versions" in refused["msg"]
        options = {"name": plain[1], "versions": "current", "source": source, "state_file": None}
        assert run(**options)["counts"]["versions"] == 1
        assert not run(**options)["changed"]
        old.put_object(Bucket=plain[0], Key="k", Body=b"2")
        assert run(**options)["counts"]["versions"] == 1 and read(s3, plain[1], "k") == b"2"
    finally:
        remove(old, plain[0])
        remove(s3, plain[1])


@pytest.mark.parametrize("damage", ["content", "missing", "order", "extra"])
def test_a_difference_is_told(old, s3, ends, run, damage):
    for body in (b"one", b"two"):
        old.put_object(Bucket=ends[0], Key="a/b/k", Body=body)
    old.put_object(Bucket=ends[0], Key="a/b/other", Body=b"same")
    run()
    versions = s3.list_object_versions(Bucket=ends[1], Prefix="a/b/k")["Versions"]
    for version in versions if damage in ("order", "missing") else versions[:1] if damage == "content" else []:
        s3.delete_object(Bucket=ends[1], Key="a/b/k", VersionId=version["VersionId"])
    for body in {"order": (b"two", b"one"), "content": (b"tw0",)}.get(damage, ()):
        s3.put_object(Bucket=ends[1], Key="a/b/k", Body=body)
    if damage == "extra":
        s3.put_object(Bucket=ends[1], Key="a/b/more", Body=b"more")
    found = run("s3_bucket_compare")
    words = {"content": "number 2 of 2", "missing": "not at the target", "order": "number 1 of 2", "extra": "more: not at the source"}
    assert not found["equal"] and found["difference_count"] == 1 and words[damage] in found["differences"][0], found
    assert damage not in ("missing", "extra") or list(found["folders"]) == ["a/b"]
    assert run("s3_bucket_compare", contents=False, state_file=None)["equal"] is (damage in ("content", "order"))
    if damage == "content":
        assert "an order cannot be kept" in run(fails=True, state_file=None)["msg"]
    if damage == "order":
        # the newest of the target are the source's again, in order
        run(state_file=None)
        assert run("s3_bucket_compare")["older"] == 1 and sequence(s3, ends[1], "a/b/k")[-2:] == [b"one", b"two"]


def test_a_target_that_forms_other_etags_is_recognised_by_content(old, s3, ends, run):
    """Put in one piece at one end and in two parts at the other: the ETags say nothing."""
    body = b"z" * PART + b"end"
    old.put_object(Bucket=ends[0], Key="k", Body=body)
    upload(s3, ends[1], "k", [body[:PART], body[PART:]])
    assert old.head_object(Bucket=ends[0], Key="k")["ETag"] != s3.head_object(Bucket=ends[1], Key="k")["ETag"]
    assert not run()["changed"]
    assert run("s3_bucket_compare")["read"] == 0


def test_both_ends_are_refused_in_one_message(run, source_connection, ends):
    wrong = {**source_connection, "bucket": "it-not-there"}
    message = run(fails=True, source=wrong, name="it-neither")["msg"]
    assert "source: there is no bucket it-not-there" in message and "target: there is no bucket it-neither" in message
    denied = run(fails=True, source={**source_connection, "bucket": ends[0], "secret_key": "wrong-" + hashlib.sha256(b"").hexdigest()})
    assert "source:" in denied["msg"] and "No problem" not in denied["msg"]


def test_the_record_of_another_pair_is_refused(ends, run, old, source_connection):
    run()
    other = f"{ends[0]}-b"
    old.create_bucket(Bucket=other)
    try:
        assert "give another file" in run(fails=True, source={**source_connection, "bucket": other})["msg"]
    finally:
        remove(old, other)


def filled(options, values):
    """Return the options of an example, with those texts replaced that `values` has."""
    return {key: filled(value, values) if isinstance(value, dict) else values.get(value, value) for key, value in options.items()}


def test_the_examples_of_both_modules(old, s3, s3_connection, source_connection, tmp_path):
    """As they stand, with the values of these servers: a bucket is copied, and is equal then."""
    values = {f"s3_{name}": s3_connection[name] for name in ("endpoint_url", "access_key", "secret_key")}
    values |= {f"s3_source_{name}": source_connection[name] for name in ("access_key", "secret_key")}
    values["s3_source_url"] = source_connection["endpoint_url"]
    values = {f"{{{{ {name} }}}}": value for name, value in values.items()}
    values["/var/tmp/example-copy.jsonl"] = str(tmp_path / "state")  # noqa: S108
    old.create_bucket(Bucket="example-old")
    s3.create_bucket(Bucket="example-new")
    try:
        s3.put_bucket_versioning(Bucket="example-new", VersioningConfiguration={"Status": "Enabled"})
        old.put_object(Bucket="example-old", Key="k", Body=b"1")
        for name in ("s3_bucket_copy", "s3_bucket_compare"):
            text = importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").EXAMPLES
            result = run_module(name, filled(yaml.safe_load(text)[0][f"mlops.platform.{name}"], values))
            assert not result.get("failed"), result
        assert result["equal"] and read(s3, "example-new", "k") == b"1"
    finally:
        remove(old, "example-old")
        remove(s3, "example-new")
