"""The deletion of garbage in a cluster: what its pods are given, and the schedule."""

from __future__ import annotations

import pytest
from lib.render import within
from lib.render_kubernetes import cluster, manifests


def value(expression, **overrides):
    return cluster(**overrides).value(expression, **within("garbage"))


@pytest.mark.parametrize(
    "given, scheme, tls",
    [
        ({}, "http", {}),
        ({"mlflow_expose": "nodeport"}, "https", {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/run/secrets/mlflow/tls/ca.crt"}),
        # one that users gave need not hold the Service's name
        ({"mlflow_expose": "nodeport", "mlflow_tls_secret": "ours"}, "https", {"MLFLOW_TRACKING_INSECURE_TLS": "true"}),
    ],
)
def test_its_pods_log_in_with_a_secret_at_the_service(given, scheme, tls):
    found = {one["name"]: one.get("value", one.get("valueFrom")) for one in value("garbage_environment", **given)}
    assert found.pop("MLFLOW_TRACKING_URI") == f"{scheme}://mlops-mlflow.mlops.svc:5000"
    for name in ("username", "password"):
        key = {"secretKeyRef": {"name": "mlops-mlflow-login", "key": name}}
        assert found.pop(f"MLFLOW_TRACKING_{name.upper()}") == key
    assert found == {"HOME": "/tmp", **tls}


@pytest.mark.parametrize("version, api", [("1.20", "batch/v1beta1"), ("1.32", "batch/v1")])
def test_the_schedule_is_a_cronjob_that_goes_with_what_asked_for_it(version, api):
    def found(wanted):
        made = manifests(cluster(version=version, mlflow_daily_wanted=wanted, mlflow_daily_time="23:05"), only=["mlflow"])
        return {(one["kind"], one["metadata"]["name"]): one for one in made}

    names = {("CronJob", "mlops-mlflow-garbage"), ("ConfigMap", "mlops-mlflow-garbage")}
    assert not names & set(found(False))
    objects = found(True)
    assert names <= set(objects)
    schedule = objects["CronJob", "mlops-mlflow-garbage"]
    assert (schedule["apiVersion"], schedule["spec"]["schedule"], schedule["spec"]["suspend"]) == (api, "5 23 * * *", False)
    (container,) = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][-3:] == ["collect", "30", "-"]
    # the policy of MLflow's Jobs lets it reach its servers
    assert schedule["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "mlflow-job"


def test_a_schedule_that_an_earlier_run_left_is_seen():
    there = {"data": {"objects": "batch/v1 CronJob mlops-mlflow-garbage\n"}}
    for found, left in (([], False), ([{"data": {"objects": ""}}], False), ([there], True)):
        facts = {**cluster().variables["mlops_cluster"], "objects": {"garbage_schedule": found}}
        assert value("garbage_schedule_left", mlops_cluster=facts) is left


def test_it_is_scheduled_as_backups_are():
    """Two roles, whose templates cannot share a file: what the one's CronJob says of missed days and failures, the other's says too."""

    def rules(role, name):
        made = manifests(
            cluster(mlops_backup=True, backup_time="23:05", mlflow_daily_time="23:05", mlflow_daily_timeout=7, backup_timeout=7),
            only=[role],
        )
        (spec,) = [one["spec"] for one in made if (one["kind"], one["metadata"]["name"]) == ("CronJob", name)]
        return {**spec, "jobTemplate": {"spec": {**spec["jobTemplate"]["spec"], "template": "its own"}}}

    found = rules("mlflow", "mlops-mlflow-garbage")
    assert found == rules("backup", "mlops-backup") and found["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 7
