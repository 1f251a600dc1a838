"""An S3 server that is somebody else's: a pod in another namespace that speaks TLS alone, with a bucket that is there already."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
from pathlib import Path

from lib import platform_clients as clients
from lib.certificates import make_certificate
from lib.cluster_pods import Workloads, own_namespace
from lib.platform_proc import wait_until
from lib.render import Roles
from lib.s3_second import OPTIONS, identities, new_keys

NAME, PORT, BUCKET = "theirs", 8333, "their-backups"


class OutsideS3:
    """The server: `variables` are what a platform needs to keep its backups there, `s3` is a client of its owner."""

    def __init__(self, cluster, namespace, folder):
        self.cluster, self.namespace = cluster, namespace
        # the user has what docs/backup.md asks for: list, read, write and delete objects
        self.owner, self.user = new_keys(), new_keys()
        ports = [{"port": PORT}]
        cluster.core.create_namespaced_service(namespace, {"metadata": {"name": NAME}, "spec": {"selector": {"app": NAME}, "ports": ports}})
        host = cluster.core.read_namespaced_service(NAME, namespace).spec.cluster_ip
        authority = make_certificate(folder, "authority")
        path, _certificate, _key = make_certificate(folder, "server", issuer=authority, names=[host])
        self.ca, self.url = authority[0], f"https://{host}:{PORT}"
        files = {
            "tls.crt": path.read_bytes(),
            "tls.key": path.with_suffix(".key").read_bytes(),
            "s3.json": identities(self.owner, self.user).encode(),
        }
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        cluster.core.create_namespaced_secret(namespace, {"metadata": {"name": NAME}, "data": data})

    @property
    def s3(self):
        return clients.s3({"endpoint_url": self.url, "ca_bundle": str(self.ca), **self.owner})

    def begin(self):
        """Start it, and make the bucket."""
        given = ["-s3.config=/given/s3.json", "-s3.cert.file=/given/tls.crt", "-s3.key.file=/given/tls.key"]
        container = {
            "args": ["-logtostderr=true", "server", "-dir=/data", *OPTIONS, "-ip.bind=0.0.0.0", f"-s3.port={PORT}", *given],
            "volumeMounts": [{"name": "given", "mountPath": "/given"}, {"name": "data", "mountPath": "/data"}],
        }
        volumes = [{"name": "given", "secret": {"secretName": NAME, "defaultMode": 0o440}}, {"name": "data", "emptyDir": {}}]
        Workloads(self.cluster, self.namespace).apply(
            "Deployment",
            NAME,
            command=["/usr/bin/weed"],
            image=Roles("object_store").value("object_store_image"),
            container=container,
            volumes=volumes,
            securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000},
        )

        def usable():
            with contextlib.suppress(Exception):  # whatever a server says that is starting
                if BUCKET not in [one["Name"] for one in self.s3.list_buckets()["Buckets"]]:
                    self.s3.create_bucket(Bucket=BUCKET)
                self.s3.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
                self.s3.delete_object(Bucket=BUCKET, Key="ready")
                return True

        wait_until("the S3 server of others", usable, 180)

    @property
    def variables(self):
        return {
            "mlops_backup_bucket": BUCKET,
            "backup_bucket_url": self.url,
            "backup_bucket_access_key": self.user["access_key"],
            "backup_bucket_secret_key": self.user["secret_key"],
            "backup_bucket_ca": self.ca.read_text(encoding="ascii"),
        }

    def manifests(self):
        """Return {installation: the manifests of its complete backups, oldest first}."""
        found = {}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for key in sorted(one["Key"] for page in pages for one in page.get("Contents", [])):
            if key.endswith("/manifest.json"):
                installation = key.split("/")[-4]
                found.setdefault(installation, []).append(json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))
        return found


@contextlib.contextmanager
def outside_s3(cluster):
    """Give an OutsideS3 that runs, and remove it."""
    with own_namespace(cluster) as namespace, tempfile.TemporaryDirectory(prefix="mlops-outside-") as folder:
        found = OutsideS3(cluster, namespace, Path(folder))
        found.begin()
        yield found
