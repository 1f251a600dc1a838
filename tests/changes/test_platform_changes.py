"""What a changed variable does: exactly what --check said before, a restart of exactly what it touches, and no failed request."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
from lib import platform_proc as proc
from lib.platform_clients import Load
from lib.platform_sweep import needles, search


def services(platform):
    """Return {service: (pid, start)} of everything that lasts."""
    names = ["postgresql", "seaweedfs", "traefik", *(f"mlflow-{port}" for port in platform.mlflow_ports)]
    found = {name: platform.service(name) for name in names}
    supervisor = proc.Process(int((platform.data_dir / "run/supervisord.pid").read_text()))
    return {name: (process.pid, process.start) for name, process in {**found, "supervisord": supervisor}.items()}


# a rolling restart cannot be rehearsed: in check mode another task stands in for it
STAND_INS = {"Predict the restart": "Restart the stale processes of MLflow, each out of the balance meanwhile"}


def changed_items(run):
    """Return {(task, item)} that a run changed or said it would."""
    found = set()
    for task in run.tasks:
        if task["event"] == "ok" and task["changed"]:
            name = task["task"].split(" : ")[-1]
            name = STAND_INS.get(name, name)
            found |= {(name, str(one["item"])) for one in task["items"]} or {(name, "")}
    return found


@pytest.fixture(scope="module", autouse=True)
def as_it_was(platform):
    """Return a function that gives all variables their old values; the platform has them again after this file, whatever failed."""
    before = dict(platform.variables)

    def give_back():
        platform.variables.clear()
        platform.variables.update(before)

    yield give_back
    # the last test has given them back, unless one failed
    if platform.variables != before:
        give_back()
        platform.run().ok()


def change(platform, meanwhile=None, **variables):
    """Change variables and run (in the context `meanwhile`); return (names of the restarted services, the run)."""
    before = services(platform)
    platform.variables.update(variables)
    with meanwhile or contextlib.nullcontext():
        run = platform.run().ok()
    after = services(platform)
    assert run.stats["changed"] > 0
    # a new one counts too
    return {name for name in after if after[name] != before.get(name)}, run


def test_an_mlflow_setting_restarts_mlflow_alone_and_loses_no_request(platform):
    """A planned rolling restart under bare clients that never retry."""
    load = Load(platform)
    restarted, _run = change(platform, load, mlflow_default_permission="NO_PERMISSIONS")
    assert restarted == {f"mlflow-{port}" for port in platform.mlflow_ports}
    assert not load.failures, load.failures[:5]
    assert load.done > 200
    assert not load.lost()
    assert "default_permission = NO_PERMISSIONS" in (platform.data_dir / "etc/mlflow-auth.ini").read_text()


def test_a_postgresql_setting_restarts_postgresql_alone(platform):
    """Of any text: quotes and backslashes are postgresql.conf's business, not the user's."""
    text = "o'clock \\ %d"
    restarted, _run = change(platform, postgresql_settings={"work_mem": "5MB", "cluster_name": text})
    assert restarted == {"postgresql"}
    with platform.database("postgres") as cursor:
        for name, value in (("work_mem", "5MB"), ("cluster_name", text)):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (value,)
    platform.wait_until_up()


def certificate(platform, name):
    """Return the subject alternative names of the certificate that is served to a client which trusts ca.crt and asks for `name`."""
    context = ssl.create_default_context(cafile=platform.ca)
    with (
        socket.create_connection(("127.0.0.1", platform.variables["mlops_https_port"]), 10) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        return {value for _kind, value in secured.getpeercert()["subjectAltName"]}


def test_a_new_public_name(platform):
    name, port = "mlops.example.org", platform.variables["mlops_https_port"]
    with pytest.raises(ssl.SSLCertVerificationError):
        certificate(platform, name)
    assert platform.http()("GET", "/", headers={"Host": f"{name}:{port}"})[0] == 403
    restarted, _run = change(platform, mlops_public_names=["localhost", "127.0.0.1", name])
    # PostgreSQL and the object store do not know the public names
    assert not restarted & {"postgresql", "seaweedfs", "supervisord"}
    assert name in certificate(platform, name)
    for host in (name, f"{name}:{port}"):
        assert platform.http()("GET", "/", headers={"Host": host})[0] == 200
    assert platform.http()("GET", "/", headers={"Host": "evil.example.org"})[0] == 403


def test_a_new_administrators_password(platform):
    """It is in effect after the run, the old one is refused, and no process is restarted."""
    old, new = platform.secret("mlflow_admin_password"), "another: \u0022password\u0022 {{ 1 + 1 }} $1 %s \\"
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert platform.http(("admin", old))("GET", path)[0] == 200
    restarted, run = change(platform, mlflow_admin_password=new)
    assert restarted == set()
    assert platform.secret("mlflow_admin_password") == new
    assert platform.http(("admin", new))("GET", path)[0] == 200
    # a checked password is remembered for mlflow_auth_cache_seconds in each process
    proc.wait_until("the old password is refused", lambda: platform.http(("admin", old))("GET", path)[0] == 401, 90)
    assert not search(run.output.encode(), needles({"old": old, "new": new}))
    assert not list((platform.data_dir / "secrets").glob("*.previous"))


def test_new_passwords_of_the_servers(platform):
    """All of PostgreSQL's accounts at once, the superuser's included, and the object store's administrator; data and access stay."""
    import psycopg2
    from botocore.exceptions import ClientError

    old = {user: platform.secret(f"postgresql_{user}_password") for user in ("mlflow", "seaweedfs", "superuser")}
    former = platform.s3()
    run_id = platform.new_run("passwords")
    given = {"mlflow": "m' \\ \" \u00df", "seaweedfs": "'s \\' \\\\ \" {{ x }}"}
    change(
        platform,
        postgresql_superuser_password="p:\\ '\u00e9",
        postgresql_account_passwords=given,
        object_store_admin_secret_key="administrator-of-objects-now",
    )
    platform.wait_until_up()
    assert platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")
    for user, secret in old.items():
        login = {"user": "postgres" if user == "superuser" else user, "password": secret}
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(host="127.0.0.1", port=platform.variables["postgresql_port"], dbname="postgres", **login)
    assert platform.s3().list_buckets()["Buckets"]
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        former.list_buckets()


def test_one_process_more(platform):
    """The number of processes may change while they serve."""
    restarted, _run = change(platform, mlflow_processes=3)
    assert not restarted & {"postgresql", "traefik", "supervisord"}
    third = platform.mlflow_ports[2]
    assert proc.listening(third)
    assert f":{third}" in (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()


def test_everything_back_at_once_as_check_mode_says_before(platform, as_it_was):
    """--check names exactly the changes that the run then makes, and restarts nothing; afterwards nothing is left to do, or left over."""
    ports = platform.mlflow_ports
    before = services(platform)
    # passwords too: they are in the servers only after the real run, and what check mode does meanwhile, it does with those of before
    as_it_was()
    assert len(platform.mlflow_ports) < len(ports), "run the whole file: this test undoes what the others did"
    predicted = platform.run(check=True, diff=True).ok()
    assert {name: found for name, found in before.items() if name in services(platform)} == services(platform)
    assert proc.listening(ports[-1]), "check mode ended a process"
    real = platform.run().ok()
    assert changed_items(predicted) == changed_items(real)
    assert not proc.listening(ports[-1])
    assert f"mlflow-{ports[-1]}" not in platform.supervisor("status")
    assert f":{ports[-1]}" not in (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()
