"""An object store of nobody else, for a drill: SeaweedFS below a directory of its own, as closed as the platform's and gone in the end."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error

from mlops_backup import with_us
from mlops_backup.problems import BackupError
from mlops_backup.settings import connection

PARTS = ("s3", "master", "volume", "filer")
OPTIONS = [
    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    *("-disableHttp", "-filer.disableHttp", "-filer.exposeDirectoryData=false", "-filer.disableDirListing"),
    *("-master.telemetry=false", "-master.volumePreallocate=false", "-master.electionTimeout=1s", "-master.defaultReplication=000"),
    *("-volume.max=0", "-volume.preStopSeconds=0", "-s3.autoCreateBucket=false"),
]


class PrivateStore:
    """As a context: the server runs, with one empty bucket that keeps versions."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.keys = {"access_key": secrets.token_hex(10), "secret_key": secrets.token_hex(20)}
        first = settings.drill_port
        # its own ports for gRPC too, which would else be 10000 above
        self.ports = {
            f"{part}.port{kind}": first + number * 2 + (kind != "") for number, part in enumerate(PARTS) for kind in ("", ".grpc")
        }

    def __enter__(self):
        """Start it. Raises BackupError with its last words when it does not take writes."""
        self.folder.mkdir(mode=0o700)
        (self.folder / "data").mkdir(mode=0o700)
        identity = {"accessKey": self.keys["access_key"], "secretKey": self.keys["secret_key"]}
        config = {"identities": [{"name": "drill", "credentials": [identity], "actions": ["Admin", "Read", "Write", "List"]}]}
        (self.folder / "s3.json").write_text(json.dumps(config), encoding="utf-8")
        # it looks for this file in its directory: mutual TLS and signed tokens, as in the platform's own
        shutil.copyfile(self.settings.data / "etc" / "seaweedfs" / "security.toml", self.folder / "security.toml")
        command = [self.settings.object_store["weed"], "-logtostderr=true", "server", f"-dir={self.folder}/data", *OPTIONS]
        command += [f"-{name}={port}" for name, port in self.ports.items()]
        command += [f"-volume.minFreeSpace={self.settings.reserve_mb}MiB", f"-s3.config={self.folder}/s3.json"]
        command += [f"-{part}.localSocket={self.folder}/{part}.sock" for part in ("filer", "s3")]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "GOMEMLIMIT": "400MiB"}
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # a drill that is killed leaves nobody on the ports that the next one needs
                preexec_fn=with_us.ends(signal.SIGKILL),
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def target(self):
        """(connection, bucket), as objects_restore takes it."""
        url = f"http://127.0.0.1:{self.ports['s3.port']}"
        return connection(endpoint_url=url, region=self.settings.object_store["region"], **self.keys), self.settings.object_store["bucket"]

    def _wait(self):
        """Return when the bucket is there and takes writes. Raises BackupError with the server's last words."""
        server, name = self.target
        steps = [
            ("create_bucket", {}),
            ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
            ("put_object", {"Key": "ready", "Body": b"ready"}),
        ]
        deadline = time.monotonic() + 120
        while steps:
            operation, arguments = steps[0]
            try:
                server.call("prepare the bucket", operation, Bucket=name, **arguments)
                steps.pop(0)
            except S3Error as error:
                # an attempt whose answer was late may have made it
                if error.code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                    steps.pop(0)
                elif self.process.poll() is not None or time.monotonic() > deadline:
                    words = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-4:]
                    raise BackupError(f"the drill's object store does not take writes: {error}; {' / '.join(words)}") from None
                else:
                    time.sleep(0.3)

    def __exit__(self, *_unused):
        """Kill it: it would refuse every write for 15 s before it ends, and nothing of it is needed."""
        self.process.kill()
        self.process.wait()
        for part in PARTS:
            # it also listens on sockets in /tmp, and leaves them there
            with contextlib.suppress(FileNotFoundError):
                Path(f"/tmp/seaweedfs-{part}-grpc-{self.ports[f'{part}.port.grpc']}.sock").unlink()  # noqa: S108 - its own name for it
