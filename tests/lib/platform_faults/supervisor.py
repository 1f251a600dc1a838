"""The fault that takes everything down: supervisor and guardian are killed."""

from __future__ import annotations

import os
import signal
import subprocess

from lib import platform_proc as proc
from lib.platform_faults.planting import fault


def start_supervisor(platform):
    environment = ["env", "-i", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", f"HOME={platform.data_dir}"]
    command = [*environment, platform.program("tools", "supervisord"), "-c", platform.data_dir / "etc/supervisord.conf"]
    subprocess.run(platform.as_service(*command), check=True, cwd="/", capture_output=True)


@fault(
    "supervisor-stopped",
    "postgresql-unreachable",
    "s3-unreachable",
    "mlflow-unreachable",
    "ingress-unreachable",
    "ingress-failing",
    "lock-left",
    because={"postgresql-unreachable": ["supervisor-stopped"], "mlflow-unreachable": ["supervisor-stopped"]},
)
def supervisor_and_guardian_killed(platform, plan):
    lasting = platform.lasting()
    pids = [
        int((platform.data_dir / "run/supervisord.pid").read_text()),
        *(pid for pid, one in lasting.items() if "guardian.py" in one.command),
    ]
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    proc.wait_until("the services have ended with their supervisor", lambda: not platform.processes(), 60)
    yield {}
    start_supervisor(platform)
