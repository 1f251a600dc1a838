"""kill -9 of each process in turn: the platform comes back by itself, nothing acknowledged is lost, nothing is left on a port."""

from __future__ import annotations

import os
import signal
import time

import pytest
from lib import platform_mlflow_client
from lib import platform_proc as proc
from lib.platform_mlflow_load import MlflowClient

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


@pytest.fixture(scope="module")
def client(platform):
    platform.wait_until_up()
    client = MlflowClient(platform)
    # (victim, when it was killed, when everything ran and answered again) of each
    client.kills = []
    yield client
    client.end()


@pytest.mark.parametrize("victim", VICTIMS)
def test_it_comes_back_by_itself(platform, client, victim):
    platform.wait_until_up()
    proc.wait_until("settled before", lambda: settled(platform), 60)
    run_id, key = platform.new_run(f"before {victim}"), f"kill/{os.urandom(4).hex()}"
    platform.s3(mlflow=True).put_object(Bucket=BUCKET, Key=key, Body=victim.encode())
    pid = VICTIMS[victim](platform)
    gone, killed = proc.Process(pid), time.time()
    os.kill(pid, signal.SIGKILL)
    proc.wait_until("the process is gone", lambda: (gone.pid, gone.start) not in proc.identities(platform.processes()), 10)
    if victim == "SeaweedFS":
        # a bare request, without any retry of the client's: MLflow waits for its object store
        status, _headers, words = platform.http()("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/bare.txt", b"bare")
        assert status == 200, (status, words)
    # the guardian gives the services of a killed supervisor 30 s to end
    proc.wait_until("everything runs again", lambda: settled(platform), 120)
    platform.wait_until_up(120)

    # S3 answers before SeaweedFS's parts have found each other again
    def read():
        return platform.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()

    content = proc.wait_until("the object", read, 30)
    client.kills.append((victim, killed, time.time()))
    assert content == victim.encode()
    assert platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]["info"]["run_name"] == f"before {victim}"
    body = {"run_id": run_id, "key": "after", "value": 1, "timestamp": 1, "step": 1}
    platform.http().json("POST", "/api/2.0/mlflow/runs/log-metric", body)


def test_mlflows_own_client_noticed_no_killed_process(client, capsys):
    """Its default retries and the entry point's together: no failed call, nothing lost, while a process of each kind was killed."""
    result = client.finish()
    with capsys.disabled():
        print(f"\n{'killed':26}{'all back after s':>18}{'slowest log_metric s':>22}{'slowest log_artifact s':>24}")
        for victim, start, end in client.kills:
            slowest = [max(client.during(kind, start, end), default=0) for kind in platform_mlflow_client.THREADS]
            print(f"{victim:26}{end - start:18.1f}{slowest[0]:22.1f}{slowest[1]:24.1f}")
    assert {victim for victim, _start, _end in client.kills} == set(VICTIMS), "run the whole file: this test reads what the others did"
    assert not result["failures"], (result["failures"][:10], client.log.read_text()[-2000:])
    assert not result["missing"], result["missing"][:10]
    assert result["runs"] == sum(platform_mlflow_client.THREADS.values())
    for kind in platform_mlflow_client.THREADS:
        for victim, start, end in client.kills:
            assert client.during(kind, start, end), f"no {kind} was under way while {victim} was down"


def test_after_all_the_kills_it_is_as_installed(platform):
    run = platform.run().unchanged()
    assert "byte for byte" in run.output and "removed again" in run.output
