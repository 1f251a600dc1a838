r"""Measures the local substrate: the time of runs, and MLflow through the platform against `mlflow server` with its own defaults.

    MLOPS_TEST_DATA_DIR=/var/lib/mlops-test-xxxxxx python tests/benchmarks/bench_platform.py [--rounds 3] [--seconds 10] \
        [--runs] [--first] [--cold] [--modules]

It takes a platform that the integration tests kept (MLOPS_TEST_KEEP=1). The other server runs on the same PostgreSQL, in a database of its
own, with the same MLflow and basic auth; the two are measured in turns, so that other load on the machine meets both. --runs also times
runs of site.yml, --first a first installation (on ports and in a directory of its own, removed afterwards), and --cold `make up` in a fresh
clone of what is committed: with nothing there (no .venv, no data, an empty cache of pip), and once more. Prints one JSON line each.
--modules also runs bench_postgresql.py and bench_s3_bucket.py against this platform's servers; they print their own tables.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from lib.platform import ROOT, Platform  # noqa: E402
from lib.platform_clients import Http  # noqa: E402
from lib.platform_proc import wait_until  # noqa: E402
from lib.platform_secrets import as_variables  # noqa: E402

PORT = 26800
CLIENTS = 8


def say(**values):
    print(json.dumps(values), flush=True)


def percentiles(seconds):
    ordered = sorted(seconds)
    pick = {name: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for name, part in (("p50", 0.5), ("p99", 0.99))}
    return {f"{name}_ms": round(value * 1000, 1) for name, value in pick.items()}


def load(make, seconds, clients):
    """Log metrics from `clients` keep-alive connections for `seconds`; return (latencies, failures)."""
    run = make().json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    latencies, failures, lock, until = [], [], threading.Lock(), time.monotonic() + seconds

    def work(number):
        client, step = make(), 0
        while time.monotonic() < until:
            step += 1
            body = {"run_id": run, "key": f"m{number}", "value": step, "timestamp": step, "step": step}
            began = time.perf_counter()
            try:
                client.json("POST", "/api/2.0/mlflow/runs/log-metric", body)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(repr(error)[:200])
            with lock:
                latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, failures


class Default:
    """`mlflow server --app-name basic-auth` with its own defaults, on the platform's PostgreSQL, in databases of its own."""

    def __init__(self, platform):
        self.platform, self.secret = platform, secrets.token_urlsafe(18)
        self.name = f"bench_{secrets.token_hex(3)}"
        self.folder = platform.scratch / self.name

    def __enter__(self):
        self.folder.mkdir()
        with self.platform.database("postgres") as cursor:
            for name in (self.name, f"{self.name}_auth"):
                cursor.execute(f'CREATE DATABASE "{name}" OWNER mlflow')
        login = f"postgresql+psycopg2://mlflow:{quote(self.platform.secret('postgresql_mlflow_password'), safe='')}"
        login += f"@127.0.0.1:{self.platform.variables['postgresql_port']}"
        ini = self.folder / "auth.ini"
        ini.touch(mode=0o600)
        database = f"{login}/{self.name}_auth".replace("%", "%%")
        function = "mlflow.server.auth:authenticate_request_basic_auth"
        ini.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\nadmin_username = admin\nauthorization_function = {function}\n"
        )
        environment = {
            "PATH": f"{Path(self.platform.python('mlflow')).parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "MLFLOW_BACKEND_STORE_URI": f"{login}/{self.name}",
            "MLFLOW_AUTH_CONFIG_PATH": str(ini),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.secret,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [self.platform.program("mlflow", "mlflow"), "server", "--app-name", "basic-auth", "--port", str(PORT)]
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=self.log, stderr=self.log, start_new_session=True)
        wait_until("mlflow server", lambda: self.http()("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 200, 180)
        return self

    def __exit__(self, *_unused):
        os.killpg(self.process.pid, 9)
        self.process.wait()
        self.log.close()
        with self.platform.database("postgres") as cursor:
            for name in (self.name, f"{self.name}_auth"):
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def http(self):
        return Http(f"http://127.0.0.1:{PORT}", ("admin", self.secret))


def serving(platform, rounds, seconds):
    """Compare both servers, in turns."""
    with Default(platform) as default:
        servers = {"platform": platform.http, "mlflow server, defaults": default.http}
        found = {name: {"one": [], "all": [], "rate": [], "failures": []} for name in servers}
        for name, make in servers.items():
            load(make, 3, 2)  # warm: connections, compiled templates, cached logins
            say(what="warmed", server=name)
        for _round in range(rounds):
            for name, make in servers.items():
                one, failed = load(make, seconds / 2, 1)
                every, failed_all = load(make, seconds, CLIENTS)
                found[name]["one"] += one
                found[name]["all"] += every
                found[name]["rate"].append(len(every) / seconds)
                found[name]["failures"] += failed + failed_all
        for name, values in found.items():
            say(
                what="log_metric",
                server=name,
                one_client=percentiles(values["one"]),
                clients=CLIENTS,
                all_clients=percentiles(values["all"]),
                requests_per_second=round(statistics.median(values["rate"]), 1),
                requests=len(values["one"]) + len(values["all"]),
                failures=len(values["failures"]),
            )


def make_up(clone, given, **environment):
    """Run `make up` in `clone` with the variables file `given`; return its seconds. Raises AssertionError when it fails."""
    began = time.monotonic()
    command = ["make", "up", f"ARGS=-e @{given}"]
    done = subprocess.run(command, cwd=clone, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return round(time.monotonic() - began, 1)


def cold():
    """Time `make up` in a fresh clone, where nothing is there yet and where everything is."""
    fresh = Platform.new(ports=26700, name="mlops-bench")
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, f"{folder}/clone"], check=True)
        given = Path(folder, "variables.yml")
        given.touch(mode=0o600)
        given.write_text(as_variables(fresh.variables), encoding="utf-8")
        cache = {"PIP_CACHE_DIR": f"{folder}/pip"}
        try:
            for name in ("make up, cold", "make up, warm"):
                say(what=name, seconds=make_up(f"{folder}/clone", given, **cache))
        finally:
            fresh.reset()


def runs(platform, rounds, first):
    """Time runs of site.yml: first (where asked), second, check, after `down`, and through `make up`."""
    if first:
        fresh = Platform.new(ports=26700, name="mlops-bench")
        try:
            say(what="first run", seconds=round(fresh.install().install_seconds, 1))
            say(what="second run", seconds=[round(fresh.run().unchanged().seconds, 1) for _round in range(rounds)])
        finally:
            fresh.reset()
    platform.run().ok()
    say(what="second run", seconds=[round(platform.run().unchanged().seconds, 1) for _round in range(rounds)])
    say(what="--check --diff", seconds=round(platform.run(check=True, diff=True).ok().seconds, 1))
    say(what="one tag (mlflow)", seconds=round(platform.run(tags="mlflow").ok().seconds, 1))
    given = max(platform.scratch.glob("variables-*.yml"), key=lambda path: path.stat().st_mtime)
    # the first one may install the controller's own environment
    for name in ("make up (the first may make .venv)", "make up", "make up"):
        say(what=name, seconds=make_up(ROOT, given))
    say(what="down", seconds=round(platform.run("playbooks/down.yml").ok().seconds, 1))
    began = time.monotonic()
    run = platform.run().ok()
    say(what="site.yml after down", seconds=round(run.seconds, 1), until_verified=round(time.monotonic() - began, 1))


def modules(platform, rounds):
    """Run the benchmarks of the modules against the platform's servers."""
    given = platform.scratch / "connections.json"
    given.touch(mode=0o600)
    given.write_text(json.dumps(platform.connections), encoding="utf-8")
    environment = {**os.environ, "MLOPS_TEST_CONNECTIONS": str(given)}
    try:
        for program, options in (("bench_postgresql.py", ["--rounds", str(rounds)]), ("bench_s3_bucket.py", [str(rounds)])):
            say(what="modules", program=program)
            subprocess.run([sys.executable, Path(__file__).with_name(program), *options], env=environment, check=True)
    finally:
        given.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", action="store_true", help="also time runs of site.yml")
    parser.add_argument("--first", action="store_true", help="with --runs: also a first installation")
    parser.add_argument("--cold", action="store_true", help="also `make up` in a fresh clone with nothing there")
    parser.add_argument("--modules", action="store_true", help="also the modules against the community's, in calls that change nothing")
    parser.add_argument("--module-rounds", type=int, default=15)
    arguments = parser.parse_args()
    place = os.environ.get("MLOPS_TEST_DATA_DIR")
    if not place:
        parser.error("MLOPS_TEST_DATA_DIR must name a platform that the integration tests kept (MLOPS_TEST_KEEP=1)")
    platform = Platform.at(place)
    if arguments.cold:
        cold()
    if arguments.runs:
        runs(platform, arguments.rounds, arguments.first)
    serving(platform, arguments.rounds, arguments.seconds)
    if arguments.modules:
        modules(platform, arguments.module_rounds)


if __name__ == "__main__":
    main()
