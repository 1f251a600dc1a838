"""Loads MLflow through the entry point until a file appears, and then prints how many requests were sent and how many failed.

Usage: load.py STOP_FILE

Four clients that keep their connections, as MLflow's own do; reads, and writes that must not be sent twice. Nothing is retried.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import threading
import time
from pathlib import Path

DATA = Path("/var/lib/mlops")
CLIENTS = 4


class Client(threading.Thread):
    """One client with one connection."""

    def __init__(self, stop: Path, run: str) -> None:
        """Prepare; `run` is the run that it logs to."""
        super().__init__(daemon=True)
        self.stop, self.run_id = stop, run
        self.requests, self.logged, self.failures = 0, 0, []
        self.connection = connect()

    def run(self) -> None:
        """Read and write in turn until the file is there."""
        while not self.stop.exists():
            for method, path, body in (
                ("GET", "/api/2.0/mlflow/experiments/search?max_results=5", None),
                (
                    "POST",
                    "/api/2.0/mlflow/runs/log-metric",
                    {"run_id": self.run_id, "key": self.name, "value": self.logged, "timestamp": 1, "step": self.logged},
                ),
            ):
                self.requests += 1
                try:
                    status = ask(self.connection, method, path, body)[0]
                    if status != 200:
                        self.failures.append(f"{time.strftime('%T')} {method} {status}")
                    elif body:
                        self.logged += 1
                except (OSError, http.client.HTTPException) as exc:
                    self.failures.append(f"{time.strftime('%T')} {method} {type(exc).__name__} {exc}")
                    self.connection = connect()
            # some requests in each second of a drain, and little enough to leave the processors to what is tested: with a quarter
            # of a second two hosts took all of a machine's two processors. The tier `changes` has the dense load
            time.sleep(1)


def connect() -> http.client.HTTPSConnection:
    """Return a connection to the entry point."""
    return http.client.HTTPSConnection("localhost", 8443, timeout=60, context=ssl.create_default_context(cafile=str(DATA / "ca.crt")))


def ask(connection: http.client.HTTPSConnection, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """Return (status, body) of a request as the administrator."""
    password = (DATA / "secrets" / "mlflow_admin_password").read_text(encoding="utf-8").strip()
    headers = {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode(), "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    response = connection.getresponse()
    return response.status, response.read()


def main() -> int:
    """Load, count, and return the exit code."""
    connection = connect()

    def api(path: str, body: object) -> dict:
        status, answer = ask(connection, "POST", f"/api/2.0/mlflow/{path}", body)
        if status != 200:
            raise SystemExit(f"{path}: {status} {answer[:300]!r}")
        return json.loads(answer)

    experiment = api("experiments/create", {"name": f"load-{time.time_ns()}"})["experiment_id"]
    run = api("runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]
    clients = [Client(Path(sys.argv[1]), run) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    failures = [failure for client in clients for failure in client.failures]
    # every acknowledged metric must be there: the latest value of each client is its number of acknowledged writes
    connection = connect()
    status, answer = ask(connection, "GET", f"/api/2.0/mlflow/runs/get?run_id={run}")
    latest = {metric["key"]: metric["value"] for metric in json.loads(answer)["run"]["data"]["metrics"]}
    failures += [
        f"{c.name}: {c.logged} writes acknowledged, the last is {latest.get(c.name)}" for c in clients if latest.get(c.name) != c.logged - 1
    ]
    api("experiments/delete", {"experiment_id": experiment})
    print(json.dumps({"requests": sum(client.requests for client in clients), "failed": len(failures), "failures": failures[:20]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
