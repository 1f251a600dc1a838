"""Runs that users have deleted, long ago and lately, and what is left of them; of platforms on hosts and in clusters."""

from __future__ import annotations

import contextlib
import os
import time

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
DAYS = 40


def make(http, experiment, name):
    """Make a run with an artifact; return its id."""
    run = http.json("POST", f"{API}/runs/create", {"experiment_id": experiment, "run_name": name, "start_time": 1})["run"]["info"]["run_id"]
    assert http("PUT", f"{ARTIFACTS}/{experiment}/{run}/artifacts/data.bin", name.encode())[0] == 200
    return run


def age(platform, runs, experiment=None, days=DAYS):
    """Let `runs`, and an experiment, be deleted so many days ago."""
    long_ago = int((time.time() - days * 86400) * 1000)
    with platform.database("mlflow") as cursor:
        cursor.execute("UPDATE runs SET deleted_time = %s WHERE run_uuid = ANY(%s)", (long_ago, runs))
        cursor.execute("UPDATE experiments SET last_update_time = %s WHERE experiment_id = %s", (long_ago, experiment))


def artifacts(platform, run):
    """Return the keys of a run's artifacts."""
    found = platform.s3().list_objects_v2(Bucket="mlflow-artifacts", Prefix="artifacts/").get("Contents", [])
    return [one["Key"] for one in found if f"/{run}/" in one["Key"]]


def rows(platform, runs):
    with platform.database("mlflow") as cursor:
        cursor.execute("SELECT run_uuid FROM runs WHERE run_uuid = ANY(%s)", (runs,))
        return {run for (run,) in cursor.fetchall()}


@contextlib.contextmanager
def deleted_runs(platform):
    """Give runs, all deleted: {old, recent, needed, within: in an experiment that is deleted too}, and the experiments."""
    http = platform.http()
    experiment = http.json("POST", f"{API}/experiments/create", {"name": f"garbage {os.urandom(3).hex()}"})["experiment_id"]
    runs = {name: make(http, experiment, name) for name in ("old", "recent", "needed")}
    other = http.json("POST", f"{API}/experiments/create", {"name": f"garbage too {os.urandom(3).hex()}"})["experiment_id"]
    runs["within"] = make(http, other, "within")
    http.json("POST", f"{API}/registered-models/create", {"name": "needs-a-run"})
    version = {"name": "needs-a-run", "source": f"mlflow-artifacts:/{experiment}/{runs['needed']}/artifacts", "run_id": runs["needed"]}
    http.json("POST", f"{API}/model-versions/create", version)
    for name in ("old", "recent", "needed"):
        http.json("POST", f"{API}/runs/delete", {"run_id": runs[name]})
    http.json("POST", f"{API}/experiments/delete", {"experiment_id": other})
    age(platform, [runs[name] for name in ("old", "needed", "within")], int(other))
    try:
        yield {**runs, "experiment": experiment, "other": other}
    finally:
        # a connection of its own: the server ends those that were idle for long
        platform.http().json("DELETE", f"{API}/registered-models/delete", {"name": "needs-a-run"})
        # nobody needs it any more: the next test would find it
        age(platform, [runs["needed"]], days=0)


def there(platform, deleted):
    """Return the names of the runs that still have a row, and of those that still have their artifact."""
    names = {deleted[name]: name for name in ("old", "recent", "needed", "within")}
    return {names[run] for run in rows(platform, list(names))}, {names[run] for run in names if artifacts(platform, run)}
