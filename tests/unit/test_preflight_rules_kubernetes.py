"""The rules of roles/preflight/vars/main.yml for a cluster: the defaults pass, and each bad value is told with its variable."""

from __future__ import annotations

import pytest
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


def problems(apis=None, openshift=False, missing=(), **overrides):
    """Return (what, remedy) of the rules that are broken in a cluster that serves `apis`, and where `missing` resources are not allowed."""
    cluster = {"missing_permissions": [{"resource": name, "verbs": ["create"]} for name in missing]}
    cluster |= {} if apis is None else {"apis": apis}
    return render_preflight.problems("openshift" if openshift else "kubernetes", cluster=cluster, **overrides)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"apis": {}},
        {"openshift": True, "mlflow_expose": "route", "mlflow_build": True},
        {"postgresql_engine": "cloudnative_pg"},
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
