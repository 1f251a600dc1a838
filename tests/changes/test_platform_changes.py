"""What a changed variable does: exactly what --check said before, a restart of exactly what it touches, and no failed request."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

import psycopg2
import pytest
from botocore.exceptions import ClientError
from lib import platform_proc as proc
from lib.certificates import make_certificate
from lib.long_tests import LONG
from lib.platform_clients import Load, postgresql, s3
from lib.platform_journal import Journal, missing
from lib.platform_secrets import given_secrets
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


def served(platform, name):
    """Return the certificate that is served to a client which trusts what it is told to and asks for `name`: (issuer, its names)."""
    context = ssl.create_default_context(cafile=platform.ca)
    with (
        socket.create_connection(("127.0.0.1", platform.variables["mlops_https_port"]), 10) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        found = secured.getpeercert()
    issuer = {key: value for ((key, value),) in found["issuer"]}["commonName"]
    return issuer, {value for _kind, value in found["subjectAltName"]}


NAME = "mlops.example.org"


def test_a_new_public_name_with_its_certificate_and_one_process_more(platform):
    """A new certificate, and another number of processes, are taken while they serve."""
    port = platform.variables["mlops_https_port"]
    with pytest.raises(ssl.SSLCertVerificationError):
        served(platform, NAME)
    assert platform.http()("GET", "/", headers={"Host": f"{NAME}:{port}"})[0] == 403
    restarted, _run = change(platform, mlops_public_names=["localhost", "127.0.0.1", NAME], mlflow_processes=3)
    # PostgreSQL and the object store do not know the public names; Traefik takes a new certificate as it runs
    assert not restarted & {"postgresql", "seaweedfs", "traefik", "supervisord"}
    assert NAME in served(platform, NAME)[1]
    for host in (NAME, f"{NAME}:{port}"):
        assert platform.http()("GET", "/", headers={"Host": host})[0] == 200
    assert platform.http()("GET", "/", headers={"Host": "evil.example.org"})[0] == 403
    third = platform.mlflow_ports[2]
    assert proc.listening(third)
    assert f":{third}" in (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()


def test_settings_of_postgresql_and_of_the_entry_point_and_a_new_administrators_password(platform):
    """A setting of any text restarts its own service alone; the password none, and after the run the old one is refused."""
    # quotes and backslashes are postgresql.conf's business, not the user's
    text = "o'clock \\ %d"
    old, new = platform.secret("mlflow_admin_password"), "another: \u0022password\u0022 {{ 1 + 1 }} $1 %s \\"
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert platform.http(("admin", old))("GET", path)[0] == 200
    settings = {"work_mem": "5MB", "cluster_name": text}
    restarted, run = change(platform, postgresql_settings=settings, mlflow_admin_password=new, ingress_read_timeout="3h")
    assert restarted == {"postgresql", "traefik"}
    with platform.database("postgres") as cursor:
        for name, value in settings.items():
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (value,)
    assert "readTimeout: 3h" in (platform.data_dir / "etc/traefik/traefik.yml").read_text()
    platform.wait_until_up()
    assert platform.secret("mlflow_admin_password") == new
    assert platform.http(("admin", new))("GET", path)[0] == 200
    # a checked password is remembered for mlflow_auth_cache_seconds in each process
    proc.wait_until("the old password is refused", lambda: platform.http(("admin", old))("GET", path)[0] == 401, 90)
    assert not search(run.output.encode(), needles({"old": old, "new": new}))
    assert not list((platform.data_dir / "secrets").glob("*.previous"))


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """A folder with the certificate of a private authority, one that is wrong in every way, and the authority."""
    folder = tmp_path_factory.mktemp("tls")
    root = make_certificate(folder, "a private authority")
    make_certificate(folder, "good", issuer=root, names=["localhost", "127.0.0.1", NAME])
    make_certificate(folder, "bad", issuer=root, names=["other.example.org"], days=(-3, -1))
    return folder


@LONG
def test_a_certificate_that_cannot_serve_is_refused_in_one_message(platform, issued):
    before = services(platform)
    bad = {"ingress_tls_certificate": f"{issued}/bad.pem", "ingress_tls_key": f"{issued}/good.key", "ingress_tls_ca": f"{issued}/none.pem"}
    run = platform.run("site.yml", "-vvv", diff=True, extra=bad)
    assert run.code != 0
    assert run.stats["changed"] == 0, run.changed
    assert len(run.failed) == 1, run.failed
    for words in (
        f"ingress_tls_ca {issued}/none.pem cannot be read",
        "ingress_tls_key is not the key of the first certificate",
        "and not now",
        f"does not hold for localhost, 127.0.0.1, {NAME} of mlops_public_names",
    ):
        assert words in run.failed[0]
    assert services(platform) == before
    assert not key_lines(issued / "good.key", run)


def key_lines(path, run):
    """Return the lines of a PEM key that are in a run's output."""
    return [line for line in path.read_text().splitlines()[1:-1] if line in run.output]


