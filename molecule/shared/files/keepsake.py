"""Logs runs with a metric and an artifact on a host, and reads them back; exit code 1 where they are not as they were.

Usage: keepsake.py leave | find | journal FILE | compare FILE SECONDS

`leave` logs one, `find` reads it and removes it. `journal` logs one after the other until it is killed, and appends a line of JSON
to FILE for each that was acknowledged. `compare` reads those of FILE: of runs acknowledged before SECONDS (since the epoch) everything
must be there; it prints what of the later ones is, as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import random
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = "https://localhost:8443"
DATA = Path("/var/lib/mlops")
NAME = "keepsake"
# more than one SeaweedFS chunk of 4 MiB, and the same on each run
CONTENT = random.Random(NAME).randbytes(9 * 2**20)  # noqa: S311  # no secret


def call(method: str, path: str, body: object = None) -> bytes:
    """Return the answer to a request as the administrator. Raises urllib.error.URLError."""
    password = (DATA / "secrets" / "mlflow_admin_password").read_text(encoding="utf-8").strip()
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode(), "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context(cafile=str(DATA / "ca.crt"))) as response:
        return response.read()


def leave() -> None:
    """Make an experiment with one run."""
    experiment = json.loads(call("POST", "/api/2.0/mlflow/experiments/create", {"name": NAME}))["experiment_id"]
    run = json.loads(call("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment, "start_time": 1}))["run"]["info"]
    call("POST", "/api/2.0/mlflow/runs/log-metric", {"run_id": run["run_id"], "key": "m", "value": 42, "timestamp": 1, "step": 0})
    call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run['run_id']}/artifacts/{NAME}.bin", CONTENT)


def find() -> None:
    """Read the run back, and remove it."""
    found = json.loads(call("GET", f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={NAME}"))["experiment"]
    search = {"experiment_ids": [found["experiment_id"]]}
    (run,) = json.loads(call("POST", "/api/2.0/mlflow/runs/search", search))["runs"]
    assert run["data"]["metrics"][0]["value"] == 42, run
    path = f"{found['experiment_id']}/{run['info']['run_id']}/artifacts/{NAME}.bin"
    content = call("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}")
    assert hashlib.sha256(content).digest() == hashlib.sha256(CONTENT).digest(), f"{len(content)} bytes of {len(CONTENT)}"
    call("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{path}")
    # deleted experiments keep their name: the next one must be free to take it
    call("POST", "/api/2.0/mlflow/experiments/update", {"experiment_id": found["experiment_id"], "new_name": f"{NAME}-{time.time_ns()}"})
    call("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": found["experiment_id"]})
    uptime = Path("/proc/1/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    now = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    print(f"all there {now - int(uptime) / 100:.0f} s after the host's start")


def journal(file: str) -> None:
    """Log runs until the end of the world, and note each one once it is acknowledged."""
    with Path(file).open("a", encoding="utf-8") as notes:
        for number in itertools.count():
            content = random.randbytes(50000)  # noqa: S311  # no secret
            made = json.loads(call("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1}))
            run = made["run"]["info"]["run_id"]
            call("POST", "/api/2.0/mlflow/runs/log-metric", {"run_id": run, "key": "m", "value": number, "timestamp": 1, "step": 0})
            call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{NAME}.bin", content)
            line = {"run": run, "metric": number, "sha256": hashlib.sha256(content).hexdigest(), "acknowledged": time.time()}
            notes.write(json.dumps(line) + "\n")
            notes.flush()
            # the note is to survive a loss of power as the run does
            os.fsync(notes.fileno())
            time.sleep(0.5)


def row_is_there(run: dict) -> bool:
    """Return whether a run of a journal is there with its metric. Raises urllib.error.URLError on other answers than 404."""
    try:
        found = json.loads(call("GET", f"/api/2.0/mlflow/runs/get?run_id={run['run']}"))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return [metric["value"] for metric in found["run"]["data"].get("metrics", [])] == [run["metric"]]


def artifact_is_there(run: dict) -> bool:
    """Return whether the artifact of a run of a journal is what was written."""
    try:
        content = call("GET", f"/api/2.0/mlflow-artifacts/artifacts/0/{run['run']}/artifacts/{NAME}.bin")
    except urllib.error.HTTPError:
        return False
    return hashlib.sha256(content).hexdigest() == run["sha256"]


def compare(file: str, moment: str) -> None:
    """Hold what is there against a journal."""
    runs = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    before = [run for run in runs if run["acknowledged"] < float(moment)]
    assert before and len(before) < len(runs), f"{len(before)} of {len(runs)} runs are older than {moment}: this compares nothing"
    lost = [run["run"] for run in before if not (row_is_there(run) and artifact_is_there(run))]
    assert not lost, f"{len(lost)} of {len(before)} runs that the backup must have are not as they were: {lost[:3]}"
    rows = [run for run in runs if row_is_there(run)]
    last = runs[-1]["acknowledged"]
    print(
        json.dumps(
            {
                "runs": len(runs),
                "before": len(before),
                "rows": len(rows),
                "seconds_of_rows_lost": round(last - rows[-1]["acknowledged"], 1),
                "seconds_of_artifacts_lost": round(last - max(run["acknowledged"] for run in runs if artifact_is_there(run)), 1),
            }
        )
    )


def main() -> int:
    """Do what the argument says and return the exit code."""
    try:
        {"leave": leave, "find": find, "journal": journal, "compare": compare}[sys.argv[1]](*sys.argv[2:])
    except (urllib.error.URLError, OSError, AssertionError, KeyError, ValueError) as exc:
        body = exc.read()[:300] if isinstance(exc, urllib.error.HTTPError) else ""
        print(f"{type(exc).__name__}: {exc} {body}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
