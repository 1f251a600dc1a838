"""Logs a run with a metric and an artifact (leave), or reads them back and removes them (find).

Exit code 1 where they are not as they were.
"""

from __future__ import annotations

import base64
import hashlib
import json
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


def main() -> int:
    """Do what the argument says and return the exit code."""
    try:
        {"leave": leave, "find": find}[sys.argv[1]]()
    except (urllib.error.URLError, OSError, AssertionError, KeyError, ValueError) as exc:
        body = exc.read()[:300] if isinstance(exc, urllib.error.HTTPError) else ""
        print(f"{type(exc).__name__}: {exc} {body}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
