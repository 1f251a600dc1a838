"""What roles/preflight says of variables, and of what it was told of a host or a cluster, without either."""

from __future__ import annotations

from lib.render import HOST, ROOT, Roles

APIS = {"ServiceMonitor": "monitoring.coreos.com/v1", "PodMonitor": "monitoring.coreos.com/v1", "Cluster": "postgresql.cnpg.io/v1"}


def rules(substrate="local", host=None, cluster=None, **overrides):
    """Return the Roles that preflight looks at; `host` and `cluster` replace parts of what host_preflight and cluster_preflight return."""
    given = {"mlops_substrate": substrate}
    found = {"root": False, "service_manager": "supervisor", "data_dir_state": "missing", "memory_mb": 1900, **(host or {})}
    given |= {"preflight_host": {"host": found, "problems": []}, "mlops_host": {**HOST, **found}}
    if substrate != "local":
        found = {
            "git_version": "v1.32.1",
            "server": "https://cluster.example.com:6443",
            "openshift": substrate == "openshift",
            "apis": APIS,
        }
        found = {**found, "missing_permissions": [], **(cluster or {})}
        given |= {"preflight_cluster": {"cluster": found, "problems": []}, "mlops_cluster": found}
    given |= overrides
    roles = Roles("kubernetes_cluster", "postgresql", "object_store", "ingress", "mlflow", "preflight", **given)
    if substrate != "local":
        roles.variables = {**roles.load(ROOT / "roles/mlflow/vars/kubernetes.yml"), **roles.variables}
    return roles


def problems(substrate="local", host=None, cluster=None, **overrides):
    """Return (what, remedy) of the rules that are broken."""
    return [(rule["what"], rule["remedy"]) for rule in rules(substrate, host, cluster, **overrides).value("preflight_found")]
