"""Measures the Kubernetes substrate: time to converge on an empty cluster, runs that change nothing with their API requests, and memory.

    KUBECONFIG=... python tests/benchmarks/bench_kubernetes.py [--rounds 3] [--seconds 20]

It makes a platform of its own in a namespace of its own, and removes it. The API server's own metrics count the requests; what it gets
without a run in the same time (kubelet, controllers) is measured before and taken off. So let nothing else run playbooks in the cluster.
Memory is the working set that the kernel accounts to each pod's group, against the limit, after a load on MLflow: metrics from several
clients, and artifacts. That needs the node to be this machine. Prints one JSON line each.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from lib.cluster_platform import ClusterPlatform, given_kubeconfig  # noqa: E402
from lib.platform_clients import Load  # noqa: E402

SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>[0-9.e+]+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
CLIENTS = 8


def say(**values):
    print(json.dumps(values), flush=True)


def requests(cluster):
    """Return how many requests the API server has answered, by (verb, resource). Watches count when they end: they are left out."""
    asked = cluster.client.param_serialize("GET", "/metrics", header_params={"Accept": "text/plain"}, auth_settings=["BearerToken"])
    text = cluster.client.call_api(*asked).read().decode()
    found = collections.Counter()
    for sample in SAMPLE.finditer(text):
        labels = dict(LABEL.findall(sample["labels"]))
        if labels.get("verb") != "WATCH":
            found[labels.get("verb"), labels.get("resource", "")] += float(sample["value"])
    return found


def background(cluster, seconds):
    """Return the requests per second without a run."""
    before = requests(cluster)
    time.sleep(seconds)
    return {key: value / seconds for key, value in (requests(cluster) - before).items()}


def unchanged(platform, rate):
    """Return (seconds, requests of the run by verb and resource) of a run that changes nothing."""
    before, began = requests(platform.cluster), time.monotonic()
    run = platform.run().unchanged()
    after, seconds = requests(platform.cluster), time.monotonic() - began
    made = {key: round(value - rate.get(key, 0) * seconds) for key, value in (after - before).items()}
    return run.seconds, {key: value for key, value in made.items() if value > 0}


def limit_of(pod):
    """Return the sum of the memory limits of the pod's containers in bytes."""
    found = 0
    for container in pod.spec.containers:
        number, unit = re.fullmatch(r"([0-9.]+)([KMG]i)?", container.resources.limits["memory"]).groups()
        found += float(number) * UNITS.get(unit, 1)
    return found


def group_of(pod):
    """Return the directory of the pod's control group, version 1 or 2."""
    name = pod.metadata.uid
    for top in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        for place in top.glob("**/kubepods*"):
            found = [*place.glob(f"**/*{name}"), *place.glob(f"**/*{name.replace('-', '_')}.slice")]
            if found:
                return found[0]
    return None


def memory(pod):
    """Return (working set, highest use) of the pod's group in bytes, None where the kernel does not say it here."""
    group = group_of(pod)
    if group is None:
        return None, None
    old = (group / "memory.usage_in_bytes").exists()
    names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes") if old else ("memory.current", "memory.peak")
    now, top = (int((group / name).read_text()) if (group / name).exists() else None for name in names)
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return now - int(stat.get("total_inactive_file", stat.get("inactive_file", 0))), top


def load(platform, seconds):
    """Log metrics from several clients, and put and get artifacts beside them."""
    run_id, stop = platform.new_run("artifacts"), threading.Event()
    content = os.urandom(8_000_000)

    def artifacts():
        number = 0
        while not stop.is_set():
            number += 1
            platform.put_artifact(run_id, f"{number}.bin", content)
            platform.artifact(run_id, f"{number}.bin")

    thread = threading.Thread(target=artifacts)
    with Load(platform, clients=CLIENTS, pause=0.02) as clients:
        thread.start()
        time.sleep(seconds)
        stop.set()
        thread.join()
    say(what="load", seconds=seconds, requests=clients.done, failures=len(clients.failures), lost=len(clients.lost()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    if not given_kubeconfig():
        parser.error("KUBECONFIG must name a cluster")
    platform = ClusterPlatform.with_secrets(given_kubeconfig())
    try:
        say(what="converge on an empty cluster", seconds=round(platform.install().first_run.seconds, 1))
        rate = background(platform.cluster, arguments.seconds)
        say(what="requests without a run", per_second=round(sum(rate.values()), 1))
        found = [unchanged(platform, rate) for _round in range(arguments.rounds)]
        say(what="run that changes nothing", seconds=[round(seconds, 1) for seconds, _made in found])
        say(what="API requests of such a run", median=statistics.median(sum(made.values()) for _seconds, made in found))
        most = sorted(found[-1][1].items(), key=lambda one: -one[1])
        say(what="most of them", requests={" ".join(key).strip(): value for key, value in most[:15]})
        load(platform, arguments.seconds)
        for name, pod in platform.pods().items():
            (now, top), limit = memory(pod), limit_of(pod)
            share = {"of_limit": round(now / limit, 2)} if now else {}
            mb = {key: round(value / 2**20) for key, value in (("now", now), ("highest", top), ("limit", limit)) if value}
            restarts = [status.restart_count for status in pod.status.container_statuses]
            say(what="memory", pod=name, mb=mb, **share, restarts=restarts)
    finally:
        platform.remove()


if __name__ == "__main__":
    main()
