"""Faults of MLflow's logins and clients."""

from __future__ import annotations

import contextlib
import time

from lib.platform_faults.planting import fault, kept


@fault("mlflow-admin-refused")
def password_file_of_another_time(platform, plan):
    with kept(platform.data_dir / "secrets/mlflow_admin_password") as path:
        path.write_text("the-password-of-last-year\n")
        yield {}


@fault("mlflow-default-password")
def well_known_password(platform, plan):
    before, known = platform.secret("mlflow_admin_password"), "changeme1234"
    path = "/api/2.0/mlflow/users/update-password"
    with kept(platform.data_dir / "secrets/mlflow_admin_password") as file:
        platform.http().json("PATCH", path, {"username": "admin", "password": known, "current_password": before})
        file.write_text(known + "\n")
        yield {}
        back = {"username": "admin", "password": before, "current_password": known}
        platform.http(login=("admin", known)).json("PATCH", path, back)


@fault("client-pin-open/requirements.txt:1")
def client_without_a_version(platform, plan):
    found = {"id": "client-pin-open", "severity": "warning", "subject": "requirements.txt:1", "what": "x", "said": "mlflow", "remedy": "y"}
    yield {"clients": {"asked": True, "failed": "", "findings": [{**found, "because": []}]}}


@fault("client-newer")
def client_of_the_next_generation(platform, plan):
    yield {"client_versions": ["99.0.0"]}


@contextlib.contextmanager
def connected(platform, version, login=True):
    """Let a client of a version connect as a user's does, through the entry point, and forget it afterwards."""
    try:
        path = "/api/2.0/mlflow/experiments/search?max_results=1"
        status, _headers, _answer = platform.http(login)("GET", path, headers={"User-Agent": f"mlflow-python-client/{version}"})
        assert status == (200 if login else 401)
        yield
    finally:
        for notes in platform.data_dir.glob("mlflow/mlflow-*/clients.json"):
            notes.unlink()


# a process writes a version down once in ten minutes, so each time is another one
@fault("client-seen-fails")
def client_that_connects_and_cannot_work(platform, plan):
    with connected(platform, "98.9.9", None), connected(platform, f"98.0.{int(time.time()) % 10**6}"):
        yield {}


@fault("client-seen-limited")
def client_that_connects_and_is_newer(platform, plan):
    with connected(platform, f"3.99.{int(time.time()) % 10**6}"):
        yield {}
