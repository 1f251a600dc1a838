"""A PostgreSQL that is somebody else's: a pod in another namespace that speaks TLS alone, and gives us an account that is no superuser."""

from __future__ import annotations

import base64
import contextlib
import secrets
import tempfile
from pathlib import Path

import psycopg2

from lib.certificates import make_certificate
from lib.cluster_pods import Workloads, own_namespace
from lib.platform_proc import wait_until
from lib.postgresql_server import rows

IMAGE = "docker.io/library/postgres:17"
NAME = "theirs"


class Outside:
    """The server: `variables` are what a platform needs to use it, `ask` is its owner."""

    def __init__(self, cluster, namespace, folder):
        self.cluster, self.namespace = cluster, namespace
        self.passwords = {"postgres": secrets.token_urlsafe(12), "dba": secrets.token_urlsafe(12)}
        ports = [{"port": 5432}]
        cluster.core.create_namespaced_service(namespace, {"metadata": {"name": NAME}, "spec": {"selector": {"app": NAME}, "ports": ports}})
        self.host = cluster.core.read_namespaced_service(NAME, namespace).spec.cluster_ip
        authority = make_certificate(folder, "authority")
        path, _certificate, _key = make_certificate(folder, "server", issuer=authority, names=[self.host])
        self.ca = authority[0]
        files = {
            "tls.crt": path.read_bytes(),
            "tls.key": path.with_suffix(".key").read_bytes(),
            "password": self.passwords["postgres"].encode(),
        }
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        cluster.core.create_namespaced_secret(namespace, {"metadata": {"name": NAME}, "data": data})

    def begin(self):
        """Start it, and make the account."""
        options = {"ssl": "on", "ssl_cert_file": "/given/tls.crt", "ssl_key_file": "/given/tls.key"}
        container = {
            "args": ["postgres", *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))],
            "env": [
                {"name": "POSTGRES_PASSWORD_FILE", "value": "/given/password"},
                {"name": "POSTGRES_INITDB_ARGS", "value": "--auth-host=scram-sha-256"},
                # a directory of the server's own
                {"name": "PGDATA", "value": "/var/lib/postgresql/data/it"},
            ],
            "volumeMounts": [{"name": "given", "mountPath": "/given"}, {"name": "data", "mountPath": "/var/lib/postgresql/data"}],
        }
        volumes = [{"name": "given", "secret": {"secretName": NAME, "defaultMode": 0o440}}, {"name": "data", "emptyDir": {}}]
        context = {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}
        workloads = Workloads(self.cluster, self.namespace)
        workloads.apply(
            "Deployment", NAME, command=["docker-entrypoint.sh"], image=IMAGE, container=container, volumes=volumes, securityContext=context
        )
        wait_until("the server of others", lambda: self.ask("postgres", "SELECT 1"), 180)
        self.ask("postgres", f"CREATE ROLE dba LOGIN CREATEDB CREATEROLE PASSWORD '{self.passwords['dba']}'")

    def ask(self, name, *queries):
        """Run queries as the superuser in the database `name`, and return the rows of the last one."""
        found = psycopg2.connect(
            host=self.host,
            user="postgres",
            password=self.passwords["postgres"],
            dbname=name,
            sslmode="verify-full",
            sslrootcert=str(self.ca),
            connect_timeout=5,
        )
        return rows(found, *queries)

    @property
    def variables(self):
        return {
            "postgresql_engine": "external",
            "postgresql_external_host": self.host,
            "postgresql_external_user": "dba",
            "postgresql_external_password": self.passwords["dba"],
            "postgresql_external_sslmode": "verify-full",
            "postgresql_external_ca": self.ca.read_text(encoding="ascii"),
        }


@contextlib.contextmanager
def outside_postgresql(cluster):
    """Give an Outside that runs, and remove it."""
    with own_namespace(cluster) as namespace, tempfile.TemporaryDirectory(prefix="mlops-outside-") as folder:
        found = Outside(cluster, namespace, Path(folder))
        found.begin()
        yield found
