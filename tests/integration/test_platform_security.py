"""Another local user, without any credential, can read, change and delete nothing; what remains open is written down here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lib import platform_attack, platform_attempts, platform_proc

MARKER = f"nobody may read this {os.urandom(8).hex()}"
BUCKET = "mlflow-artifacts"
PRIVATE = ("secrets", "secrets/pgpass", "etc/mlflow.env", "log", "run", "tls/ca.key", "postgresql", "seaweedfs/volume")
KEY = f"artifacts/attack/{os.urandom(4).hex()}/secret.txt"


def known_ports(platform):
    """Return {role: [ports]} of every TCP port that the platform is meant to have."""
    v = platform.variables
    parts = {part: v[f"object_store_{part}_port"] for part in ("s3", "filer", "master", "volume")}
    return {
        "public": [v["mlops_https_port"]],
        "internal": [v["ingress_internal_port"]],
        "postgresql": [v["postgresql_port"]],
        "mlflow": platform.mlflow_ports,
        **{part: [port] for part, port in parts.items()},
        "grpc": [port + 10000 for port in parts.values()],
    }


def state(platform):
    """Return everything that an attacker could have changed, by clients of its own."""
    s3 = platform.s3()
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)
    found = {
        "content": s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read(),
        "versions": [v["VersionId"] for v in versions.get("Versions", [])],
        "markers": versions.get("DeleteMarkers", []),
        "buckets": sorted(b["Name"] for b in s3.list_buckets()["Buckets"]),
        "versioning": s3.get_bucket_versioning(Bucket=BUCKET)["Status"],
        "policy": json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"]),
        "keys": sorted(o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET) for o in page.get("Contents", [])),
    }
    with platform.database("mlflow") as cursor:
        for table in ("runs", "experiments", "trace_info"):
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
            found[table] = cursor.fetchone()
    with platform.database("mlflow_auth") as cursor:
        cursor.execute("SELECT username, is_admin, password_hash FROM users ORDER BY username")
        found["users"] = cursor.fetchall()
    return found


@pytest.fixture(scope="module")
def request_of_attack(platform):
    """What the attacker is told: more than a stranger would know."""
    version = platform.s3(mlflow=True).put_object(Bucket=BUCKET, Key=KEY, Body=MARKER.encode())["VersionId"]
    listening = platform_proc.listeners(platform.processes())
    services = list(platform.lasting().values())
    asked = {
        "ports": known_ports(platform),
        "listening": sorted(port for _address, port in listening),
        "bucket": BUCKET,
        "key": KEY,
        "marker": MARKER,
        # what somebody would know who had read a log: the id of the object's blob, and the name of a key
        "fid": file_id(platform, version),
        "access_key": platform.secret("object_store_admin_access_key"),
        "weed": platform.program("seaweedfs", "weed"),
        "sockets": platform_proc.unix_sockets(platform.uid),
        "pids": [p.pid for p in services if p.uid == platform.uid],
        "paths": [str(platform.data_dir / path) for path in PRIVATE],
        "data_dir": str(platform.data_dir),
        "stranger": platform.root,
        "harmless": {role: sorted(paths) for role, paths in platform_attempts.HARMLESS.items()},
    }
    yield {**asked, "attempts": platform_attempts.tables(asked)}
    platform.s3().delete_object(Bucket=BUCKET, Key=KEY)


def file_id(platform, version):
    """Return the id of the blob that holds the object, as the operator's own shell says it."""
    done = subprocess.run(
        platform.as_service(platform.data_dir / "bin/weed-shell"),
        input=f"fs.meta.cat /buckets/{BUCKET}/{KEY}.versions/v_{version}\n",
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return re.search(r'"fileId": +"(\d+,[0-9a-f]+)"', done.stdout).group(1)


def attack(platform, ask):
    """Run the attack as nobody, or as this user where there is no other; return its rows."""
    python = platform.python("tools")
    command = ["runuser", "-u", "nobody", "--", python] if platform.root else [python]
    program = Path(platform_attack.__file__).read_text(encoding="utf-8")
    # the program's own file may lie where nobody cannot read
    done = subprocess.run(
        [*command, "-c", program],
        input=json.dumps(ask),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_listening_port_is_a_known_one(platform):
    ports = known_ports(platform)
    listening = platform_proc.listeners(platform.processes())
    assert {port for _address, port in listening} == {port for group in ports.values() for port in group}
    assert {address for address, _port in listening} == {"127.0.0.1"}


def test_nobody_gets_in(platform, request_of_attack):
    before = state(platform)
    rows = attack(platform, request_of_attack)
    assert before == state(platform)
    succeeded = [row for row in rows if row[2]]
    assert not succeeded, "\n".join(map(str, succeeded[:20]))
    assert len(rows) > 300
    # every kind of attempt was made
    for where in ("port ", "public:", "internal:", "mlflow:", "s3:", "filer:", "master:", "volume:", "weed shell"):
        assert [row for row in rows if row[0].startswith(where)], where
    if platform.root:
        assert {row[0] for row in rows} >= {"file", "process", "unix socket"}
    # what is open on purpose is what is listed as such, and no more
    assert {(row[0].split(":")[0], row[1]) for row in rows if row[2] is None} <= {
        (role, f"GET {path}") for role, paths in platform_attempts.HARMLESS.items() for path in paths
    }


class Open(BaseHTTPRequestHandler):
    """A server that lets everybody do everything."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_unused):
        pass


def test_the_attack_finds_an_open_server(request_of_attack):
    """Positive control: on a server that refuses nothing, every attempt over HTTP is counted as a success."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Open)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        port = server.server_address[1]
        for role in request_of_attack["ports"]:
            if role not in ("postgresql", "grpc"):
                control = platform_attack.Attack(request_of_attack)
                attempts = platform_attempts.table(role, request_of_attack, port)
                for method, path, body, headers in attempts:
                    status, _answer = platform_attack.fetch(port, method, path, body, headers)
                    assert status == 200, (role, method, path)
                control.http(role, port, attempts)
                good = [row for row in control.rows if row[2] and "TLS" not in row[0]]
                harmless = [row for row in control.rows if row[2] is None]
                assert len(good) + len(harmless) == len(control.rows) / 2
                assert len(good) > 8
    finally:
        server.shutdown()
        server.server_close()


def test_the_attack_finds_an_open_grpc_port(platform, request_of_attack):
    """Positive control: with the platform's own certificate every gRPC port talks, so a silent one is no fault of the attack."""
    attack = platform_attack.Attack(request_of_attack)
    pair = (str(platform.data_dir / "tls/seaweedfs.crt"), str(platform.data_dir / "tls/seaweedfs.key"))
    for port in known_ports(platform)["grpc"]:
        attack.h2(port, pair)
    assert [row[2:] for row in attack.rows] == [[True, " TLS, foreign certificate"]] * 4, attack.rows


def test_the_attack_finds_an_open_weed_shell(platform, request_of_attack, make_bucket):
    """Positive control: where the certificate is, the same session reads the object, and removes it and its bucket."""
    s3, bucket = platform.s3(), make_bucket()
    s3.put_object(Bucket=bucket, Key="dir/secret.txt", Body=MARKER.encode())
    asked = {**request_of_attack, "bucket": bucket, "key": "dir/secret.txt"}

    def opens():
        # the master's own maintenance may have the lock
        attack = platform_attack.Attack(asked)
        # an identity that the session makes would stay
        attack.weed_shell(str(platform.data_dir / "etc/seaweedfs"), others=("s3.configure",), timeout=60)
        ((_where, _what, succeeded, detail),) = attack.rows
        return succeeded and MARKER in detail

    platform_proc.wait_until("the shell is open", opens, 400)
    assert bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("user", ["postgres", "mlflow", "seaweedfs", "nobody"])
@pytest.mark.parametrize("password", ["", "postgres", "mlflow"])
def test_postgresql_lets_nobody_in(platform, user, password):
    import psycopg2

    for host in ("127.0.0.1", str(platform.data_dir / "run")):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed|no password supplied|Permission denied"):
            # an empty password would let psycopg2 look into the environment and ~/.pgpass
            psycopg2.connect(
                host=host, port=platform.variables["postgresql_port"], user=user, password=password, dbname="mlflow", passfile="/dev/null"
            )


@pytest.mark.parametrize("user", ["postgres", "mlflow", "seaweedfs"])
def test_pgpass_lets_the_operator_in(platform, user, monkeypatch):
    import psycopg2

    monkeypatch.delenv("PGPASSWORD", raising=False)
    where = {"host": "127.0.0.1", "port": platform.variables["postgresql_port"], "passfile": str(platform.data_dir / "secrets" / "pgpass")}
    psycopg2.connect(user=user, dbname=user, **where).close()


def test_one_account_does_not_reach_anothers_database(platform):
    import psycopg2

    for user, database in (("mlflow", "seaweedfs"), ("seaweedfs", "mlflow"), ("seaweedfs", "mlflow_auth")):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"), platform.database(database, user):
            pass


def test_mlflows_identity_cannot_undo_versions(platform):
    """What an attacker who took over MLflow could do to the bucket: add, but not destroy what was there."""
    from botocore.exceptions import ClientError

    s3, key = platform.s3(mlflow=True), f"artifacts/identity/{os.urandom(4).hex()}"
    version = s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")["VersionId"]
    suspended = {"Status": "Suspended"}
    everything = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    for name, call in {
        "suspend versioning": lambda: s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=suspended),
        "expire everything": lambda: s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=everything),
        "remove the policy": lambda: s3.delete_bucket_policy(Bucket=BUCKET),
        "delete a version": lambda: s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version),
        "delete the bucket": lambda: s3.delete_bucket(Bucket=BUCKET),
        "make a bucket": lambda: s3.create_bucket(Bucket="identity-test"),
    }.items():
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 409), name
    s3.delete_object(Bucket=BUCKET, Key=key)
    admin = platform.s3()
    assert admin.get_object(Bucket=BUCKET, Key=key, VersionId=version)["Body"].read() == b"1"
    with pytest.raises(ClientError):
        admin.delete_bucket(Bucket=BUCKET)
    assert admin.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    for one in ("Versions", "DeleteMarkers"):
        for entry in admin.list_object_versions(Bucket=BUCKET, Prefix=key).get(one, []):
            admin.delete_object(Bucket=BUCKET, Key=key, VersionId=entry["VersionId"])


