# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MLflow in a cluster: each pod, the address of users, logins, schemas, artifacts, and the clients that connect."""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils import cluster_clients, doctor_cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_target import is_ready
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, NotApplicable, NotChecked
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import get
from ansible_collections.mlops.platform.plugins.module_utils.doctor_mlflow import LEADS_NOWHERE, READS, answered, of_public_name, through
from ansible_collections.mlops.platform.plugins.module_utils.doctor_place import secret

COMPONENT, PORT, CONTAINER = "mlflow", 5000, "mlflow"
HTTPS = 443


def ready(pods):
    """Return the pods that take requests: what keeps the others from it is told of their containers."""
    return [pod for pod in pods if is_ready(pod)]


def of_mlflow(facts):
    """Return the pods of MLflow's servers that are not about to go. Raises NotChecked."""
    return [
        pod
        for pod in doctor_cluster.items(facts, "pods")
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/component") == COMPONENT
        and not pod["metadata"].get("deletionTimestamp")
    ]


def look(behind, plan):
    """Return the facts of this layer, those of doctor_mlflow's checks. `behind` is a doctor_cluster_reach.Behind."""
    lists, server = behind.with_secrets(plan), plan["mlflow"]
    login, pods = (server["username"], secret(plan, "mlflow_admin_password")), ready(of_mlflow(lists))
    how = {"host_header": server["host_header"], "tls": server["tls"]}
    facts = {"processes": {}, "password": login[1], "server": None, **through(False, login)}
    for pod in pods:
        name = pod["metadata"]["name"]
        try:
            with behind.way(plan, PORT, pod=name) as found:
                where = found["host"], found["port"]
                answer = facts["processes"][name] = get(*where, READS, login, timeout=10, **how)
                if answer["status"] and facts["nobody"] is None:
                    facts.update(through(True, login, *where, **how))
                    facts["server"] = answered(get(*where, "/version", login, **how))
        except ClusterError as problem:
            facts["processes"][name] = {"status": None, "body": "", "said": problem.what}
    if not pods:
        facts["processes"]["mlflow"] = {"status": None, "body": "", "said": "no pod of MLflow is ready"}
    facts["schema"] = schema(behind, plan, pods)
    facts["entry"] = [(host, get(host, port, READS, login, tls=True, timeout=10)) for host, port in addresses(plan, lists)]
    return facts


def schema(behind, plan, pods):
    """Return (exit code, words) of the program that holds both schemas against MLflow; the code is None where it was not run."""
    if not pods:
        return None, "no pod of MLflow is ready"
    try:
        argv = ["python", f"{plan['mlflow']['programs']}/mlflow_schema.py", "check"]
        code, _said, words = behind.run(plan, pods[0]["metadata"]["name"], CONTAINER, argv)
    except ClusterError as problem:
        return None, str(problem)
    return code, words.strip()


def addresses(plan, lists):
    """Return [(host, port)] at which users reach MLflow: the names that they were promised, else what the cluster has given."""
    server = plan["mlflow"]
    if server["expose"] == "cluster":
        return []
    names = list(server["names"])
    if not names and server["expose"] == "loadbalancer":
        services = [one for one in doctor_cluster.listed(lists, "services") if one["metadata"]["name"] == server["name"]]
        given = [entry for one in services for entry in ((one.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []]
        names = [entry.get("hostname") or entry.get("ip") for entry in given]
    if not names and server["expose"] == "nodeport":
        nodes = doctor_cluster.listed(lists, "nodes")
        found = [entry for node in nodes for entry in (node.get("status") or {}).get("addresses") or []]
        names = [entry["address"] for entry in found if entry["type"] in ("ExternalIP", "InternalIP")]
    return [(name, server["public_port"]) for name in dict.fromkeys(names) if name]


def entry_point(plan, facts):
    """Check: users reach MLflow at its address, from here too."""
    if plan["mlflow"]["expose"] == "cluster":
        raise NotApplicable("mlflow_expose is cluster: nothing outside of the cluster reaches MLflow")
    if not facts["entry"]:
        raise NotChecked("mlops_public_names has no name, and the cluster's own is not read: make verify uses it")
    port = plan["mlflow"]["public_port"]
    remedy = f"see that the name leads to the cluster's entry point from here, and what that says (mlflow_expose); then {UP}"
    for host, answer in facts["entry"]:
        # 503 is what an entry point says that has no pod to go to
        yield from of_public_name(host, host + (f":{port}" if port != HTTPS else ""), answer, remedy, (*LEADS_NOWHERE, 503))


def clients(behind, plan):
    """Return the facts of doctor_clients_seen's check and list."""
    now = time.time()
    try:
        found = cluster_clients.seen(behind.connection(), plan["namespace"], of_mlflow(behind.lists(plan)), now)
    except ClusterError as problem:
        raise NotChecked(str(problem)) from None
    return {"seen": found, "now": now, "server": plan["mlflow"]["version"]}
