"""Where the program is that gives the tests a Kubernetes cluster, and whether it can be used here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from results import ROOT, Failed

PROGRAM = Path(os.environ.get("MLOPS_TEST_KUBE") or ROOT.parent / "shared" / "kube" / "kube")
# as the program itself says
STATE = Path(os.environ.get("KUBE_HOME") or "/var/lib/test-kube")
CONFIG = STATE / "admin.kubeconfig"


def obstacle() -> str:
    """Return why no cluster can be made here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root, to make a Kubernetes cluster; KUBECONFIG can name one"
    if not os.access(PROGRAM, os.X_OK):
        return "the program that makes a Kubernetes cluster is not here; KUBECONFIG can name a cluster, MLOPS_TEST_KUBE the program"
    if not shutil.which("apt-get"):
        return "needs apt, to compile Kubernetes from Debian's source package; KUBECONFIG can name a cluster"
    return ""


def call(*arguments: object) -> str:
    """Run the program and return what it printed. Raises Failed."""
    # tests that install packages run at the same time: apt waits for its lock instead of failing
    environ = {**os.environ, "APT_CONFIG": str(Path(__file__).with_name("apt.conf"))}
    command = ["nice", "-n", "10", str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, env=environ, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"`{' '.join(command[3:])}` ended with {done.returncode}; see the tier's log")
    return done.stdout


def build() -> None:
    """Compile Kubernetes, which takes minutes the first time. Raises Failed."""
    call("build")


def runs() -> bool:
    """Return whether the cluster is up: somebody else's, if this program did not start it."""
    try:
        return Path(f"/proc/{int((STATE / 'pid' / 'kubelet').read_text())}").exists()
    except (OSError, ValueError):
        return False


def load(archive: Path) -> None:
    """Import an image archive into the node. Raises Failed."""
    call("load", archive)
