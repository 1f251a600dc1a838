"""Builds, beside the first tiers, what the later ones need and what takes minutes on a fresh machine: the image of the test hosts, the
programs of the test cluster, and the images of its pods. The tiers that follow stand on the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cluster_images
import cluster_program
import hosts
from results import Failed, Results, Skipped

HERE = Path(__file__).resolve().parent
RELEASE = os.environ.get("HOSTS_RELEASE", "bookworm")


def image_exists() -> bool:
    """Return whether the hosts' image is there already."""
    image = f"localhost/test-host-{RELEASE}:1"
    return shutil.which("podman") is not None and subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def hosts_image() -> None:
    """Build the image of the test hosts. Raises Failed."""
    if not image_exists():
        # tests that install packages run at the same time: apt waits for its lock instead of failing
        environ = {**os.environ, "APT_CONFIG": str(HERE / "apt.conf")}
        if subprocess.run([hosts.PROGRAM, "image"], env=environ, check=False).returncode:
            raise Failed("the image could not be built; see tests/output/prepare.log")


def main() -> int:
    """Build what is missing and return the exit code."""
    results, tiers = Results(Path(sys.argv[1])), sys.argv[2:]
    if "cluster" in tiers:
        given = os.environ.get("KUBECONFIG")
        other = given and Path(given) != cluster_program.CONFIG
        obstacle = "KUBECONFIG names a cluster" if other else cluster_program.obstacle()
        steps = {"images of the test cluster's pods": cluster_images.archives, "programs of the test cluster": cluster_program.build}
        for name, build in steps.items():
            with results.test(name):
                if obstacle:
                    raise Skipped(obstacle)
                build()
    if "molecule" in tiers:
        with results.test(f"image of the test hosts ({RELEASE})"):
            if hosts.obstacle():
                raise Skipped(hosts.obstacle())
            hosts_image()
    return results.exit_code()


if __name__ == "__main__":
    sys.exit(main())
