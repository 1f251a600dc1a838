"""Logs metrics and artifacts with MLflow's own client and its default retries until standard input ends.

A program for the mlflow environment's Python. The first line of standard input is a JSON object of environment variables. Prints one JSON
object: `calls` ([kind, when it began, seconds] of each), `failures` ([kind, when it began, text]), and `missing`: what was acknowledged and
is not there, or is other, when it is read back.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

# how many threads of each kind
THREADS = {"log_metric": 4, "log_artifact": 2}


def main():
    os.environ.update(json.loads(sys.stdin.readline()))
    from mlflow.tracking import MlflowClient

    client, lock, stop = MlflowClient(), threading.Lock(), threading.Event()
    answer = {"calls": [], "failures": [], "missing": []}
    written, slow = {kind: {} for kind in THREADS}, set()

    def log_metric(run_id, step, _folder):
        client.log_metric(run_id, "m", step, step=step)

    def log_artifact(run_id, step, folder):
        path = folder / f"{step}.txt"
        path.write_text(f"{run_id} {step}\n" * 1000)
        client.log_artifact(run_id, str(path))
        path.unlink()

    actions = {"log_metric": log_metric, "log_artifact": log_artifact}

    def work(kind, folder):
        run_id = client.create_run("0", run_name=f"kill-{kind}").info.run_id
        with lock:
            written[kind][run_id] = []
        step = 0
        while not stop.is_set():
            step += 1
            began, problem = time.time(), None
            try:
                actions[kind](run_id, step, folder)
            except Exception as error:  # any of them is a failed call
                problem = repr(error)[:300]
            with lock:
                answer["calls"].append([kind, began, time.time() - began])
                if problem:
                    answer["failures"].append([kind, began, problem])
                else:
                    written[kind][run_id].append(step)
                if time.time() - began > 1:
                    slow.add((run_id, step))
            # the processes that come back need the processors too
            time.sleep(0.1)

    with tempfile.TemporaryDirectory() as base:
        threads = []
        for number, kind in enumerate(kind for kind, count in THREADS.items() for _unused in range(count)):
            folder = Path(base, str(number))
            folder.mkdir()
            threads.append(threading.Thread(target=work, args=(kind, folder)))
        for thread in threads:
            thread.start()
        print("started", flush=True)
        sys.stdin.read()
        stop.set()
        for thread in threads:
            thread.join()
        for run_id, steps in written["log_metric"].items():
            there = {metric.step for metric in client.get_metric_history(run_id, "m")}
            answer["missing"] += [f"metric {run_id} {step}" for step in steps if step not in there]
        for run_id, steps in written["log_artifact"].items():
            there = {entry.path for entry in client.list_artifacts(run_id)}
            answer["missing"] += [f"artifact {run_id} {step}" for step in steps if f"{step}.txt" not in there]
            # those that were sent while something was down, and a sample of the others
            for step in [step for step in steps if step % 10 == 0 or (run_id, step) in slow]:
                got = Path(client.download_artifacts(run_id, f"{step}.txt", base)).read_text()
                if got != f"{run_id} {step}\n" * 1000:
                    answer["missing"].append(f"content of artifact {run_id} {step}")
    answer["runs"] = sum(len(runs) for runs in written.values())
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
