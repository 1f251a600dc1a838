"""One platform of the tests' own, made by site.yml on ports and in a directory of its own, and removed by playbooks/reset.yml."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

from lib import platform_clients as clients
from lib import platform_proc as proc
from lib.platform_run import ROOT, start
from lib.platform_secrets import given_secrets

# Below the ports that the kernel gives to whoever asks for any (32768 and above), as are those that SeaweedFS adds, 10000 higher;
# far from the defaults. MLOPS_TEST_PORTS: another thousand, for two sessions on one machine.
PORTS = int(os.environ.get("MLOPS_TEST_PORTS", "16000"))
# whoever ends first removes its account
USER = f"mlops-test-{PORTS}"
OFFSETS = {
    "mlops_https_port": 0,
    "postgresql_port": 1,
    "ingress_internal_port": 2,
    "object_store_s3_port": 13,
    "object_store_filer_port": 15,
    "object_store_master_port": 17,
    "object_store_volume_port": 19,
    "mlflow_port": 20,
}


class Platform:
    """An installation: where it is, with which variables, and clients for it.

    `variables` is what its playbooks are run with; a test that changes one puts the old value back. `scratch` is a private directory
    beside the data directory with the variables and the runs' outputs.
    """

    def __init__(self, data_dir, scratch, variables):
        self.data_dir, self.scratch, self.variables = Path(data_dir), Path(scratch), variables
        self.root = os.geteuid() == 0
        self.install_seconds = 0.0

    @classmethod
    def new(cls, ports=PORTS, name="mlops-test"):
        """Return a platform that is not installed yet, in a directory that does not exist yet."""
        base = Path("/var/lib") if os.geteuid() == 0 else Path(tempfile.gettempdir())
        while (data_dir := base / f"{name}-{secrets.token_hex(3)}").exists():
            pass
        return cls.at(data_dir, {**{key: ports + offset for key, offset in OFFSETS.items()}, **given_secrets()})

    @classmethod
    def at(cls, data_dir, variables=None):
        """Return the platform in `data_dir`, which an earlier session kept; or a new one with `variables`."""
        scratch = Path(f"{data_dir}.test")
        kept = scratch / "state.json"
        if variables is None and kept.exists():
            variables = json.loads(kept.read_text(encoding="utf-8"))
        assert variables is not None, f"{kept} is missing: {data_dir} was not made by these tests"
        scratch.mkdir(mode=0o700, exist_ok=True)
        return cls(
            data_dir,
            scratch,
            {
                **variables,
                "mlops_data_dir": str(data_dir),
                "mlops_service_user": USER,
                "mlops_service_manager": "supervisor",
                "mlops_reserve_mb": 512,
                "mlops_install_mb": 2048,
            },
        )

    # -- runs

    def start(self, playbook="site.yml", *arguments, **options):
        """Start a playbook and return it while it runs; `options` are those of lib.platform_run.start()."""
        return start(self.scratch, self.variables, playbook, *arguments, **options)

    def run(self, playbook="site.yml", *arguments, timeout=1800, **options):
        """Run a playbook to its end and return the Run."""
        return self.start(playbook, *arguments, **options).wait(timeout)

    def install(self):
        """Run site.yml for the first time; raises AssertionError when it fails."""
        self.install_seconds += self.run().ok().seconds
        return self

    def reset(self):
        """Remove the installation through its playbook; what that leaves is removed too and raised as AssertionError."""
        problem, installed = None, (self.data_dir / ".mlops-installation").exists()
        try:
            if installed:
                run = self.run("playbooks/reset.yml", extra={"mlops_reset_confirm": str(self.data_dir)})
                if run.code:
                    problem = run.output[-3000:]
        finally:
            left = proc.below(self.data_dir)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            there = installed and self.data_dir.exists()
            sockets = self.sockets()
            shutil.rmtree(self.data_dir, ignore_errors=True)
            shutil.rmtree(self.scratch, ignore_errors=True)
        assert problem is None, f"playbooks/reset.yml failed:\n{problem}"
        assert not left, f"playbooks/reset.yml left processes: {list(left.values())}"
        assert not there, f"playbooks/reset.yml left {self.data_dir}"
        assert not sockets, f"playbooks/reset.yml left {sockets}"

    # -- what it is

    @property
    def uid(self):
        """The services' user id."""
        return pwd.getpwnam(USER).pw_uid if self.root else os.geteuid()

    @property
    def url(self):
        return f"https://localhost:{self.variables['mlops_https_port']}"

    @property
    def ca(self):
        """The file that a client must trust: the authority of a given certificate, or the platform's own."""
        given = self.data_dir / "ingress-ca.crt"
        return str(given if given.exists() else self.data_dir / "ca.crt")

    @property
    def mlflow_ports(self):
        first = self.variables["mlflow_port"]
        return list(range(first, first + self.variables.get("mlflow_processes", 2)))

    def python(self, component):
        """Return the interpreter of a component's environment (tools, mlflow, ...)."""
        found = sorted((self.data_dir / "runtime").glob(f"{component}-py*/bin/python"))
        assert len(found) == 1, found
        return str(found[0])

    def program(self, component, name):
        return str(Path(self.python(component)).with_name(name))

    def secret(self, name):
        """Return one secret as it is in effect."""
        return (self.data_dir / "secrets" / name).read_text(encoding="utf-8").rstrip("\n")

    def secrets(self):
        """Return all secrets by name."""
        folder = self.data_dir / "secrets"
        return {path.name: path.read_text(encoding="utf-8").rstrip("\n") for path in folder.iterdir() if path.name != "pgpass"}

    def as_service(self, *command):
        """Return the command as the service user runs it."""
        return [*(["runuser", "-u", USER, "--"] if self.root else []), *map(str, command)]

    def sockets(self):
        """Return the sockets that SeaweedFS has made outside of the data directory."""
        ports = {str(port + 10000) for name, port in self.variables.items() if name.startswith("object_store_") and name.endswith("_port")}
        return [path for path in Path("/tmp").glob("seaweedfs-*-grpc-*.sock") if path.stem.rpartition("-")[2] in ports]

    def supervisor(self, *command):
        """Run supervisorctl; return its output."""
        control = [self.program("tools", "supervisorctl"), "-c", self.data_dir / "etc/supervisord.conf", *command]
        return subprocess.run(self.as_service(*control), capture_output=True, text=True, check=False, cwd="/").stdout

    def processes(self):
        """Return the platform's processes by process id."""
        return proc.below(self.data_dir)

    def lasting(self):
        """Return the processes that stay between requests: all but PostgreSQL's backends, autovacuum and io workers come and go by need."""
        transient = ("127.0.0.1(", "autovacuum worker", "io worker", "parallel worker", "[local]")
        return {pid: p for pid, p in self.processes().items() if not (p.name == "postgres" and any(t in p.command for t in transient))}

    def service(self, name):
        """Return the process that the launcher of service `name` became."""
        return proc.Process(int((self.data_dir / "run" / f"{name}.pid").read_text()))

    # -- clients

    @property
    def connections(self):
        """The connection options of the three module families, of an administrator each."""
        return {
            "s3": {
                "endpoint_url": f"http://127.0.0.1:{self.variables['object_store_s3_port']}",
                "access_key": self.secret("object_store_admin_access_key"),
                "secret_key": self.secret("object_store_admin_secret_key"),
                "region": "us-east-1",
                "addressing_style": "path",
            },
            "postgresql": {
                "login_host": "127.0.0.1",
                "login_port": self.variables["postgresql_port"],
                "login_user": "postgres",
                "login_password": self.secret("postgresql_superuser_password"),
                "login_db": "postgres",
            },
            "mlflow": {
                "tracking_uri": self.url,
                "username": "admin",
                "password": self.secret("mlflow_admin_password"),
                "ca_bundle": self.ca,
            },
        }

    def http(self, login=True, url=None, timeout=60, ca=None):
        """Return a client of the public address that trusts `ca`; login: True for the administrator, None for nobody, or a pair."""
        if login is True:
            login = ("admin", self.secret("mlflow_admin_password"))
        return clients.Http(url or self.url, login, ca or self.ca, timeout)

    def s3(self, mlflow=False):
        """Return a boto3 client of the administrator, or of MLflow's own identity."""
        connection = dict(self.connections["s3"])
        if mlflow:
            connection.update(
                access_key=self.secret("object_store_mlflow_access_key"), secret_key=self.secret("object_store_mlflow_secret_key")
            )
        return clients.s3(connection)

    def database(self, name, user="postgres"):
        """Return a context manager that gives a cursor in database `name`."""
        secret = "postgresql_superuser_password" if user == "postgres" else f"postgresql_{user}_password"
        return clients.postgresql(self.variables["postgresql_port"], user, self.secret(secret), name)

    def new_run(self, name):
        """Make an MLflow run through the public address and return its id."""
        body = {"experiment_id": "0", "run_name": name, "start_time": 1}
        return self.http().json("POST", "/api/2.0/mlflow/runs/create", body)["run"]["info"]["run_id"]

    def answers(self):
        """Return whether a call that reads the database succeeds through the public address."""
        return self.http(timeout=10)("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 200

    def wait_until_up(self, timeout=90):
        """Wait until MLflow, the object store and the database all answer."""
        proc.wait_until("MLflow through the public address", self.answers, timeout)
        proc.wait_until("S3", lambda: self.s3().list_buckets()["Buckets"], timeout)

    def fingerprint(self):
        """Return {path: (mode, owner, size, mtime)} of everything below the data directory that is no log and no data."""
        found = {}
        for folder, names, files in os.walk(self.data_dir):
            # their configuration has directories of the same names, which are looked at
            if Path(folder) == Path(self.data_dir):
                names[:] = [n for n in names if n not in ("log", "postgresql", "seaweedfs", "runtime", "mlflow", "run")]
            for name in names + files:
                status = Path(folder, name).lstat()
                size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
                found[str(Path(folder, name))] = (oct(status.st_mode), status.st_uid, size, 0 if not size else status.st_mtime_ns)
        return found

    @contextlib.contextmanager
    def untouched(self):
        """Assert that nothing of the running platform is changed during the block, neither a file nor a process."""
        before, files = self.lasting(), self.fingerprint()
        yield
        assert proc.identities(self.lasting()) == proc.identities(before)
        assert self.fingerprint() == files


def remove_user():
    """Remove the services' user; it must have no process."""
    if os.geteuid() == 0:
        subprocess.run(["userdel", USER], capture_output=True, check=False)
        subprocess.run(["groupdel", USER], capture_output=True, check=False)


def user_exists():
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


__all__ = ["ROOT", "Platform", "remove_user", "user_exists"]
