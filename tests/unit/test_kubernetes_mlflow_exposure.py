"""The ways to MLflow in a cluster: Services, Routes, names, certificates, and paths through the network."""

from __future__ import annotations

import pytest
from lib.kubernetes_mlflow import NAME, defaults, objects, pod
from lib.render_kubernetes import apis, cluster, manifests


@pytest.mark.parametrize(
    "expose, kind, scheme, more",
    [
        ("cluster", "ClusterIP", "HTTP", set()),
        ("ingress", "ClusterIP", "HTTP", {("Ingress", NAME)}),
        ("nodeport", "NodePort", "HTTPS", set()),
        ("loadbalancer", "LoadBalancer", "HTTPS", set()),
        ("route", "ClusterIP", "HTTP", {("Route", NAME)}),
    ],
)
def test_exposure(expose, kind, scheme, more):
    found = objects(openshift=expose == "route", mlflow_expose=expose, mlops_public_names=["ml.example.org"])
    assert found["Service", NAME]["spec"]["type"] == kind
    assert {one for one in found if one[0] in ("Ingress", "Route")} == more
    (container,) = pod(found)["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["scheme"] == scheme
    assert ("--ssl-certfile" in container["args"]) == (scheme == "HTTPS")
    assert scheme.lower() in container["readinessProbe"]["exec"]["command"]
    peers = found["NetworkPolicy", NAME]["spec"]["ingress"][0].get("from")
    prometheus = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    assert peers == ([{"podSelector": {}}, prometheus] if expose == "cluster" else None)


@pytest.mark.parametrize(
    "given, more",
    [
        ({}, 1),
        ({"mlflow_service_monitor": False}, 0),
        ({"mlflow_monitoring_peers": []}, 0),
        ({"mlflow_network_clients": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}, 2),
    ],
    ids=str,
)
def test_prometheus_is_let_in_where_it_is_told_to_come(given, more):
    found = objects(**given)
    assert len(found["NetworkPolicy", NAME]["spec"]["ingress"][0]["from"]) == 1 + more
    assert ("ServiceMonitor" in {kind for kind, _name in found}) is given.get("mlflow_service_monitor", True)


def test_where_no_operator_of_prometheus_is_nobody_more_is_let_in():
    roles = cluster()
    roles.variables["mlops_cluster"] = {**roles.variables["mlops_cluster"], "apis": {**apis("1.32"), "ServiceMonitor": ""}}
    (policy,) = [one for one in manifests(roles, only=("mlflow",)) if (one["kind"], one["metadata"]["name"]) == ("NetworkPolicy", NAME)]
    assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]


def test_a_reencrypted_route_trusts_the_pods_authority():
    found = objects(openshift=True, mlflow_expose="route", mlflow_route_termination="reencrypt", mlflow_authority="CA")
    tls = found["Route", NAME]["spec"]["tls"]
    assert (tls["termination"], tls["destinationCACertificate"]) == ("reencrypt", "CA")


@pytest.mark.parametrize(
    "service, name",
    [
        ({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}, ["192.0.2.7"]),
        ({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}}}, ["lb.example.org"]),
        ({"status": {"loadBalancer": {}}}, []),
    ],
)
def test_the_address_of_a_load_balancer_is_learned(service, name):
    roles = cluster(mlflow_expose="loadbalancer", mlflow_entry_found={"resources": [service]})
    assert roles.value("mlflow_names_public") == name
    assert roles.value("mlflow_public_url") == f"https://{(name or ['unknown.invalid'])[0]}"


@pytest.mark.parametrize(
    "bare, waits, found, looks",
    [
        (False, False, None, True),
        # a first run: the namespace is not there, is waited in, and is what the rest of the run goes by
        (True, False, None, False),
        (True, True, None, True),
        (True, False, "192.0.2.7", True),
    ],
)
def test_an_address_that_was_found_is_not_forgotten_in_the_same_run(bare, waits, found, looks):
    entries = [{"status": {"loadBalancer": {"ingress": [{"ip": found}]}}}] if found else []
    roles = cluster(mlflow_expose="loadbalancer", mlflow_entry_wait=waits, mlflow_entry_found={"resources": entries})
    roles.variables["mlops_cluster"] = {**roles.variables["mlops_cluster"], "bare": bare}
    assert roles.value(roles.tasks("mlflow", "address.yml")[0]["when"]) is looks


def test_names_that_users_gave_win_over_the_clusters():
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    roles = cluster(mlflow_expose="loadbalancer", mlops_public_names=["ml.example.org"], mlflow_entry_found={"resources": [status]})
    assert roles.value("mlflow_names_public") == ["ml.example.org"]


def test_the_certificate_names_every_way_in():
    names = cluster(mlflow_expose="nodeport", mlops_public_names=["ml.example.org", "192.0.2.7", "2001:db8::1"]).value(
        "mlflow_certificate_names"
    )
    assert {"DNS:ml.example.org", "IP:192.0.2.7", "IP:2001:db8::1", "DNS:mlops-mlflow.mlops.svc", "DNS:localhost", "IP:127.0.0.1"} <= set(
        names
    )


def test_paths_through_the_network():
    def to_pods(name):
        names = {"name": name, "instance": "mlops", "component": name}
        return [{"podSelector": {"matchLabels": {f"app.kubernetes.io/{key}": value for key, value in names.items()}}}]

    rules = defaults()["NetworkPolicy", NAME]["spec"]["egress"]
    assert [sorted({port["port"] for port in rule["ports"]}) for rule in rules] == [[53], [5432], [8333]]
    assert [rule.get("to") for rule in rules] == [None, to_pods("postgresql"), to_pods("object-store")]
    outside = objects(
        postgresql_engine="external",
        postgresql_external_host="db.example.com",
        mlflow_network_servers=[{"ports": [{"port": 443, "protocol": "TCP"}]}],
    )["NetworkPolicy", NAME]["spec"]["egress"]
    assert "to" not in outside[1]
    assert outside[-1] == {"ports": [{"port": 443, "protocol": "TCP"}]}
    # a server of others in the namespace, whose pods' labels nobody knows
    inside = objects(postgresql_engine="external", postgresql_external_host="db.mlops.svc", postgresql_external_user="dba")
    assert inside["NetworkPolicy", NAME]["spec"]["egress"][1]["to"] == [{"podSelector": {}}]