def test_a_user_without_rights_sees_nothing(platform):
    """A second MLflow user, with the default permission READ of no experiment that is his: he writes to none of the administrator's."""
    admin, name, secret = platform.http(), f"stranger-{os.urandom(3).hex()}", "a long password: 1"
    run_id = platform.new_run("not yours")
    admin.json("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": secret})
    try:
        other = platform.http((name, secret))
        metric = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": 0}
        assert other("POST", "/api/2.0/mlflow/runs/log-metric", metric)[0] == 403
        assert other("POST", "/api/2.0/mlflow/runs/delete", {"run_id": run_id})[0] == 403
        assert other("POST", "/api/2.0/mlflow/users/create", {"username": "x", "password": "a long password: 2"})[0] == 403
        assert other("PATCH", "/api/2.0/mlflow/users/update-admin", {"username": name, "is_admin": True})[0] == 403
        assert other("GET", "/metrics")[0] in (403, 404)
    finally:
        assert admin("DELETE", "/api/2.0/mlflow/users/delete", {"username": name})[0] == 200


def test_programs_run_without_root(platform):
    for process in platform.processes().values():
        assert process.uid == platform.uid, process
        status = Path("/proc", str(process.pid), "status").read_text()
        assert int(status.split("CapEff:")[1].split()[0], 16) == 0 or not platform.root, process
