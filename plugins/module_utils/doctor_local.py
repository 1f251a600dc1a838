# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The layers of a platform on a host, in the order in which they stand on each other, and which finding follows from which."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import (
    doctor_backup,
    doctor_clients_seen,
    doctor_files,
    doctor_host,
    doctor_mlflow,
    doctor_network,
    doctor_postgresql,
    doctor_services,
    doctor_storage,
    doctor_tls,
)
from ansible_collections.mlops.platform.plugins.module_utils.doctor import Check, NotApplicable

LAYERS = {
    "host": doctor_host,
    "files": doctor_files,
    "services": doctor_services,
    "network": doctor_network,
    "tls": doctor_tls,
    "database": doctor_postgresql,
    "storage": doctor_storage,
    "mlflow": doctor_mlflow,
    "backup": doctor_backup,
}
LOOKS = {**{name: module.look for name, module in LAYERS.items()}, "cluster": lambda plan: None}


def no_cluster(_plan, _facts):
    """There is a list of checks of its own for clusters, doctor_cluster."""
    raise NotApplicable("the platform runs as processes on a host (mlops_substrate: local)")


CHECKS = [*(check for module in LAYERS.values() for check in module.CHECKS), Check("cluster", "cluster", no_cluster)]
# what a report shows besides, by name: the layer, and what makes it of plan and facts
SHOWN = {"clients_seen": ("mlflow", doctor_clients_seen.listed)}

_FILES = [
    "data-directory-missing",
    "data-directory-owner",
    "data-directory-mode",
    "secret-missing",
    "secret-empty",
    "disk-full",
    "inodes-short",
]
_DATABASE = [("port-foreign", "postgresql"), ("service-stopped", "postgresql"), ("service-failing", "postgresql"), "supervisor-stopped"]
_STORE = [("port-foreign", "seaweedfs"), ("service-stopped", "seaweedfs"), ("service-failing", "seaweedfs"), "supervisor-stopped"]
_ENTRY = [("port-foreign", "traefik"), ("service-stopped", "traefik"), ("service-failing", "traefik"), "supervisor-stopped"]
_SCHEMA = ["schema-behind", "schema-newer", "schema-empty", "schema-foreign"]

# (id, None): of the same subject; (id, subject): of that one; an id alone: of any
CAUSES = {
    "service-failing": [*_FILES, ("port-foreign", None), "postgresql-unreachable", *_SCHEMA, "program-missing"],
    "service-stopped": ["program-missing"],
    "guardian-stopped": ["supervisor-stopped"],
    "port-closed": [("service-failing", None)],
    "postgresql-unreachable": [*_DATABASE, *_FILES],
    "postgresql-password": ["secret-missing", "secret-empty"],
    "s3-unreachable": [*_STORE, "postgresql-unreachable", *_FILES],
    "s3-failing": ["postgresql-unreachable", "disk-full"],
    "s3-unwritable": ["disk-full", "postgresql-unreachable"],
    "mlflow-unreachable": ["supervisor-stopped", ("service-stopped", None), ("service-failing", None), ("port-foreign", None), *_SCHEMA],
    "mlflow-no-database": ["postgresql-unreachable", ("postgresql-password", "mlflow"), "postgresql-connections"],
    "mlflow-failing": ["postgresql-unreachable", *_SCHEMA],
    "mlflow-admin-refused": [("secret-missing", "mlflow_admin_password"), ("secret-empty", "mlflow_admin_password")],
    "ingress-unreachable": _ENTRY,
    "ingress-failing": [*_ENTRY, "ingress-unreachable", "mlflow-unreachable"],
    "certificate-not-served": _ENTRY,
    "certificate-untrusted": [
        "certificate-expired",
        "certificate-authority",
        "certificate-not-yet-valid",
        "authority-missing",
        "authority-expired",
        "certificate-not-served",
    ],
    "artifact-store-failing": ["s3-unreachable", "bucket-missing", "s3-identity-refused", "s3-failing", "mlflow-unreachable"],
    "schema-unknown": ["program-missing", "postgresql-unreachable"],
    "backup-failed": [
        "postgresql-unreachable",
        "s3-unreachable",
        "bucket-missing",
        "backup-destination-missing",
        "backup-disk-full",
        "backup-key-missing",
    ],
    "backup-old": ["backup-failed", ("service-stopped", "backup"), ("service-failing", "backup")],
    "wal-archive-failing": ["backup-destination-missing", "backup-destination-owner", "backup-disk-full"],
}
