"""Runs that were acknowledged, with everything that is needed to prove later that they are there, byte for byte."""

from __future__ import annotations

import hashlib
import os
import threading
import time

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
API = "/api/2.0/mlflow"
# answers that MLflow's client takes for passing (mlflow.utils.request_utils); it waits 2 s before it sends again, each time twice as long
PASSING = {408, 429, 500, 502, 503, 504}


class Journal:
    """As a context: `clients` threads write whole runs (parameter, metric, artifact) until its end.

    `runs` holds what was acknowledged, `failures` the words of what was not. With `retries` an artifact is sent again, as MLflow's own
    client does 7 times (MLFLOW_HTTP_REQUEST_MAX_RETRIES); `again` of a run says how often.
    """

    def __init__(self, platform, clients=2, pause=0.05, login=True, timeout=10, retries=0):
        self.platform, self.clients, self.pause, self.login, self.timeout = platform, clients, pause, login, timeout
        self.retries = retries
        self.runs, self.failures, self.lock, self.stop = [], [], threading.Lock(), threading.Event()

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
            count, began = count + 1, time.time()
            try:
                run = write(http, f"journal-{number}-{count}", os.urandom(1000 + 20000 * (count % 4)), self.retries)
                with self.lock:
                    self.runs.append(run)
            except (OSError, AssertionError) as error:
                # not acknowledged: it may be there or not
                moment = time.strftime("%T", time.localtime(began))
                with self.lock:
                    self.failures.append(f"{moment}, after {time.time() - began:.0f} s: {type(error).__name__} {error}")
            self.stop.wait(self.pause)

    def before(self, moment):
        """Return the runs whose last answer came before `moment` (seconds since the epoch)."""
        return [run for run in self.runs if run["acknowledged"] < moment]


def send(http, path, content, retries=0):
    """Send an artifact, up to `retries` times again; return (status, words, how often again). Raises OSError."""
    again = 0
    while True:
        try:
            status, _headers, words = http("PUT", path, content)
        except OSError:
            if again == retries:
                raise
        else:
            if status not in PASSING or again == retries:
                return status, words, again
        again += 1
        time.sleep(2**again)


def write(http, name, content, retries=0):
    """Write one run with an artifact of `content`; return what was acknowledged. Raises OSError and AssertionError."""
    run_id = http.json("POST", f"{API}/runs/create", {"experiment_id": "0", "run_name": name, "start_time": 1})["run"]["info"]["run_id"]
    http.json("POST", f"{API}/runs/log-parameter", {"run_id": run_id, "key": "name", "value": name})
    http.json("POST", f"{API}/runs/log-metric", {"run_id": run_id, "key": "size", "value": len(content), "timestamp": 1, "step": 1})
    status, words, again = send(http, f"{ARTIFACTS}/0/{run_id}/artifacts/data.bin", content, retries)
    assert status == 200, f"{status} {words[:200]!r}"
    digest = hashlib.sha256(content).hexdigest()
    return {"id": run_id, "name": name, "size": len(content), "sha256": digest, "acknowledged": time.time(), "again": again}


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
