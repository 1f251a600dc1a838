"""Kills the main process of each service with SIGKILL, and waits until systemd has brought it back and MLflow answers from its database.

Prints one line for each. Exit code 1 where one does not come back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

UNITS = ["mlops-mlflow-15001", "mlops-mlflow-15002", "mlops-traefik", "mlops-seaweedfs", "mlops-postgresql"]
# no measure: only so that a service that stays away ends the test
LONGEST = 120


def main_process(unit: str) -> int:
    """Return the process id of a unit's main process, 0 for none."""
    return int(subprocess.run(["systemctl", "show", "--property=MainPID", "--value", unit], capture_output=True, check=True).stdout)


def answers() -> bool:
    """Return whether each process of MLflow answers, and through the entry point with what the database says, as the administrator."""
    path = "api/2.0/mlflow/experiments/search?max_results=1"
    urls = [f"{place}/{path}" for place in ("http://127.0.0.1:15001", "http://127.0.0.1:15002", "https://localhost:8443")]
    with open("/var/lib/mlops/secrets/mlflow_admin_password", encoding="utf-8") as stream:
        login = f'user = "admin:{stream.read().strip()}"'
    options = ["--silent", "--fail", "--max-time", "10", "--cacert", "/var/lib/mlops/ca.crt", "--fail-early"]
    command = ["curl", *options, "--config", "-", *urls]
    return subprocess.run(command, input=login.encode(), stdout=subprocess.DEVNULL, check=False).returncode == 0


def main() -> int:
    """Kill one after the other and return the exit code."""
    for unit in UNITS:
        before = main_process(unit)
        start = time.monotonic()
        os.kill(before, signal.SIGKILL)
        while True:
            now = main_process(unit)
            seconds = time.monotonic() - start
            if now not in (0, before) and answers():
                print(f"{unit}: back after {seconds:.1f} s")
                break
            if seconds > LONGEST:
                print(f"{unit}: not back within {LONGEST} s of SIGKILL: process {now}, was {before}")
                return 1
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
