"""Faults of the services: what stands still, ends again and again, or is not what listens."""

from __future__ import annotations

import contextlib
import json
import socket
import time

from lib.platform_faults.planting import fault, kept


@contextlib.contextmanager
def stopped(platform, name):
    platform.supervisor("stop", name)
    try:
        yield
    finally:
        platform.supervisor("start", name)


@fault("service-stopped/traefik", "ingress-unreachable", "ingress-failing", because={"ingress-unreachable": ["service-stopped (traefik)"]})
def entry_point_stopped(platform, plan):
    with stopped(platform, "traefik"):
        yield {}


@fault(
    "service-stopped/postgresql",
    "postgresql-unreachable",
    "s3-failing",
    "mlflow-no-database",
    because={"postgresql-unreachable": ["service-stopped (postgresql)"], "mlflow-no-database": ["postgresql-unreachable"]},
)
def database_stopped(platform, plan):
    with stopped(platform, "postgresql"):
        yield {}


@fault(
    "service-stopped/seaweedfs",
    "s3-unreachable",
    "artifact-store-failing",
    because={"s3-unreachable": ["service-stopped (seaweedfs)"], "artifact-store-failing": ["s3-unreachable"]},
)
def object_store_stopped(platform, plan):
    with stopped(platform, "seaweedfs"):
        yield {}


@fault("service-failing/traefik", "ingress-unreachable", "ingress-failing", because={"ingress-failing": ["service-failing (traefik)"]})
def service_that_ends_at_once(platform, plan):
    with kept(platform.data_dir / "etc/traefik/traefik.yml") as path:
        path.write_text("entryPoints: nonsense\n")
        platform.supervisor("restart", "traefik")
        time.sleep(3)
        yield {}
    platform.supervisor("stop", "traefik")
    platform.supervisor("start", "traefik")


@fault("guardian-stopped")
def guardian_stopped(platform, plan):
    with stopped(platform, "guardian"):
        yield {}


@fault("service-stale/traefik")
def files_changed_since_the_start(platform, plan):
    with kept(platform.data_dir / "etc/traefik.env") as path:
        path.write_text(path.read_text() + "# changed\n")
        yield {}


@fault(
    "service-stopped/traefik",
    "port-foreign/traefik",
    "ingress-unreachable",
    "ingress-failing",
    because={"ingress-failing": ["port-foreign (traefik)"]},
)
def foreign_program_on_the_port(platform, plan):
    with stopped(platform, "traefik"), socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", platform.variables["ingress_internal_port"]))
        taken.listen()
        yield {}


@fault("mlflow-drained")
def process_left_out_of_the_list(platform, plan):
    with kept(platform.data_dir / "etc/traefik/routes/mlflow-servers.yml") as path:
        routes = json.loads("".join(line for line in path.read_text().splitlines() if not line.startswith("#")))
        del routes["http"]["services"]["mlflow"]["loadBalancer"]["servers"][1]
        path.write_text(json.dumps(routes))
        yield {}
