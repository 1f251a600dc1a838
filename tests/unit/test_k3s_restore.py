"""The way back to a snapshot of K3s's etcd: what is refused, and what each step leaves, without a systemd."""

from __future__ import annotations

import hashlib
import os
import zipfile

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import k3s_restore, k3s_service, k3s_snapshot
from ansible_collections.mlops.platform.plugins.modules import k3s_snapshot_info

INSTALLED = "v1.34.1+k3s1"


def node(version, proxy=b""):
    """The part of a stored Node object that tells its versions."""
    text = version.encode()
    return b"\x3a" + bytes([len(text)]) + text + b"\x42" + bytes([len(proxy)]) + proxy


def snapshot(path, *versions, pages=4096):
    """A file as etcd writes it: whole pages, and their checksum."""
    body = b"".join(map(node, versions)).ljust(pages, b"\0")
    path.write_bytes(body + hashlib.sha256(body).digest())
    return path


def test_a_snapshot_is_read_for_its_checksum_and_the_newest_node(tmp_path):
    file = snapshot(tmp_path / "one", "v1.33.5+k3s1", "v1.34.1+k3s2", "v1.34.1+k3s1")
    assert k3s_snapshot.read(str(file)) == (True, "v1.34.1+k3s2")
    file.write_bytes(file.read_bytes()[:-1])
    assert k3s_snapshot.read(str(file)) == (False, "v1.34.1+k3s2")
    body = bytearray(snapshot(file).read_bytes())
    body[100] = 1
    file.write_bytes(body)
    assert k3s_snapshot.read(str(file)) == (False, "")
    assert k3s_snapshot.read(str(tmp_path / "none")) == (False, "")


@pytest.mark.parametrize("shift", range(0, 70, 7))
def test_where_a_chunk_ends_does_not_matter(tmp_path, monkeypatch, shift):
    file = snapshot(tmp_path / "one", "v1.33.5+k3s1")
    monkeypatch.setattr(k3s_snapshot, "CHUNK", 5 + shift)
    assert k3s_snapshot.read(str(file)) == (True, "v1.33.5+k3s1")


def test_a_compressed_snapshot_is_read_too(tmp_path):
    file = snapshot(tmp_path / "one", INSTALLED)
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.write(file, "one")
    assert k3s_snapshot.read(str(tmp_path / "one.zip")) == (True, INSTALLED)


def test_a_text_that_is_no_node_says_no_version(tmp_path):
    file = tmp_path / "one"
    body = b"image: rancher/k3s:v9.9.9+k3s1".ljust(512, b"\0")
    file.write_bytes(body + hashlib.sha256(body).digest())
    assert k3s_snapshot.read(str(file)) == (True, "")


FOUND = {"listed": [{"name": "one", "time": "T", "size": 2048}], "there": True, "in_bucket": None, "whole": True, "version": INSTALLED}


@pytest.mark.parametrize(
    ("wish", "found", "installed", "says"),
    [
        ({}, {}, INSTALLED, []),
        ({"name": ""}, {}, INSTALLED, ["names no snapshot; there are: one (T, 2 KiB)"]),
        ({"name": ""}, {"listed": []}, INSTALLED, ["there is none on this server"]),
        ({}, {"there": False}, INSTALLED, ["there is no snapshot one on this server; there are: one (T, 2 KiB)"]),
        ({}, {"whole": False}, INSTALLED, ["not what etcd wrote"]),
        ({}, {"version": "v1.35.0+k3s1"}, INSTALLED, ["which may not read it: upgrade first"]),
        # within a minor version the data are the same
        ({}, {"version": "v1.34.9+k3s1"}, INSTALLED, []),
        ({}, {"version": ""}, INSTALLED, []),
        ({"wanted": "v1.35.0+k3s1"}, {}, INSTALLED, ["restore with that one, and upgrade afterwards"]),
        ({}, {"there": False}, "", ["no snapshot one", "K3s is not installed"]),
        ({"bucket": True}, {"there": False}, INSTALLED, []),
        ({"bucket": True}, {"in_bucket": ["two"]}, INSTALLED, ["the bucket has no snapshot one; it has: two"]),
        ({"bucket": True, "name": "/root/one"}, {}, INSTALLED, ["is a path"]),
    ],
)
def test_what_is_refused(wish, found, installed, says):
    said = k3s_snapshot.problems({"name": "one", "bucket": False, "wanted": INSTALLED, **wish}, {**FOUND, **found}, installed)
    assert len(said) == len(says)
    assert all(text in one for text, one in zip(says, said))


LS = """Name  Location                                 Size Created
one   s3://etcd/vms/one                        5062 2026-07-22T10:02:03Z
two   file:///var/lib/rancher/k3s/server/db/two 5062 2026-07-22T10:02:03Z
"""


