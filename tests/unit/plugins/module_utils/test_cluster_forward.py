"""What a forward leads to, how it is found again, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_forward_start, cluster_forward_state
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_state import State, identity, private_directory
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_target import Target

CORE = "/api/v1/namespaces/ns"


def pod(name, ready=True, born="2026-01-01T00:00:00Z", **metadata):
    container = {"ports": [{"name": "web", "containerPort": 8080}]}
    return {
        "metadata": {"name": name, "creationTimestamp": born, **metadata},
        "spec": {"containers": [{}, container]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def service(target_port=None, **spec):
    ports = [{"port": 80, **({"targetPort": target_port} if target_port else {})}]
    return {"spec": {"ports": ports, "selector": {"a": "b", "c": "d"}, "clusterIP": "10.0.0.7", **spec}}


class TestTarget:
    def target(self, api, **options):
        found = Target(Cluster(api.params), "ns", options.pop("port", 80), **options)
        found.load()
        return found

    @pytest.mark.parametrize(("target_port", "number"), [(None, 80), (5000, 5000), ("web", 8080)])
    def test_a_service(self, api, target_port, number):
        api.answers[f"{CORE}/services/s"] = service(target_port)
        api.answers[f"{CORE}/pods"] = {"items": [pod("new", born="2026-01-02T00:00:00Z"), pod("old"), pod("not-ready", ready=False)]}
        target = self.target(api, service="s")
        assert target.pick() == ("old", number) and target.addresses == ["10.0.0.7"]
        assert target.pick(avoid={"old"}) == ("new", number)
        assert api.asked[-1].query == {"labelSelector": "a=b,c=d"}

    def test_a_pod_that_is_ending_is_not_ready(self, api):
        api.answers[f"{CORE}/pods"] = {"items": [pod("a", deletionTimestamp="2026-01-02T00:00:00Z")]}
        assert self.target(api, selector="x=y").pick() is None

    def test_a_pod_by_name(self, api):
        api.answers[f"{CORE}/pods/a"] = pod("a")
        assert self.target(api, pod="a", port=8080).pick() == ("a", 8080)

    @pytest.mark.parametrize(
        ("found", "words"),
        [
            (None, "there is no Service s in the namespace ns"),
            (service(selector=None), "selects no pods"),
            ({"spec": {"ports": [{"port": 81}, {"port": 82}]}}, "has no port 80; its ports are: 81, 82"),
        ],
    )
    def test_what_cannot_be_forwarded_to(self, api, found, words):
        if found:
            api.answers[f"{CORE}/services/s"] = found
        with pytest.raises(ClusterError, match=words):
            self.target(api, service="s")

    def test_a_port_that_no_container_names(self, api):
        api.answers[f"{CORE}/services/s"] = service("grpc")
        api.answers[f"{CORE}/pods"] = {"items": [pod("a")]}
        with pytest.raises(ClusterError, match="has no port named grpc"):
            self.target(api, service="s").pick()

    def test_a_headless_service_has_no_address(self, api):
        api.answers[f"{CORE}/services/s"] = service(clusterIP="None", clusterIPs=["None"])
        assert self.target(api, service="s").addresses == []


class TestDirect:
    def test_what_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            assert cluster_forward_start.connects("localhost", port)
            assert cluster_forward_start.connects("localhost", port, ["127.0.0.1"])
            assert not cluster_forward_start.connects("localhost", port, ["10.0.0.7"])
        assert not cluster_forward_start.connects("localhost", port)

    def test_a_name_that_leads_nowhere(self):
        assert not cluster_forward_start.connects("no.such.name.invalid", 80)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


class TestState:
    def test_the_directory_is_private(self, place):
        path = private_directory()
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o700 and path.startswith(str(place))
        os.chmod(path, 0o750)  # noqa: S103 - that is what is refused
        with pytest.raises(ClusterError, match="is not a directory of this user alone"):
            private_directory()

    def test_a_link_in_its_place_is_not_followed(self, place):
        (place / "elsewhere").mkdir(mode=0o700)
        (place / f"mlops-port-forward-{os.geteuid()}").symlink_to(place / "elsewhere")
        with pytest.raises(ClusterError, match="is not a directory of this user alone"):
            private_directory()

    def test_without_a_runtime_directory(self, place, monkeypatch):
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/does/not/exist")
        monkeypatch.setattr(cluster_forward_state.tempfile, "gettempdir", lambda: str(place))
        assert private_directory().startswith(str(place))

    def test_names(self):
        assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1}) != identity({"a": 1, "b": 3})

    def test_notes_count_as_long_as_the_process_lives(self, place):
        state, other = State("x"), State("x")
        state.note({"pid": 1, "port": 2})
        assert other.running() is None
        assert state.hold() and not other.hold()
        assert other.running() == {"pid": 1, "port": 2}
        state.release()
        assert other.running() is None
        assert stat.S_IMODE(os.stat(f"{state.base}.json").st_mode) == 0o600

    @pytest.mark.parametrize("deaf", [False, True])
    def test_stop(self, place, monkeypatch, deaf):
        monkeypatch.setattr(cluster_forward_state, "STOP", 1)
        state = State("x")
        ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else ""
        lines = ["import fcntl, signal, sys, time", ignore, "f = open(sys.argv[1], 'w')", "fcntl.flock(f, fcntl.LOCK_EX)"]
        code = "\n".join([*lines, "print(flush=True)", "time.sleep(60)"])
        process = subprocess.Popen([sys.executable, "-c", code, f"{state.base}.alive"], stdout=subprocess.PIPE)
        process.stdout.readline()
        state.note({"pid": process.pid, "port": 1})
        state.log("a line")
        assert state.stop()
        assert process.wait(10) == -(signal.SIGKILL if deaf else signal.SIGTERM)
        assert sorted(path.name for path in place.glob("*/*")) == ["x.alive"]
        assert not state.stop()

    def test_the_log_is_private(self, place):
        state = State("x")
        state.log("one")
        state.log("two")
        assert stat.S_IMODE(os.stat(state.log_path).st_mode) == 0o600
        with open(state.log_path, encoding="utf-8") as stream:
            assert [line.split(" ", 1)[1] for line in stream] == ["one\n", "two\n"]


PARAMS = {"namespace": "ns", "service": "s", "pod": None, "selector": None, "port": 80, "session": "", "kubeconfig": None}


class TestIdentity:
    def test_another_kubeconfig_at_the_same_place_is_another_forward(self, place):
        (place / "k").write_text("one", encoding="utf-8")
        params = {**PARAMS, "kubeconfig": str(place / "k")}
        first = cluster_forward_start.state_of(params).base
        assert cluster_forward_start.state_of(params).base == first
        (place / "k").write_text("two", encoding="utf-8")
        assert cluster_forward_start.state_of(params).base != first

    @pytest.mark.parametrize("change", [{"port": 81}, {"session": "host-2"}, {"namespace": "other"}, {"context": "c"}])
    def test_what_tells_forwards_apart(self, place, change):
        assert cluster_forward_start.state_of(PARAMS).base != cluster_forward_start.state_of({**PARAMS, **change}).base

    def test_time_outs_do_not(self, place):
        assert (
            cluster_forward_start.state_of(PARAMS).base == cluster_forward_start.state_of({**PARAMS, "idle_seconds": 1, "timeout": 3}).base
        )


def test_a_process_that_cannot_start_says_why(place, api):
    """Through the fork and the pipe, without a pod: the error is the server's."""
    params = {**PARAMS, **api.params, "direct": "", "timeout": 0, "idle_seconds": 5}
    state = cluster_forward_start.state_of(params)
    with pytest.raises(ClusterError, match="there is no Service s in the namespace ns; deploy it first"):
        cluster_forward_start.start(params, state)
    api.answers[f"{CORE}/services/s"] = service()
    api.answers[f"{CORE}/pods"] = {"items": []}
    with pytest.raises(ClusterError, match="no pod of the Service s .* is ready"):
        cluster_forward_start.start(params, state)
    until = time.monotonic() + 5
    while state.running() and time.monotonic() < until:
        time.sleep(0.05)
    assert state.running() is None


def test_whoever_finds_a_forward_does_not_end_it(place, api, monkeypatch):
    """As soon as its notes are there, another run may announce a connection: with a signal that ends a process which heeds none."""
    params = {
        **PARAMS,
        **api.params,
        "namespace": "ns",
        "service": None,
        "pod": "a",
        "port": 8080,
        "direct": "",
        "timeout": 5,
        "idle_seconds": 30,
    }
    api.answers[f"{CORE}/pods/a"] = pod("a")
    state, note = cluster_forward_start.state_of(params), State.note

    def note_and_be_found(self, values):
        note(self, values)
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(cluster_forward_start.Forwarder, "try_out", lambda *_unused: None)
    monkeypatch.setattr(State, "note", note_and_be_found)
    found = cluster_forward_start.start(params, state)
    assert state.running() == found
    assert state.stop()