@LONG
def test_a_certificate_of_a_private_authority_and_a_setting_of_the_object_store(platform, issued, tmp_path):
    """No process is restarted for the certificate, and for the setting SeaweedFS alone; bare clients that never retry notice neither."""
    both = tmp_path / "both.pem"
    both.write_text(Path(platform.ca).read_text() + (issued / "a private authority.pem").read_text())
    load = Load(platform, ca=str(both))
    platform.variables.update(
        ingress_tls_certificate=f"{issued}/good.pem",
        ingress_tls_key=f"{issued}/good.key",
        ingress_tls_ca=f"{issued}/a private authority.pem",
        object_store_memory_limit="500MiB",
    )
    predicted = platform.run("site.yml", "-vvv", check=True, diff=True).ok()
    assert served(platform, NAME)[0] != "a private authority"
    restarted, real = change(platform, load)
    assert restarted == {"seaweedfs"}
    assert not load.failures, load.failures[:5]
    assert load.done > 200
    assert not load.lost()
    assert served(platform, NAME) == ("a private authority", {"localhost", "127.0.0.1", NAME})
    assert changed_items(predicted) == changed_items(real)
    assert not key_lines(issued / "good.key", predicted) + key_lines(issued / "good.key", real)
    assert f"trust     {platform.data_dir}/ingress-ca.crt" in real.output
    assert (platform.data_dir / "tls/ingress-given.pem").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def worker(platform):
    """The login of an administrator whose password no rotation touches."""
    login = ("rotation-worker", "a-password-of-its-own")
    administrator = platform.http()
    administrator.json("POST", "/api/2.0/mlflow/users/create", dict(zip(("username", "password"), login)))
    administrator.json("PATCH", "/api/2.0/mlflow/users/update-admin", {"username": login[0], "is_admin": True})
    yield login
    platform.http().json("DELETE", "/api/2.0/mlflow/users/delete", {"username": login[0]})


@LONG
def test_every_secret_is_rotated_under_clients_that_never_retry(platform, worker):
    """No request fails, artifacts included; every old value is refused by what it opened; no second login is left."""
    for name in given_secrets():
        platform.variables.pop(name, None)
    before, connections, keys = platform.secrets(), platform.connections, certificates(platform)
    load, journal = Load(platform, login=worker), Journal(platform, clients=1, pause=0.5, login=worker, timeout=60)
    with load, journal:
        run = platform.run("playbooks/rotate.yml").ok()
    print(f"\nrotated in {run.seconds:.0f} s: {load.done} requests, {len(journal.runs)} runs with an artifact")
    assert not load.failures, load.failures[:5]
    assert load.done > 200 and not load.lost()
    assert journal.runs and not journal.failures, journal.failures[:5]
    after = platform.secrets()
    assert set(after) == set(before)
    # what was stored with it is read with it alone
    assert [name for name in before if after[name] == before[name]] == ["object_store_sse_key"]
    assert not set(keys.items()) & set(certificates(platform).items())
    assert not search(run.output.encode(), needles({**before, **{f"new {name}": value for name, value in after.items()}}))
    assert missing(platform, journal.runs) == []
    with platform.database("postgres") as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%rotating'")
        assert cursor.fetchall() == []
    for user, database in (("postgres", "postgres"), ("mlflow", "mlflow"), ("seaweedfs", "seaweedfs")):
        old = before["postgresql_superuser_password" if user == "postgres" else f"postgresql_{user}_password"]
        with (
            pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
            postgresql(platform.variables["postgresql_port"], user, old, database),
        ):
            pass
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        s3(connections["s3"]).list_buckets()
    login = ("admin", before["mlflow_admin_password"])
    # the playbook has waited until no process remembers it
    assert platform.http(login)("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401


def certificates(platform):
    """Return {name: content} of the platform's own keys and certificates but for those of the authority."""
    return {
        path.name: path.read_bytes() for path in platform.data_dir.glob("tls/*.*") if path.suffix in (".crt", ".key") and path.stem != "ca"
    }


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
    assert served(platform, "localhost")[0].startswith("mlops.platform on ")
    assert not list(platform.data_dir.glob("tls/ingress-given*")) and platform.ca == str(platform.data_dir / "ca.crt")
    assert not proc.listening(ports[-1])
    assert f"mlflow-{ports[-1]}" not in platform.supervisor("status")
    assert f":{ports[-1]}" not in (platform.data_dir / "etc/traefik/routes/mlflow-servers.yml").read_text()
