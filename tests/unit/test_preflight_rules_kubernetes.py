"""The rules of roles/preflight/vars/main/ for a cluster: the defaults pass, and each bad value is told with its variable."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster_preflight import Preflight
from lib import render_preflight

EXTERNAL_DATABASE = {
    "postgresql_engine": "external",
    "postgresql_external_host": "db.example.com",
    "postgresql_external_user": "dba",
    "postgresql_external_password": "a-password",
}
EXTERNAL_STORE = {
    "object_store_engine": "external",
    "object_store_external_url": "https://s3.example.com",
    "object_store_mlflow_access_key": "key",
    "object_store_mlflow_secret_key": "secret",
}


def problems(apis=None, openshift=False, missing=(), version="1.32", **overrides):
    """Return (what, remedy) of the rules that are broken in a cluster that serves `apis`, and where `missing` resources are not allowed."""
    asked = {entry["resource"]: entry for entry in permissions(openshift=openshift, apis=apis, **overrides)}
    cluster = {"version": version, "missing_permissions": [asked.get(name, {"resource": name, "verbs": ["create"]}) for name in missing]}
    cluster |= {} if apis is None else {"apis": apis}
    return render_preflight.problems("openshift" if openshift else "kubernetes", cluster=cluster, **overrides)


def permissions(apis=None, openshift=False, **overrides):
    """Return the permissions that are asked for in a cluster that serves `apis`."""
    cluster = {} if apis is None else {"apis": apis}
    roles = render_preflight.rules("openshift" if openshift else "kubernetes", cluster=cluster, **overrides)
    served = {**roles.variables["mlops_cluster"]["apis"], **({"Template": "template.openshift.io/v1"} if openshift else {})}
    preflight = Preflight.__new__(Preflight)
    preflight.facts = {"apis": served}
    return [entry for entry in roles.value("preflight_permissions") if preflight._concerns(entry)]


def verbs(found, resource):
    return {verb for entry in found if entry["resource"] == resource for verb in entry["verbs"]}


def test_a_tunnel_is_opened_with_get():
    assert verbs(permissions(), "pods/portforward") == {"get", "create"}


def test_openshift_asks_for_what_a_route_with_a_host_and_the_template_take():
    given = {"openshift": True, "mlflow_expose": "route"}
    assert verbs(permissions(**given), "templates") == {"get", "create", "patch", "delete"}
    assert not verbs(permissions(**given), "routes/custom-host")
    assert verbs(permissions(**given, mlops_public_names=["ml.example.com"]), "routes/custom-host") == {"create"}
    assert not verbs(permissions(), "templates")


def test_the_operators_installation_takes_rights_in_the_whole_cluster_and_only_where_it_is_missing():
    given = {"postgresql_engine": "cloudnative_pg"}
    everywhere = {entry["resource"] for entry in permissions(apis={}, **given) if not entry.get("namespaced", True)}
    assert {
        "namespaces",
        "customresourcedefinitions",
        "clusterroles",
        "clusterrolebindings",
        "validatingwebhookconfigurations",
    } < everywhere
    for others in ({}, {"apis": {}, "postgresql_operator_manage": False}):
        assert not [entry for entry in permissions(**{**given, **others}) if not entry.get("namespaced", True)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"apis": {}},
        {"openshift": True, "mlflow_expose": "route", "mlflow_build": True},
        {"postgresql_engine": "cloudnative_pg"},
        {"postgresql_engine": "cloudnative_pg", "version": "1.25"},
        {"postgresql_engine": "cloudnative_pg", "version": ""},
        {"postgresql_engine": "cloudnative_pg", "apis": {}},
        {"version": "1.20"},
        EXTERNAL_DATABASE,
        EXTERNAL_STORE,
        # what is not served, or not wanted, need not be allowed
        {"apis": {}, "missing": ["servicemonitors", "podmonitors"]},
        {"missing": ["servicemonitors"], "mlflow_service_monitor": False},
        {"missing": ["podmonitors"]},
    ],
    ids=str,
)
def test_what_is_right_is_accepted(given):
    assert problems(**given) == []


BAD = [
    ({"mlops_namespace": "Not_a_name"}, "mlops_namespace"),
    ({"mlops_registry_logins": {"registry.example.com": {"username": "a"}}}, "mlops_registry_logins"),
    ({"mlops_wait_timeout": 0}, "mlops_wait_timeout"),
    ({"postgresql_engine": "embedded"}, "postgresql_engine"),
    ({"openshift": True, "mlops_substrate": "kubernetes"}, "mlops_substrate"),
    ({"mlops_substrate": "openshift"}, "mlops_substrate"),
    ({**EXTERNAL_DATABASE, "postgresql_external_host": ""}, "postgresql_external_host"),
    ({**EXTERNAL_DATABASE, "postgresql_external_password": ""}, "postgresql_external_password"),
    ({**EXTERNAL_DATABASE, "postgresql_external_user": "", "postgresql_external_password": ""}, "postgresql_account_passwords"),
    ({**EXTERNAL_DATABASE, "postgresql_external_sslmode": "verify-full"}, "postgresql_external_ca"),
    ({"postgresql_engine": "cloudnative_pg", "apis": {}, "postgresql_operator_manage": False}, "postgresql_operator_manage"),
    ({"postgresql_engine": "cloudnative_pg", "version": "1.24"}, "needs 1.25"),
    ({"postgresql_engine": "cloudnative_pg", "apis": {}, "missing": ["clusterroles"]}, "postgresql_operator_manage"),
    ({"postgresql_instances": 4}, "postgresql_instances"),
    ({**EXTERNAL_STORE, "object_store_external_url": "s3.example.com/bucket"}, "object_store_external_url"),
    ({**EXTERNAL_STORE, "object_store_admin_access_key": "only this"}, "object_store_admin_secret_key"),
    ({"mlflow_expose": "ingress"}, "mlops_public_names"),
    ({"mlflow_expose": "ingress", "mlops_public_names": ["10.0.0.1"]}, "mlflow_expose is ingress"),
    ({"mlflow_expose": "route"}, "mlflow_expose"),
    ({"mlflow_autoscaling": {"min_replicas": 3, "max_replicas": 2}}, "mlflow_autoscaling"),
    ({"mlflow_replicas": 0}, "mlflow_replicas"),
    ({"mlflow_environment": {"no-name": "1"}}, "mlflow_environment"),
    ({"missing": ["servicemonitors"]}, "mlflow_service_monitor"),
    ({"missing": ["podmonitors"], "postgresql_engine": "cloudnative_pg"}, "podmonitors"),
]


@pytest.mark.parametrize("given, words", BAD, ids=[str(given) for given, _unused in BAD])
def test_a_bad_value_is_told_with_its_variable_and_a_remedy(given, words):
    found = problems(**given)
    assert len(found) == 1, found
    what, remedy = found[0]
    assert words in what + remedy
    assert remedy
