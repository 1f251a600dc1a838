"""kill -9 of each process in turn: the platform comes back by itself, nothing acknowledged is lost, nothing is left on a port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lib import platform_mlflow_client
from lib import platform_proc as proc

BUCKET = "mlflow-artifacts"


def names(platform):
    return ["postgresql", "seaweedfs", "traefik", *(f"mlflow-{port}" for port in platform.mlflow_ports)]


def supervisor(platform):
    return int((platform.data_dir / "run/supervisord.pid").read_text())


def guardian(platform):
    found = [pid for pid, p in platform.processes().items() if "guardian.py" in p.command]
    assert len(found) == 1, found
    return found[0]


def backend(platform):
    """Return a process that serves one of MLflow's connections."""
    return next(pid for pid, p in platform.processes().items() if p.name == "postgres" and "mlflow mlflow 127.0.0.1" in p.command)


VICTIMS = {
    "PostgreSQL": lambda platform: platform.service("postgresql").pid,
    "a PostgreSQL backend": backend,
    "SeaweedFS": lambda platform: platform.service("seaweedfs").pid,
    "the first MLflow process": lambda platform: platform.service(f"mlflow-{platform.mlflow_ports[0]}").pid,
    "the last MLflow process": lambda platform: platform.service(f"mlflow-{platform.mlflow_ports[-1]}").pid,
    "Traefik": lambda platform: platform.service("traefik").pid,
    "the guardian": guardian,
    "the supervisor": supervisor,
}


def settled(platform):
    """Return whether every service runs under one supervisor, on its port, with no process besides."""
    processes = platform.processes()
    assert {platform.service(name).pid for name in names(platform)} <= set(processes)
    status = platform.supervisor("status").splitlines()
    assert len(status) == len(names(platform)) + 1, status
    assert all(" RUNNING " in line for line in status), status
    guardian(platform)
    parent = supervisor(platform)
    # each process is the supervisor's, or PostgreSQL's child: none is an orphan of an earlier one
    allowed = {parent, platform.service("postgresql").pid}
    strays = [p for p in processes.values() if p.parent not in allowed and p.pid != parent]
    assert not strays, strays
    return {port for _address, port in proc.listeners(processes)} == {
        *(platform.variables[key] for key in platform.variables if key.endswith("_port")),
        *platform.mlflow_ports,
        *(platform.variables[f"object_store_{part}_port"] + 10000 for part in ("s3", "filer", "master", "volume")),
    }


@pytest.mark.parametrize("victim", VICTIMS)
def test_it_comes_back_by_itself(platform, victim):
    platform.wait_until_up()
    proc.wait_until("settled before", lambda: settled(platform), 60)
    run_id, key = platform.new_run(f"before {victim}"), f"kill/{os.urandom(4).hex()}"
    platform.s3(mlflow=True).put_object(Bucket=BUCKET, Key=key, Body=victim.encode())
    pid = VICTIMS[victim](platform)
    gone = proc.Process(pid)
    os.kill(pid, signal.SIGKILL)
    proc.wait_until("the process is gone", lambda: (gone.pid, gone.start) not in proc.identities(platform.processes()), 10)
    # the guardian gives the services of a killed supervisor 30 s to end
    proc.wait_until("everything runs again", lambda: settled(platform), 120)
    platform.wait_until_up(120)
    assert platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]["info"]["run_name"] == f"before {victim}"

    # S3 answers before SeaweedFS's parts have found each other again
    def read():
        return platform.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()

    content = proc.wait_until("the object", read, 30)
    assert content == victim.encode()
    body = {"run_id": run_id, "key": "after", "value": 1, "timestamp": 1, "step": 1}
    platform.http().json("POST", "/api/2.0/mlflow/runs/log-metric", body)


def test_after_all_the_kills_it_is_as_installed(platform):
    run = platform.run().unchanged()
    assert "byte for byte" in run.output and "removed again" in run.output


def test_mlflows_own_client_notices_no_killed_process(platform):
    """Its default retries and the entry point's together: no failed call, no lost metric, while each process is killed once."""
    program = platform.scratch / "client.py"
    program.write_text(Path(platform_mlflow_client.__file__).read_text(encoding="utf-8"))
    environment = {
        "MLFLOW_TRACKING_URI": platform.url,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": platform.secret("mlflow_admin_password"),
        "MLFLOW_TRACKING_SERVER_CERT_PATH": platform.ca,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(platform.scratch), "LANG": "C.UTF-8"}
    with subprocess.Popen(
        [platform.python("mlflow"), program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        cwd=platform.scratch,
    ) as client:
        try:
            client.stdin.write(json.dumps(environment) + "\n")
            client.stdin.flush()
            assert client.stdout.readline() == "started\n"
            for port in platform.mlflow_ports:
                time.sleep(4)
                old = platform.service(f"mlflow-{port}").pid
                os.kill(old, signal.SIGKILL)
                url = f"http://127.0.0.1:{port}"
                proc.wait_until(f"port {port} serves again", lambda u=url: platform.http(url=u)("GET", "/health")[0] == 200, 60)
            time.sleep(4)
            out, err = client.communicate(timeout=120)
        finally:
            client.kill()
    answer = json.loads(out)
    assert not answer["failures"], (answer, err[-2000:])
    assert not answer["missing"]
    assert answer["runs"] == 4
    assert answer["calls"] > 100
