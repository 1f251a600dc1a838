"""Logs metrics with MLflow's own client and its default retries until standard input ends. A program for the mlflow environment's Python.

The first line of standard input is a JSON object of environment variables. Prints one JSON object: `calls`, `failures` (texts), and
`missing`: the metrics that were acknowledged and are not there when they are read back.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

THREADS = 4


def main():
    os.environ.update(json.loads(sys.stdin.readline()))
    from mlflow.tracking import MlflowClient

    client, lock, stop = MlflowClient(), threading.Lock(), threading.Event()
    answer = {"calls": 0, "failures": [], "missing": [], "slowest": 0}
    written = {}

    def work(number):
        run_id = client.create_run("0", run_name=f"kill-{number}").info.run_id
        with lock:
            written[run_id] = []
        step = 0
        while not stop.is_set():
            step += 1
            try:
                client.log_metric(run_id, "m", step, step=step)
                written[run_id].append(step)
            except Exception as error:  # any of them is a failed call
                with lock:
                    answer["failures"].append(repr(error)[:300])
            with lock:
                answer["calls"] += 1
            # the processes that come back need the processors too
            time.sleep(0.1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    for run_id, steps in written.items():
        there = {metric.step for metric in client.get_metric_history(run_id, "m")}
        answer["missing"] += [f"{run_id} {step}" for step in steps if step not in there]
    answer["runs"] = len(written)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
