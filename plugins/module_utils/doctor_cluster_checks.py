# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of a platform in a cluster, in the order in which its layers stand on each other, and which finding follows from which."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import (
    doctor_clients_seen,
    doctor_cluster,
    doctor_cluster_mlflow,
    doctor_mlflow,
    doctor_postgresql,
    doctor_storage,
)
from ansible_collections.mlops.platform.plugins.module_utils.doctor import Check
from ansible_collections.mlops.platform.plugins.module_utils.doctor_clients import client_pins


def looks(behind):
    """Return what looks at each layer, through a doctor_cluster_reach.Behind."""
    return {
        "cluster": behind.lists,
        "database": behind.database,
        "storage": behind.storage,
        "mlflow": lambda plan: doctor_cluster_mlflow.look(behind, plan),
        "clients": lambda plan: doctor_cluster_mlflow.clients(behind, plan),
    }


CHECKS = [
    Check("cluster", "cluster", doctor_cluster.reachable),
    Check("nodes", "cluster", doctor_cluster.nodes),
    Check("workloads", "workloads", doctor_cluster.workloads, "cluster"),
    Check("pods", "workloads", doctor_cluster.pods, "cluster"),
    Check("volumes", "storage", doctor_cluster.volumes, "cluster"),
    Check("secrets", "cluster", doctor_cluster.secrets),
    Check("certificates", "tls", doctor_cluster.certificates, "cluster"),
    Check("host", "host", doctor_cluster.elsewhere("the nodes' disks, clocks and firewalls are the cluster owner's"), "cluster"),
    *doctor_postgresql.CHECKS,
    *doctor_storage.CHECKS,
    Check("mlflow-processes", "mlflow", doctor_mlflow.processes),
    Check("entry-point", "mlflow", doctor_cluster_mlflow.entry_point),
    Check("logins", "mlflow", doctor_mlflow.logins),
    Check("schemas", "mlflow", doctor_mlflow.schemas),
    Check("artifacts", "mlflow", doctor_mlflow.artifacts),
    Check("client-pins", "mlflow", client_pins, "cluster"),
    Check("clients-seen", "mlflow", doctor_clients_seen.clients_seen, "clients"),
    Check("backup", "backup", doctor_cluster.backups, "cluster"),
]
SHOWN = {"clients_seen": ("clients", doctor_clients_seen.listed)}

_PODS = ["pod-image", "pod-configuration", "pod-failing", "pod-pending", "volume-unbound", "node-not-ready", "cluster-unreachable"]
_SCHEMA = ["schema-behind", "schema-newer", "schema-empty", "schema-foreign"]


def causes(plan):
    """Return which finding follows from which, for doctor.explain()."""

    def workload(name):
        return [("workload-stopped", name), ("workload-not-ready", name)]

    database, store, mlflow = (workload(plan[one]["workload"]) for one in ("postgresql", "object_store", "mlflow"))
    return {
        "workload-not-ready": _PODS,
        "pod-pending": ["volume-unbound", "node-not-ready", "node-pressure"],
        "pod-failing": ["node-pressure", "pod-out-of-memory"],
        "pod-configuration": ["secret-missing"],
        "postgresql-unreachable": database,
        "postgresql-password": ["secret-missing", "secret-empty"],
        "s3-unreachable": store,
        "s3-failing": ["postgresql-unreachable"],
        "mlflow-unreachable": [*mlflow, "pod-failing", "postgresql-unreachable", *_SCHEMA],
        "mlflow-no-database": ["postgresql-unreachable", ("postgresql-password", "mlflow"), "postgresql-connections"],
        "mlflow-failing": ["postgresql-unreachable", *_SCHEMA],
        "mlflow-admin-refused": [("secret-missing", "mlflow_admin_password"), ("secret-empty", "mlflow_admin_password")],
        "ingress-failing": ["mlflow-unreachable"],
        "artifact-store-failing": ["s3-unreachable", "bucket-missing", "s3-identity-refused", "s3-failing"],
        "backup-failed": ["postgresql-unreachable", "s3-unreachable", "bucket-missing"],
        "backup-old": ["backup-failed"],
    }