@pytest.mark.parametrize(
    ("active", "output", "names"), [("active", LS, ["one"]), ("inactive", LS, None), ("active", 'level=fatal msg="refused"', None)]
)
def test_the_names_in_a_bucket_are_what_a_running_k3s_says(monkeypatch, active, output, names):
    monkeypatch.setattr(k3s_service, "state", lambda _unit: {"ActiveState": active})
    monkeypatch.setattr(k3s_snapshot_info.host_node, "output", lambda *_command: output)
    assert k3s_snapshot_info.in_bucket() == names


class Systemd:
    """Notes what it is asked for; the reset that it runs does what K3s does, or fails half-way."""

    def __init__(self, data, fails=""):
        self.data, self.fails, self.calls = data, fails, []

    def state(self, _unit):
        return {"LoadState": "loaded", "ActiveState": "active"}

    def systemctl(self, *arguments):
        self.calls.append(" ".join(arguments))

    def call(self, *command):
        self.calls.append(" ".join(command))
        etcd = self.data / "server/db/etcd"
        assert not (self.data / "server/db/reset-flag").exists()
        # of K3s itself: what is there is moved
        if etcd.exists():
            etcd.rename(self.data / "server/db/etcd-old-1")
        etcd.mkdir()
        if self.fails:
            raise k3s_service.Failed(self.fails)
        (etcd / "member").mkdir()
        (self.data / "server/db/reset-flag").touch()
        return ""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Return what makes a server with an etcd of before, and the systemd that it has."""

    def make(fails=""):
        (tmp_path / "server/db/etcd/member").mkdir(parents=True)
        (tmp_path / "server/db/etcd/name").write_text("before")
        systemd = Systemd(tmp_path, fails)
        for name in ("state", "systemctl", "call"):
            monkeypatch.setattr(k3s_service, name, getattr(systemd, name))
        said = ['time="T" level=fatal msg="etcd: no space left on device"']
        monkeypatch.setattr(k3s_restore.k3s_journal, "read", lambda _unit, _since: said)
        return systemd

    return make


def step(tmp_path, bucket=False):
    k3s_restore.reset(str(tmp_path), "/snapshots/one", bucket, ["/etc/default/mlops-proxy"], 600)


def there(tmp_path):
    return sorted(name.split("-old-")[0] for name in os.listdir(tmp_path / "server/db"))


def test_a_restore_from_beginning_to_end(tmp_path, server):
    systemd = server()
    k3s_restore.stop(str(tmp_path))
    # a machine that boots now must not start it
    assert systemd.calls == ["disable k3s.service", "stop k3s.service"]
    assert there(tmp_path) == ["etcd-before-restore"]
    step(tmp_path)
    command = systemd.calls[-1]
    assert command.endswith(" server --cluster-reset --cluster-reset-restore-path=/snapshots/one --server= --etcd-s3=false")
    assert "--property=EnvironmentFile=-/etc/default/mlops-proxy" in command
    assert k3s_restore.end(str(tmp_path)) is True
    assert there(tmp_path) == ["etcd", "etcd", "reset-flag"]
    assert k3s_restore.end(str(tmp_path)) is False


def test_from_a_bucket_its_configuration_is_k3s_own(tmp_path, server):
    systemd = server()
    k3s_restore.stop(str(tmp_path))
    step(tmp_path, bucket=True)
    assert systemd.calls[-1].endswith(" --server=")


def test_killed_after_each_step_and_begun_again(tmp_path, server):
    systemd = server()
    k3s_restore.stop(str(tmp_path))
    k3s_restore.stop(str(tmp_path))
    step(tmp_path)
    # its flag would refuse a second reset
    k3s_restore.stop(str(tmp_path))
    assert there(tmp_path) == ["etcd-before-restore", "reset-flag"]
    step(tmp_path)
    k3s_restore.end(str(tmp_path))
    old = next((tmp_path / "server/db").glob("etcd-old-*"))
    assert (old / "name").read_text() == "before"
    assert len(systemd.calls) == 8


def test_what_failed_is_told_and_taken_back(tmp_path, server):
    systemd = server("exit code 1")
    k3s_restore.stop(str(tmp_path))
    with pytest.raises(k3s_restore.Failed, match=r"no space left on device. What to do: free some space"):
        step(tmp_path)
    assert k3s_restore.undo(str(tmp_path)) is True
    assert (tmp_path / "server/db/etcd/name").read_text() == "before"
    assert systemd.calls[-2:] == ["enable k3s.service", "start --no-block k3s.service"]
    assert k3s_restore.undo(str(tmp_path)) is False


def test_a_server_without_etcd_is_known_as_one_that_is_restored(tmp_path, server):
    systemd = server()
    (tmp_path / "server/db/etcd").rename(tmp_path / "elsewhere")
    k3s_restore.stop(str(tmp_path))
    assert there(tmp_path) == ["etcd-before-restore"]
    step(tmp_path)
    assert k3s_restore.undo(str(tmp_path)) is True
    # it would begin a cluster of its own
    assert there(tmp_path) == [] and "start" not in systemd.calls[-1]
