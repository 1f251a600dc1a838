"""MLflow's server in a cluster: what it is started with, and what replaces its pods."""

from __future__ import annotations

import configparser
import json
from fnmatch import fnmatch
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.kubernetes.core.plugins.module_utils.apply import apply_patch
from lib.kubernetes_mlflow import NAME, decoded, defaults, environment, jobs, objects, pod
from lib.render import ODD
from lib.render_kubernetes import cluster, flat, plain


def test_the_server_has_the_environment_of_the_local_one():
    mine = environment(defaults())
    # in a cluster the image has the path, and the container has these
    assert set(cluster().value("mlflow_environment_everywhere")) <= set(mine)
    assert "PATH" not in mine
    assert mine["MLFLOW_AUTH_CONFIG_PATH"] == "/etc/mlflow/mlflow-auth.ini"
    assert {"name": "auth", "mountPath": "/etc/mlflow", "readOnly": True} in pod(defaults())["spec"]["containers"][0]["volumeMounts"]


def test_every_way_in_is_an_accepted_host():
    found = objects(mlflow_expose="ingress", mlops_public_names=["ml.example.org"], mlflow_extra_allowed_hosts=["a$(B).example.org"])
    hosts = environment(found)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    services = [f"{NAME}{end}" for end in ("", ".mlops", ".mlops.svc", ".mlops.svc.cluster.local")]
    wanted = {"ml.example.org", "ml.example.org:443", *services, *(f"{name}:5000" for name in services)}
    assert wanted <= set(hosts)
    # the pod's own address alone, at which it is scraped
    assert hosts[-2:] == ["$(MLOPS_POD_IP):5000", "[$(MLOPS_POD_IP)]:5000"]
    # nobody's text becomes a variable
    assert "a$$(B).example.org" in hosts
    for port_forward in ("127.0.0.1:41234", "localhost:5000"):
        assert any(fnmatch(port_forward, one) for one in hosts)
    for foreign in ("attacker.example", "127.0.0.1.attacker.example:80", "10.attacker.example:5000"):
        assert not any(fnmatch(foreign, one) if "*" in one else foreign == one for one in hosts)


