"""MLflow in a cluster: what the templates write, and the programs that run in its pods."""

from __future__ import annotations

import base64
import configparser
import functools
import json
import os
import subprocess
import sys
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.kubernetes.core.plugins.module_utils.apply import apply_patch
from lib.render import ODD, ROOT
from lib.render_kubernetes import apis, cluster, flat, manifests, plain

FILES = ROOT / "roles" / "mlflow" / "files"
NAME = "mlops-mlflow"


@functools.cache
def defaults():
    return objects()


def objects(**overrides):
    """Return the objects of MLflow, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests(cluster(**overrides), only=("mlflow",))}


def decoded(secret):
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def pod(found):
    return found["Deployment", NAME]["spec"]["template"]


def environment(found):
    """Return the environment of the server's process, as the kubelet makes it."""
    (container,) = pod(found)["spec"]["containers"]
    values = {**found["ConfigMap", f"{NAME}-environment"]["data"], **decoded(found["Secret", f"{NAME}-environment"])}
    return {**values, **{one["name"]: one["value"] for one in container["env"] if "value" in one}}


# --- the server --------------------------------------------------------------------------------------------------------------------------


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


# --- exposure ----------------------------------------------------------------------------------------------------------------------------


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


# --- schemas -----------------------------------------------------------------------------------------------------------------------------


def jobs(found):
    return [one for (kind, name), one in found.items() if kind == "Job" and "-schema-" in name]


def test_a_job_is_named_by_all_that_it_is_made_of():
    def name(**overrides):
        (job,) = jobs(objects(**overrides))
        return job["metadata"]["name"]

    before = name()
    assert name(mlflow_replicas=3, mlflow_environment={"A": "b"}, password="another") == before
    changes = (
        {"mlflow_image": "registry.example.org/mlflow:4"},
        {"mlops_node_selector": {"a": "b"}},
        {"mlops_image_pull_secrets": ["login"]},
        {"postgresql_engine": "external", "postgresql_external_host": "db.example.com"},
        {"mlops_image_pull_policy": "Always"},
    )
    names = [name(**change) for change in changes]
    assert len({before, *names}) == len(changes) + 1


