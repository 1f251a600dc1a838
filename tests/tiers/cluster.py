"""Tier cluster: the platform in a Kubernetes cluster, by site.yml, with real pods.

KUBECONFIG names a cluster to use; its nodes pull the images that the roles name. Otherwise a cluster of one node is started here, gets the
images of cluster_images.py, and is taken down again; one that runs already is used and left running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cluster_images
import cluster_program
import pytest_tier
from results import Results, Skipped


def stop(number: int, _frame: object) -> None:
    """Turn a signal into the exception that takes the cluster down on its way."""
    raise SystemExit(128 + number)


def prepare(results: Results) -> bool:
    """Start the cluster where there is none, and load the images; return whether it is ready."""
    with results.test("a Kubernetes cluster with the images"):
        if cluster_program.obstacle():
            raise Skipped(cluster_program.obstacle())
        if not cluster_program.runs():
            cluster_program.call("up")
        for archive in cluster_images.archives():
            cluster_program.load(archive)
        os.environ["KUBECONFIG"] = str(cluster_program.CONFIG)
        return True
    return False


def main() -> int:
    """Run the tests and return the exit code."""
    signal.signal(signal.SIGTERM, stop)
    given = os.environ.get("KUBECONFIG")
    if given and Path(given) != cluster_program.CONFIG:
        return pytest_tier.main("tests/cluster")
    results = Results(Path(sys.argv[1]))
    # somebody else's is left as it is
    found_running = cluster_program.runs()
    try:
        # pytest writes the file anew, with the tests themselves
        return pytest_tier.main("tests/cluster") if prepare(results) else results.exit_code()
    finally:
        if not found_running and not cluster_program.obstacle():
            subprocess.run([cluster_program.PROGRAM, "down"], check=False)


if __name__ == "__main__":
    sys.exit(main())
