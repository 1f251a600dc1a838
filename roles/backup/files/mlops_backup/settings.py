"""The installation, as the role describes it in etc/backup.json, and its secrets, which stay in their own files."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import types
from pathlib import Path

from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory
from mlops_backup.vault import Vault


class Settings:
    """What etc/backup.json says. The attributes are its keys."""

    # whether this runs in a pod of a cluster, and then the number under which its backups are kept, which outlives its database
    pod = False
    installation = ""

    def __init__(self, path):
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackupError(f"{path}: {error}; run playbooks/backup.yml, which writes it") from None
        self.__dict__.update(found)
        self.data = Path(self.data_dir)
        self.staging = self.data / "backup" / "staging"
        self.lock = self.data / "run" / "backup.lock"
        self.tools = self.data / "tools"
        self.metrics = self.data / "backup" / "mlops_backup.prom"
        if self.pod:
            self._in_a_pod()

    def _in_a_pod(self):
        """See to what is another in a pod, whose directories end with it."""
        if self.destination["kind"] == "directory":
            self.metrics = Path(self.destination["path"]) / "mlops_backup.prom"
        # the program runs in the image of MLflow's server
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            self.versions = {**self.versions, "mlflow": f"mlflow=={importlib.metadata.version('mlflow')}\n"}

    def secret(self, name):
        """Return one secret of the installation. Raises BackupError."""
        try:
            return (self.data / "secrets" / name).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise BackupError(f"secret {name}: {error}") from None

    def administrator_password(self):
        """Return the password with which this program logs in to PostgreSQL. Raises BackupError."""
        return self.secret(self.postgresql.get("password", "postgresql_superuser_password"))

    def transport(self):
        """Return libpq's parameters that say how the connection to PostgreSQL is protected; none where its own defaults do."""
        return {name: self.postgresql[name] for name in ("sslmode", "sslrootcert") if self.postgresql.get(name)}

    def key(self):
        """Return the backup key, or None."""
        return Key.read(self.key_file)

    def root(self):
        """Return the store that holds the backups of all installations."""
        if self.destination["kind"] == "directory":
            return Directory(self.destination["path"])
        from mlops_backup.store_s3 import Bucket

        given = self.destination
        server = connection(
            endpoint_url=given["endpoint_url"],
            access_key=self.secret("backup_bucket_access_key"),
            secret_key=self.secret("backup_bucket_secret_key"),
            region=given["region"],
            ca_bundle=given["ca"] or None,
        )
        return Bucket(server, given["bucket"], f"{given['prefix'].strip('/')}/" if given["prefix"].strip("/") else "", self.data / "backup")

    def vault(self, installation):
        """Return the vault of one installation, named by its PostgreSQL's system identifier."""
        return Vault(self.root().below(str(installation)), self.key())

    def s3(self):
        """Return (connection, bucket) of the platform's object store, as its administrator."""
        return (
            connection(
                endpoint_url=self.object_store["endpoint_url"],
                access_key=self.secret("object_store_admin_access_key"),
                secret_key=self.secret("object_store_admin_secret_key"),
                region=self.object_store["region"],
                ca_bundle=self.object_store.get("ca") or None,
            ),
            self.object_store["bucket"],
        )


def connection(**options):
    """Return a connection to an S3 server, which is the one that the collection's modules use."""
    from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import Connection

    params = {"session_token": None, "ca_bundle": None, "validate_certs": True, "addressing_style": "path", **options}
    # what a connection asks of the module that it belongs to
    module = types.SimpleNamespace(params=params, no_log_values=set(), warn=lambda text: None, fail_json=_missing)
    return Connection(module)


def _missing(msg):
    raise BackupError(msg)
