"""A namespace in which all is well, as its API and its servers say, for the tests of the doctor's checks."""

from __future__ import annotations

import base64
import copy

from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_cluster_checks
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.doctor_cluster_reach import Behind

from lib.doctor_facts import FACTS, NOW


def named(name, status=None, spec=None, **more):
    return {"metadata": {"name": name}, "spec": spec or {}, "status": status or {}, **more}


def condition(kind, status, message=""):
    return {"conditions": [{"type": kind, "status": status, "message": message}]}


POD = named(
    "mlflow-1", {"containerStatuses": [{"name": "mlflow", "restartCount": 0, "state": {"running": {}}}], **condition("Ready", "True")}
)
POD["metadata"]["labels"] = {"app.kubernetes.io/component": "mlflow"}


def encoded(**values):
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


SECRETS = {
    "postgresql_superuser_password": "super-secret-1",
    "postgresql_mlflow_password": "mlflow-secret-2",
    "object_store_mlflow_access_key": "ACCESSKEY3",
    "mlflow_admin_password": "admin-secret-4",
}
HEALTHY = {
    "nodes": [named("node1", condition("Ready", "True"))],
    "pods": [POD],
    "persistentvolumeclaims": [named("data", {"phase": "Bound"})],
    "deployments": [named("mlflow", {"readyReplicas": 2}, {"replicas": 2})],
    "statefulsets": [named("postgresql", {"readyReplicas": 1}, {"replicas": 1})],
    "jobs": [named("schema", condition("Complete", "True"))],
    "secrets": [
        named("mlops-secrets", data=encoded(**SECRETS)),
        named("mlops-mlflow-environment", data=encoded(AWS_SECRET_ACCESS_KEY="aws-secret-5")),
    ],
    "configmaps": [named("mlops-mlflow-environment", data={"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"})],
    "services": [named("mlops-mlflow")],
    "events": [],
}


class Api:
    """Stands in for a cluster's API: lists by the last part of their path; an error in a list's place is raised."""

    def __init__(self, lists):
        self.lists, self.asked = lists, []

    def get(self, what, path, **query):
        self.asked.append((path, query))
        last = path.rpartition("/")[2]
        found = self.lists.get(last, "" if last == "log" else [])
        if isinstance(found, Exception):
            raise found
        return found if last == "log" else {"items": found}

    def find(self, what, path, **query):
        self.asked.append((path, query))
        return self.lists.get(path.rpartition("/")[2])


class Planted(Behind):
    """A namespace whose API is planted. Its servers are as planted facts say, or else no way to them can be opened."""

    def __init__(self, lists, facts, problem):
        super().__init__({})
        self.api, self.planted = Api(lists), facts
        self.problem = problem or ClusterError("no pod of the Service is ready", "wait")

    def connection(self):
        return self.api

    def way(self, plan, port, service=None, pod=None):
        raise self.problem

    def run(self, plan, pod, container, argv):
        raise ClusterError("cannot run python in the pod: forbidden", "ask for pods/exec", 403)

    def look(self, name, real):
        """Return what looks at a layer: at planted facts where there are any, once the API has told the secrets."""

        def look(plan):
            if name not in self.planted:
                return real(plan)
            self.with_secrets(plan)
            return self.planted[name]

        return look


BACKUP = {"backup": True, "backup_hours": 26, "backup_days": 7, "drill_days": 35}
SERVERS = {
    "database": FACTS["database"],
    "storage": FACTS["storage"],
    "mlflow": {**FACTS["mlflow"], "processes": {"mlflow-1": FACTS["mlflow"]["processes"][15001]}, "entry": []},
    "clients": {"seen": {"3.17.2": NOW - 60}, "now": NOW, "server": "3.17.2"},
}
PLAN = {
    "namespace": "mlops",
    "certificate_days": 21,
    "secrets": list(SECRETS),
    "secret_objects": ["mlops-secrets"],
    "postgresql": {
        **{"service": "mlops-postgresql", "workload": "postgresql", "host": "", "port": 5432, "superuser": "postgres"},
        **{"accounts": {"mlflow": ["mlflow"]}, "ours": True},
    },
    "object_store": {
        **{"service": "mlops-object-store", "workload": "object-store", "port": 8333, "engine": "seaweedfs", "url": "http://s3:8333"},
        **{"region": "us-east-1", "bucket": "artifacts", "has_admin": True},
    },
    "mlflow": {
        **{"name": "mlops-mlflow", "workload": "mlflow", "environment": "mlops-mlflow-environment", "programs": "/p", "username": "admin"},
        **{"version": "3.17.2", "tls": False, "host_header": "mlflow:5000", "expose": "cluster", "names": [], "public_port": 443},
    },
    "client_seen_days": 30,
    **BACKUP,
    "backup": False,
}


def examine(clients=None, options=None, servers=None, problem=None, **lists):
    """Return the report of a namespace that is well but for `lists` of its API, `servers` ({layer: facts}), `options` of its plan."""
    behind = Planted({**copy.deepcopy(HEALTHY), **lists}, SERVERS if servers is None else servers, problem)
    plan = {**copy.deepcopy(PLAN), "clients": clients or {}, **(options or {})}
    looks = {name: behind.look(name, real) for name, real in doctor_cluster_checks.looks(behind).items()}
    checks = doctor_cluster_checks
    return doctor.examine(plan, looks, checks.CHECKS, checks.causes(plan), checks.SHOWN)
