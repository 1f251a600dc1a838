"""cluster_port_forward with a real pod: amounts, many at once, pods that go, and the process's own life."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import threading
import time
import urllib.request

import pytest
from lib.cluster_pods import SERVER, Workloads, own_namespace

SIZE = 100_000_000


@pytest.fixture(scope="module")
def place(cluster):
    with own_namespace(cluster) as name:
        place = Workloads(cluster, name)
        probe = {"readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}, "ports": [{"name": "web", "containerPort": 8000}]}
        place.apply("Deployment", "web", command=["python3", "-c", SERVER], replicas=2, container=probe)
        ports = [{"port": 80, "targetPort": "web"}]
        cluster.core.create_namespaced_service(name, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}})
        assert place.rollout("Deployment", "web")["workloads"][0]["ready"]
        yield place


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def forward(place, runtime):
    found = place.run("cluster_port_forward", service="web", port=80, direct="")
    assert found.get("forwarded"), found
    yield found
    place.run("cluster_port_forward", service="web", port=80, direct="", state="absent")


def get(url, data=None):
    with urllib.request.urlopen(url, data, timeout=60) as answer:  # noqa: S310
        return answer.read()


def alive(pid):
    """Whether the process runs; one that has ended and that nobody has asked about does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_100_mb_each_way(forward):
    pattern = bytes(range(256)) * 4096
    data = (pattern * (SIZE // len(pattern) + 1))[:SIZE]
    began = time.monotonic()
    assert get(f"{forward['url']}/big/{SIZE}") == data
    down = time.monotonic() - began
    began = time.monotonic()
    assert get(forward["url"], data).decode() == hashlib.sha256(data).hexdigest()
    up = time.monotonic() - began
    print(f"down {SIZE / down / 1e6:.0f} MB/s, up {SIZE / up / 1e6:.0f} MB/s")
    # far below what a quiet machine does; slower, and it is broken
    assert down < 30 and up < 30


def logs(runtime):
    """What the processes that forward have said."""
    return "".join(path.read_text(encoding="utf-8") for path in runtime.glob("*/*.log"))


def test_many_at_once(forward, runtime):
    wrong = []

    def talk(number):
        for _turn in range(3):
            data = bytes([number]) * (number * 10_000 + 1)
            try:
                answer = get(forward["url"], data).decode()
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"{number}: {error!r}")
            else:
                wrong.extend([] if answer == hashlib.sha256(data).hexdigest() else [f"{number}: another digest"])

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [], logs(runtime)


def test_another_pod_takes_over(place, forward):
    first = get(forward["url"]).decode()
    place.cluster.core.delete_namespaced_pod(first, place.namespace)
    until, names = time.monotonic() + 60, set()
    while time.monotonic() < until and not names - {first}:
        # what was under way to the pod that ends, ends with it
        with contextlib.suppress(OSError, http.client.HTTPException):
            names.add(get(forward["url"]).decode())
    assert names - {first}
    place.rollout("Deployment", "web")


def test_the_same_process_for_the_same_target(place, forward):
    again = place.run("cluster_port_forward", service="web", port=80, direct="")
    assert (again["pid"], again["port"]) == (forward["pid"], forward["port"])
    other = place.run("cluster_port_forward", service="web", port=80, direct="", session="another")
    assert other["pid"] != forward["pid"]
    place.run("cluster_port_forward", service="web", port=80, direct="", session="another", state="absent")
    assert get(forward["url"]) and not alive(other["pid"])


def test_a_killed_process_is_started_again(place, forward):
    os.kill(forward["pid"], 9)
    again = place.run("cluster_port_forward", service="web", port=80, direct="")
    assert again["pid"] != forward["pid"] and get(again["url"])


def test_absent_ends_it(place, forward):
    arguments = {"service": "web", "port": 80, "direct": "", "state": "absent"}
    assert place.run("cluster_port_forward", check=True, **arguments)["stopped"] and alive(forward["pid"])
    assert place.run("cluster_port_forward", **arguments)["stopped"] and not alive(forward["pid"])
    assert not place.run("cluster_port_forward", **arguments)["stopped"]


def test_it_ends_by_itself(place, runtime):
    found = place.run("cluster_port_forward", selector="app=web", port=8000, idle_seconds=2)
    assert get(found["url"])
    until = time.monotonic() + 20
    while alive(found["pid"]) and time.monotonic() < until:
        time.sleep(0.2)
    assert not alive(found["pid"])
    left = sorted(path.suffix for path in runtime.glob("*/*"))
    assert left == [".alive", ".start"]


def test_starts_at_once_share_one(place, runtime):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(place.run("cluster_port_forward", service="web", port=80, direct="")))
        for _number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result["pid"] for result in found}) == 1
    place.run("cluster_port_forward", service="web", port=80, direct="", state="absent")


def test_a_port_that_nobody_has(place, runtime):
    # a pod that an earlier test deleted may still be ending, and is never ready again
    name = next(pod.metadata.name for pod in place.pods("web") if not pod.metadata.deletion_timestamp)
    found = place.run("cluster_port_forward", pod=name, port=9)
    assert found.get("forwarded"), found
    with pytest.raises(OSError):
        get(found["url"])
    assert "refused" in logs(runtime)
    place.run("cluster_port_forward", pod=name, port=9, state="absent")


def test_no_permission_shows_at_once(place, cluster, runtime):
    rules = [{"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get", "list"]}]
    kubeconfig = cluster.kubeconfig_of(place.namespace, "looker", rules)
    result = place.run("cluster_port_forward", service="web", port=80, direct="", kubeconfig=kubeconfig)
    assert result["failed"] and "pods/portforward" in result["msg"]


def test_nothing_is_ready(place, runtime):
    place.apply("Deployment", "none", image="registry.invalid/no/such:1")
    result = place.run("cluster_port_forward", selector="app=none", port=80, timeout=2)
    assert result["failed"] and "no pod of the selector app=none" in result["msg"]
    assert place.run("cluster_port_forward", check=True, selector="app=none", port=80)["available"] is False
