"""Logs through MLflow's own client until a file appears, and then prints what failed after the client's retries, as JSON.

Usage: log_runs.py STOP_FILE URI...

A process of its own for each URI, as each user has one. The client is as it is installed: its default policy of retries and its default
time-outs. `calls` are calls of the client, `failed` those that raised, `retried` the requests that the client sent once more by itself,
`slowest` the longest call in seconds, `lost` the metrics that were acknowledged and are not there at the end.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

PAUSE = 0.5  # seconds between two steps: the processors are what is upgraded, too


class Retries(logging.Handler):
    """Counts what urllib3 says of the requests that it sends again."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        # "Retrying (Retry(...)) after connection broken by ...", and "Retry: PATH" after an answer such as 503
        self.count += record.getMessage().startswith(("Retrying (", "Retry: "))


def work(stop: str, uri: str) -> dict:
    """Log to a run of its own until the file is there; return the numbers."""
    import mlflow

    retries = Retries()
    logger = logging.getLogger("urllib3.connectionpool")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(retries)
    logger.propagate = False
    client = mlflow.MlflowClient(uri)
    run = client.create_run("0").info.run_id
    failed, seconds, acknowledged, step = [], [], set(), 0

    def call(function: Callable, *arguments: object, **options: object) -> bool:
        began = time.monotonic()
        try:
            function(*arguments, **options)
        except Exception as error:  # whatever it is, a user would see it
            failed.append(f"{time.strftime('%T')} {type(error).__name__} {error}"[:300])
            return False
        finally:
            seconds.append(time.monotonic() - began)
        return True

    while not Path(stop).exists():
        step += 1
        if call(client.log_metric, run, "step", step, step=step):
            acknowledged.add(step)
        call(client.search_experiments, max_results=5)
        call(client.log_text, run, f"{step} " * 1000, f"{step % 20}.txt")
        time.sleep(PAUSE)
    there = {metric.step for metric in client.get_metric_history(run, "step")}
    return {
        "uri": uri,
        "calls": len(seconds),
        "failed": len(failed),
        "failures": failed[:5],
        "retried": retries.count,
        "slowest": round(max(seconds), 1),
        "lost": len(acknowledged - there),
    }


def main() -> int:
    """Log through every URI, and print the numbers."""
    stop, *uris = sys.argv[1:]
    with multiprocessing.get_context("spawn").Pool(len(uris)) as pool:
        print(json.dumps(pool.starmap(work, [(stop, uri) for uri in uris])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