@pytest.mark.parametrize("own", ["MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "MLFLOW_LOGGING_LEVEL"])
def test_what_a_user_sets_wins_and_may_be_secret(own):
    found = objects(mlflow_environment={own: "mine"})
    assert environment(found)[own] == "mine"
    assert decoded(found["Secret", f"{NAME}-environment"])[own] == "mine"


def test_urls_and_ini_give_back_the_password():
    found = objects(password=ODD)
    parser = configparser.ConfigParser()
    parser.read_string(decoded(found["Secret", f"{NAME}-auth"])["mlflow-auth.ini"])
    for text in (environment(found)["_MLFLOW_SERVER_FILE_STORE"], parser["mlflow"]["database_uri"]):
        url = urlsplit(text)
        assert (url.scheme, url.username, unquote(url.password), url.hostname) == (
            "postgresql+psycopg2",
            "mlflow",
            ODD,
            "mlops-postgresql.mlops.svc",
        )
        assert url.query.startswith("sslmode=")
    assert decoded(found["Secret", f"{NAME}-login"]) == {"username": "admin", "password": ODD}


def test_authorities_of_external_servers_are_mounted_and_named():
    found = objects(
        postgresql_engine="external",
        postgresql_external_host="db.example.com",
        postgresql_external_ca="PG",
        object_store_engine="external",
        object_store_external_url="https://s3.example.com",
        object_store_external_ca="S3",
    )
    assert found["ConfigMap", f"{NAME}-trust"]["data"] == {"postgresql.crt": "PG", "object-store.crt": "S3"}
    assert environment(found)["AWS_CA_BUNDLE"] == "/etc/mlflow-trust/object-store.crt"
    assert environment(found)["_MLFLOW_SERVER_FILE_STORE"].endswith("&sslrootcert=/etc/mlflow-trust/postgresql.crt")
    for one in (pod(found)["spec"], jobs(found)[0]["spec"]["template"]["spec"]):
        mounts = [mount["mountPath"] for container in one["containers"] for mount in container["volumeMounts"]]
        assert "/etc/mlflow-trust" in mounts


def test_the_next_replica_has_its_share_of_the_connections():
    # (100 - 30) / ((2 + 1 of a rolling update) * 3 engines * 2)
    assert environment(defaults())["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == "3"
    assert environment(objects(mlflow_autoscaling={"max_replicas": 10}))["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == "1"


def checksum(**overrides):
    return pod(objects(**overrides))["metadata"]["annotations"]["mlops.platform/config-checksum"]


def test_what_a_start_reads_replaces_the_pods():
    before = checksum()
    assert before == checksum()
    assert before != checksum(mlflow_environment={"A": "b"})
    assert before != checksum(mlflow_default_permission="EDIT")
    assert before != checksum(password="another")  # the database's


def test_a_new_password_of_the_administrator_replaces_none():
    secrets = {"mlflow_flask_secret_key": "ab" * 32, "mlflow_admin_password": "one"}
    one, two = (
        objects(mlflow_secrets={"secrets": {**secrets, "mlflow_admin_password": value}, "previous": {}}) for value in ("one", "two")
    )
    assert pod(one) == pod(two)
    assert one["Secret", f"{NAME}-login"] != two["Secret", f"{NAME}-login"]


def test_a_rolling_update_never_takes_a_pod_away_first():
    spec = defaults()["Deployment", NAME]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = spec["template"]["spec"]["containers"]
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    graceful = int(container["args"][container["args"].index("--timeout-graceful-shutdown") + 1])
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + graceful


def test_an_autoscaler_owns_the_number_of_pods():
    found = objects(mlflow_autoscaling={"max_replicas": 5})
    assert "replicas" not in found["Deployment", NAME]["spec"]
    spec = found["HorizontalPodAutoscaler", NAME]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)


def applied(deployment, pods):
    """Return a Deployment as the server shows it that an apply has made, and that has `pods` by now."""
    spec = {**deployment["spec"], "replicas": pods}
    note = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(deployment)}
    return {**deployment, "spec": spec, "metadata": {**deployment["metadata"], "annotations": note}}


def test_an_autoscaler_that_is_switched_on_keeps_the_pods_that_there_are():
    fixed, wanted = objects()["Deployment", NAME], objects(mlflow_autoscaling={"max_replicas": 5})["Deployment", NAME]
    live = applied(fixed, 4)
    # what kubernetes.core would send: the number is taken back, and the server's default is 1
    assert apply_patch(live, wanted)[1]["spec"]["replicas"] is None
    roles = cluster(mlflow_autoscaling={"max_replicas": 5}, mlflow_deployment={"resources": [live]})
    tasks = {task["name"]: task for task in flat(roles.tasks("mlflow", "rollout.yml"))}
    names = list(tasks)
    patch = tasks["Leave the pods that there are to the autoscaler"]
    assert names.index(patch["name"]) < names.index("Apply the server and wait until its newest revision is out")
    assert roles.value(patch["when"]) is True
    live["metadata"]["annotations"].update(plain(roles.template(patch["kubernetes.core.k8s"]["definition"]))["metadata"]["annotations"])
    assert "replicas" not in apply_patch(live, wanted)[1].get("spec", {})
    # after that, and in every later run, there is nothing to do
    roles.variables["mlflow_deployment"] = {"resources": [applied(wanted, 4)]}
    assert roles.value(patch["when"]) is False
    assert roles.value("mlflow_pods_now") == 4


@pytest.mark.parametrize("resources", [[], [{"spec": {"replicas": 0}, "metadata": {"annotations": {}}}]], ids=["new", "stopped"])
def test_an_autoscaler_finds_the_pods_that_a_server_begins_with(resources):
    roles = cluster(mlflow_autoscaling={"max_replicas": 5}, mlflow_deployment={"resources": resources})
    assert roles.value("mlflow_pods_now") == 0
    start = next(task for task in flat(roles.tasks("mlflow", "rollout.yml")) if task["name"] == "Start its pods")
    assert roles.template(start["kubernetes.core.k8s"]["definition"]) == {"spec": {"replicas": 2}}


def test_one_pod_alone_may_be_drained():
    assert ("PodDisruptionBudget", NAME) not in objects(mlflow_replicas=1)
