"""Runs that were acknowledged, with everything that is needed to prove later that they are there, byte for byte."""

from __future__ import annotations

import hashlib
import os
import threading
import time

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
API = "/api/2.0/mlflow"


class Journal:
    """As a context: `clients` threads write whole runs (parameter, metric, artifact) until its end. `runs`: what was acknowledged."""

    def __init__(self, platform, clients=2, pause=0.05, login=True, timeout=10):
        self.platform, self.clients, self.pause, self.login, self.timeout = platform, clients, pause, login, timeout
        self.runs, self.failures, self.lock, self.stop = [], 0, threading.Lock(), threading.Event()

    def __enter__(self):
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_unused):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def work(self, number):
        http = self.platform.http(self.login, timeout=self.timeout)
        count = 0
        while not self.stop.is_set():
            count += 1
            try:
                run = write(http, f"journal-{number}-{count}", os.urandom(1000 + 20000 * (count % 4)))
                with self.lock:
                    self.runs.append(run)
            except (OSError, AssertionError):
                # not acknowledged: it may be there or not
                with self.lock:
                    self.failures += 1
            self.stop.wait(self.pause)

    def before(self, moment):
        """Return the runs whose last answer came before `moment` (seconds since the epoch)."""
        return [run for run in self.runs if run["acknowledged"] < moment]


def write(http, name, content):
    """Write one run with an artifact of `content`; return what was acknowledged. Raises OSError and AssertionError."""
    run_id = http.json("POST", f"{API}/runs/create", {"experiment_id": "0", "run_name": name, "start_time": 1})["run"]["info"]["run_id"]
    http.json("POST", f"{API}/runs/log-parameter", {"run_id": run_id, "key": "name", "value": name})
    http.json("POST", f"{API}/runs/log-metric", {"run_id": run_id, "key": "size", "value": len(content), "timestamp": 1, "step": 1})
    status, _headers, words = http("PUT", f"{ARTIFACTS}/0/{run_id}/artifacts/data.bin", content)
    assert status == 200, f"{status} {words[:200]!r}"
    return {"id": run_id, "name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "acknowledged": time.time()}


def missing(platform, runs):
    """Return what is not there, or is other, of `runs`, as read through the public address."""
    http, problems = platform.http(), []
    for run in runs:
        status, _headers, words = http("GET", f"{API}/runs/get?run_id={run['id']}")
        if status != 200:
            problems.append(f"{run['name']}: {status} {words[:100]!r}")
            continue
        data = http.json("GET", f"{API}/runs/get?run_id={run['id']}")["run"]["data"]
        if [(p["key"], p["value"]) for p in data.get("params", [])] != [("name", run["name"])]:
            problems.append(f"{run['name']}: params {data.get('params')}")
        if [(m["key"], m["value"]) for m in data.get("metrics", [])] != [("size", run["size"])]:
            problems.append(f"{run['name']}: metrics {data.get('metrics')}")
        status, _headers, content = http("GET", f"{ARTIFACTS}/0/{run['id']}/artifacts/data.bin")
        if status != 200 or hashlib.sha256(content).hexdigest() != run["sha256"]:
            problems.append(f"{run['name']}: artifact {status}, {len(content)} of {run['size']} bytes")
    return problems