@pytest.fixture
def schema_step(tmp_path):
    """Return a function that runs a step with a mlflow_schema.py that ends with the given codes, one after the other."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "python"
    stub.write_text(
        '#!/bin/sh\necho "$2" >>"$STATE/calls"\nset -- $(cat "$STATE/codes")\ncode=$1; shift\necho "$*" >"$STATE/codes"\nexit "$code"\n'
    )
    stub.chmod(0o755)
    (tmp_path / "bin" / "sleep").symlink_to("/bin/true")

    def run(step, *codes):
        (tmp_path / "codes").write_text(" ".join(map(str, codes)))
        (tmp_path / "calls").write_text("")
        (tmp_path / "word").write_text("")
        environ = {"PATH": f"{tmp_path}/bin:{os.defpath}", "STATE": str(tmp_path), "TERMINATION_LOG": str(tmp_path / "word")}
        done = subprocess.run(["/bin/sh", str(FILES / "mlflow_schema.sh"), step], env=environ, check=False, capture_output=True)
        return done.returncode, (tmp_path / "word").read_text(), (tmp_path / "calls").read_text().split()

    return run


@pytest.mark.parametrize(
    "step, codes, wanted",
    [
        ("prepare", [0], (0, "current", ["check"])),
        ("prepare", [10, 0], (0, "created", ["check", "upgrade"])),
        ("prepare", [10, 15], (15, "", ["check", "upgrade"])),
        # a server of the older version may run
        ("prepare", [11], (0, "behind", ["check"])),
        ("prepare", [12], (12, "", ["check"])),
        ("prepare", [13, 13, 0], (0, "current", ["check"] * 3)),
        ("upgrade", [0], (0, "upgraded", ["upgrade"])),
        ("upgrade", [15], (15, "", ["upgrade"])),
        ("gate", [0], (0, "", ["check"])),
        ("gate", [10], (10, "", ["check"])),
        ("gate", [13] * 31, (13, "", ["check"] * 31)),
    ],
)
def test_steps_around_the_schema(schema_step, step, codes, wanted):
    assert schema_step(step, *codes) == wanted


# --- readiness ---------------------------------------------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Answers with the status that its server has, and keeps what it was asked."""

    def do_GET(self):  # noqa: N802 - http.server's name
        self.server.seen.append((self.path, self.headers["Host"], self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def ready(tmp_path):
    """Return a function that runs the probe against a server with the given status."""
    (tmp_path / "username").write_text("admin")
    (tmp_path / "password").write_text(ODD)

    def run(status):
        with HTTPServer(("127.0.0.1", 0), Server) as server:
            server.status, server.seen = status, []
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = probe(server.server_port)
            server.shutdown()
        return done.returncode, done.stdout, server.seen

    def probe(port):
        command = [sys.executable, "-I", "-S", str(FILES / "mlflow_ready.py"), "http", str(tmp_path), str(port)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    run.probe = probe
    return run


@pytest.mark.parametrize("status, code", [(200, 0), (401, 0), (503, 1), (500, 1), (403, 1)])
def test_readiness_is_the_databases_answer(ready, status, code):
    found, printed, seen = ready(status)
    assert found == code
    ((path, host, login),) = seen
    assert path.startswith("/api/2.0/mlflow/experiments/search?")
    assert host.startswith("127.0.0.1:")
    assert base64.b64decode(login.removeprefix("Basic ")).decode() == f"admin:{ODD}"
    # the kubelet puts it into the pod's events
    assert printed.split()[1:3] == ([str(status), printed.split()[2]] if code else [])


def test_readiness_without_a_server(ready):
    done = ready.probe(1)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "ConnectionRefusedError")


# --- OpenShift ---------------------------------------------------------------------------------------------------------------------------


def test_another_base_is_another_build():
    def build(**overrides):
        found = objects(openshift=True, mlflow_build=True, **overrides)
        (one,) = [found[key] for key in found if key[0] == "BuildConfig"]
        return one

    one, two = build(), build(mlflow_base_image="docker.io/library/python:3.12-slim-bookworm")
    # OpenShift starts a build when the object is made
    assert one["metadata"]["name"] != two["metadata"]["name"]
    assert one["spec"]["output"] != two["spec"]["output"]
    assert two["spec"]["strategy"]["dockerStrategy"]["from"]["name"] == f"{NAME}-base:3.12-slim-bookworm"
    assert one["spec"]["source"]["dockerfile"] == (ROOT / "images" / "mlflow" / "Containerfile").read_text()


def test_what_was_built_is_what_runs():
    reference = "registry.svc:5000/mlops/mlops-mlflow"
    builds = [
        {
            "metadata": {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"},
            "status": {
                "phase": "Complete",
                "outputDockerImageReference": f"{reference}:3.17.2-ab",
                "output": {"to": {"imageDigest": f"sha256:{day}"}},
            },
        }
        for day in (2, 1)
    ]
    roles = cluster(openshift=True, mlflow_build=True, mlflow_builds={"resources": builds})
    (task,) = [one for one in roles.tasks("mlflow", "build.yml") if "ansible.builtin.set_fact" in one]
    built = roles.template(task["ansible.builtin.set_fact"]["mlflow_image_built"])
    assert built == f"{reference}@sha256:2"
    found = objects(openshift=True, mlflow_build=True, mlflow_image_built=built)
    assert pod(found)["spec"]["containers"][0]["image"] == built


def test_the_template_migrates_with_the_image_that_is_given():
    (job,) = objects(openshift=True)["Template", f"{NAME}-migration"]["objects"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (job["metadata"]["name"], container["image"], container["command"][-1]) == (f"{NAME}-migration-${{RUN}}", "${IMAGE}", "upgrade")
    # the NetworkPolicy of Jobs holds for it
    policy = objects(openshift=True)["NetworkPolicy", f"{NAME}-jobs"]["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= job["spec"]["template"]["metadata"]["labels"].items()


# --- the image ---------------------------------------------------------------------------------------------------------------------------


def test_the_images_label_has_the_locks_version():
    text = (ROOT / "images" / "mlflow" / "Containerfile").read_text()
    lock = (ROOT / "roles" / "local_runtime" / "files" / "mlflow.txt").read_text()
    version = text.split("ARG VERSION=")[1].split()[0]
    assert f"\nmlflow=={version} " in lock
    assert version in cluster().value("mlflow_image")
