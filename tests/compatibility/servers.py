"""Environments with MLflow of each version, and servers of it on loopback that end with the program."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

# The versions that are measured, and the Pythons that they run on, the best first: those that the platform installs, and of each generation
# before them one that people still have.
VERSIONS = {
    "3.17.2": ("3.11", "3.12", "3.10"),
    "3.16.0": ("3.11", "3.12", "3.10"),
    "2.22.5": ("3.11", "3.12", "3.10"),
    "2.9.2": ("3.11", "3.10", "3.9"),
    "1.28.0": ("3.10", "3.9", "3.8"),
}
# what their own requirements should say and do not: newer releases have no longer what they use
BESIDE = {"2.22.5": ["sqlalchemy<2.1", "opentelemetry-sdk<1.34"], "2.9.2": ["sqlalchemy<2.1"]}
# below the ports that the kernel gives away by itself
PORTS = range(21000, 32000)
# what all processes of a measurement get; nothing of a user's own settings
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONWARNINGS": "ignore",
    "LANG": "C.UTF-8",
}
START_SECONDS = 180


def interpreter(versions):
    """Return (version, path) of the first Python that is there, in PATH or as pyenv keeps them."""
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in versions:
        found = [*sorted(kept.glob(f"{version}.*/bin/python")), *filter(None, [shutil.which(f"python{version}")])]
        for path in found:
            done = subprocess.run([path, "-c", "import ensurepip, sqlite3, ssl, venv"], capture_output=True, check=False)
            if done.returncode == 0:
                return version, str(path)
    raise LookupError(f"none of Python {', '.join(versions)} is in PATH")


def environment(version, cache, say):
    """Return (Python's version, path) of a virtual environment with MLflow `version`; it is made where it is not complete."""
    number, python = interpreter(VERSIONS[version])
    home = Path(cache) / f"mlflow-{version}-py{number}"
    if not (home / ".complete").exists():
        say(f"installing MLflow {version} with Python {number}")
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(home)], check=True)
        # a compiled file for every module that nobody imports would double the time
        command = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile", "--no-input"]
        subprocess.run([*command, f"mlflow=={version}", *BESIDE.get(version, [])], check=True)
        (home / ".complete").touch()
    return number, home


def variables(home, directory, **more):
    """Return the environment of a process of MLflow."""
    kept = {name: os.environ[name] for name in ("TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {**QUIET, **kept, "HOME": str(directory), "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin", **more}


def free_port():
    """Return a port of loopback that nobody listens on. Any of them: a server needs a while until it holds its own, and others look too."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as link:
            try:
                link.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LookupError(f"every port from {PORTS.start} to {PORTS.stop} is in use")


def end(process):
    """End a process with all that it has started, and only those: they are a session of their own."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, one)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
    process.wait()


def answer(uri, path):
    """Return the body of an answer, None where there is none."""
    try:
        with urllib.request.urlopen(f"{uri}{path}", timeout=5) as response:  # noqa: S310  # loopback
            return response.read().decode().strip()
    except OSError:
        return None


def is_up(uri, version):
    """Return whether a server answers. Raises RuntimeError where it is another one."""
    if answer(uri, "/health") is None:
        return False
    found = answer(uri, "/version")
    if found != version:
        raise RuntimeError(f"at {uri} is MLflow {found} instead of {version}")
    return True


@contextlib.contextmanager
def serving(version, home, directory):
    """Run a server of the environment `home` on SQLite, with its artifacts behind its proxy; yield its URI."""
    port = free_port()
    command = [
        str(home / "bin/mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--serve-artifacts",
        "--artifacts-destination", f"{directory}/artifacts", "--default-artifact-root", "mlflow-artifacts:/",
    ]  # fmt: skip
    log = Path(directory) / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=directory, env=variables(home, directory), stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not is_up(f"http://127.0.0.1:{port}", version):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server does not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)
