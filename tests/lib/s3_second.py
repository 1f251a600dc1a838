"""A second S3 server for the tests that copy from one to another: one SeaweedFS process with its metadata in a directory of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from pathlib import Path

from lib import platform_clients as clients
from lib.platform import PORTS

OPTIONS = [
    *("-filer", "-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    *("-master.telemetry=false", "-master.volumePreallocate=false", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s"),
    *("-volume.max=0", "-volume.minFreeSpace=512MiB", "-volume.preStopSeconds=0"),
]


def port_options(first):
    """Return one odd port for each listener, from `first` on: gRPC too, which would else be 10000 above."""
    names = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    return [f"-{name}={first + 2 * number}" for number, name in enumerate(names)]


def new_keys():
    """Return an access_key and a secret_key of nobody."""
    return {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)}


def identities(admin, user=None):
    """Return SeaweedFS's s3.json with the keys of an administrator and, if given, of a user who reads, writes and lists."""
    found = [
        {"name": name, "credentials": [{"accessKey": one["access_key"], "secretKey": one["secret_key"]}], "actions": actions}
        for name, one, actions in (("admin", admin, ["Admin", "Read", "Write", "List"]), ("user", user, ["Read", "Write", "List"]))
        if one
    ]
    return json.dumps({"identities": found})


@contextlib.contextmanager
def second_server(weed, folder, port=PORTS + 61, user=None, address="127.0.0.1"):
    """Run the program `weed` below `folder`; give the connection options of its administrator.

    `user`: access_key and secret_key of an identity more, which reads, writes and lists. `address`: where it listens.
    """
    keys = new_keys()
    config = Path(folder, "s3.json")
    config.touch(mode=0o600)
    config.write_text(identities(keys, user), encoding="utf-8")
    Path(folder, "data").mkdir()
    sockets = [f"-{part}.localSocket={folder}/{part}.sock" for part in ("filer", "s3")]
    listen = [f"-ip={address}", f"-ip.bind={address}", *port_options(port), *sockets]
    command = [weed, "-logtostderr=true", "server", f"-dir={folder}/data", *OPTIONS, *listen, f"-s3.config={config}"]
    # it looks for security.toml in its directory and in its home
    with Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "HOME": str(folder)}, stdout=log, stderr=log)
    connection = {"endpoint_url": f"http://{address}:{port}", "region": "us-east-1", "addressing_style": "path", **keys}
    try:
        wait_until_writable(connection, Path(folder, "log"))
        yield connection
    finally:
        # it would refuse every write for its own fixed 15 s before it ends; nothing of it is needed
        process.kill()
        process.wait()
        # it leaves these, of fixed names: another user's tests could not start theirs
        for path in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):
            if port <= int(path.stem.rpartition("-")[2]) < port + 2 * len(port_options(port)):
                path.unlink(missing_ok=True)


def wait_until_writable(connection, log, timeout=60):
    """Return once an object can be written; raises AssertionError with the end of the log."""
    s3, deadline = clients.s3(connection), time.monotonic() + timeout
    while True:
        try:
            if "ready" not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]:
                s3.create_bucket(Bucket="ready")
            s3.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return
        except Exception as error:  # whatever a server says that is starting
            assert time.monotonic() < deadline, f"{error}\n{log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.3)
