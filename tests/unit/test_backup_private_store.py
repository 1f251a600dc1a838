"""The object store of a drill ends with the drill, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib.backup_program import FILES
from lib.render import ROOT

# a drill whose server has started and does not answer yet
DRILL = """
import sys
from pathlib import Path
from types import SimpleNamespace
from mlops_backup.private_store import PrivateStore

place = Path(sys.argv[1])
store = {"weed": str(place / "weed"), "region": "r", "bucket": "b"}
with PrivateStore(SimpleNamespace(data=place, drill_port=int(sys.argv[2]), reserve_mb=1, object_store=store), place / "drill"):
    pass
"""


def alive(pid):
    """Return whether the process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_drill_that_is_killed_leaves_no_server_on_its_ports(tmp_path):
    (tmp_path / "etc/seaweedfs").mkdir(parents=True)
    (tmp_path / "etc/seaweedfs/security.toml").touch()
    weed, started = tmp_path / "weed", tmp_path / "pid"
    weed.write_text(f"#!/bin/sh\necho $$ > {started}.new; mv {started}.new {started}\nexec sleep 300\n", encoding="utf-8")
    weed.chmod(0o755)
    environ = {**os.environ, "PYTHONPATH": f"{FILES}:{ROOT / 'collections'}"}
    drill = subprocess.Popen([sys.executable, "-c", DRILL, str(tmp_path), "18790"], env=environ)
    try:
        wait_for(started.exists)
        pid = int(started.read_text(encoding="utf-8"))
        assert alive(pid)
    finally:
        drill.send_signal(signal.SIGKILL)
        drill.wait()
    wait_for(lambda: not alive(pid))
