"""Bad input on Kubernetes: the message says why, in the server's own words, and does not wait for a time-out to run down."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from kubernetes import client
from lib.cluster_platform import ClusterPlatform, explained

REFUSAL = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'


@pytest.fixture
def fresh(kubeconfig, namespace):
    """Make platforms that are not installed, in the test's namespace; their files go at the end."""
    platform = ClusterPlatform(kubeconfig, namespace)
    yield platform
    platform.remove()


def write(platform, name, content):
    path = platform.scratch / name
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


# --- before anything is touched ----------------------------------------------------------------------------------------------------------


def test_no_kubeconfig(fresh, cluster):
    explained(fresh.run(extra={"mlops_kubeconfig": "/nonexistent/config"}), "/nonexistent/config", "mlops_kubeconfig")
    assert not cluster.namespaces(fresh.namespace)


def test_a_login_that_has_expired(fresh, kubeconfig):
    with open(kubeconfig, encoding="utf-8") as file:
        found = yaml.safe_load(file)
    found["users"][0]["user"] = {"token": "expired"}
    message = explained(fresh.run(extra={"mlops_kubeconfig": write(fresh, "expired", found)}), "Unauthorized")
    assert "log in again" in message


def test_a_server_that_does_not_answer(fresh, kubeconfig):
    with open(kubeconfig, encoding="utf-8") as file:
        found = yaml.safe_load(file)
    found["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    explained(fresh.run(extra={"mlops_kubeconfig": write(fresh, "dead", found)}), "https://127.0.0.1:9")


def test_an_unknown_storage_class_names_those_that_there_are(fresh, cluster):
    message = explained(fresh.run(extra={"mlops_storage_class": "no-such-class"}), "no-such-class", "mlops_storage_class")
    known = [one.metadata.name for one in client.StorageV1Api(cluster.client).list_storage_class().items]
    assert any(name in message for name in known)
    assert not cluster.namespaces(fresh.namespace)


def test_a_user_without_the_permissions_is_told_which(fresh, cluster):
    """One who may read, in a namespace that exists: every missing verb is named with its resource and the namespace."""
    cluster.core.create_namespace({"metadata": {"name": fresh.namespace}})
    reading = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    theirs = write(fresh, "reader", cluster.kubeconfig_of(fresh.namespace, "reader", reading))
    run = fresh.run(extra={"mlops_kubeconfig": theirs, "mlops_manage_namespace": False})
    explained(run, "create", "secrets", "statefulsets", "deployments", fresh.namespace)
    assert not cluster.apps.list_namespaced_stateful_set(fresh.namespace).items


def test_a_user_of_a_namespace_that_is_missing_is_told_so(fresh, cluster, namespace):
    other = f"{namespace}-other"
    cluster.core.create_namespace({"metadata": {"name": other}})
    try:
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        theirs = write(fresh, "tenant", cluster.kubeconfig_of(other, "tenant", everything))
        message = explained(fresh.run(extra={"mlops_kubeconfig": theirs}), fresh.namespace)
        assert "namespaces" in message
    finally:
        cluster.remove_namespace(other)


# --- what only the cluster knows ---------------------------------------------------------------------------------------------------------


def test_an_image_that_cannot_be_pulled(fresh):
    image = "localhost:9/no/such-image:1"
    message = explained(fresh.run(extra={"postgresql_image": image}), image, "mlops-postgresql")
    assert "ErrImagePull" in message or "ImagePullBackOff" in message


def test_a_pod_that_fits_nowhere(fresh):
    run = fresh.run(extra={"mlops_node_selector": {"no-such-label": "true"}})
    message = explained(run, "mlops-postgresql")
    # the scheduler's own words
    assert "0/1 nodes are available" in message or "nodes are available" in message


def test_a_quota_that_is_too_small(fresh):
    explained(fresh.run(extra={"mlops_resource_quota": {"pods": "0"}}), "exceeded quota", "pods=0")


def test_pods_that_the_admission_refuses(fresh, cluster):
    """Kubernetes 1.20 has no Pod Security admission: a webhook of the test refuses in its words, on the same path."""
    with refuser(cluster, fresh.namespace):
        explained(fresh.run(), "violates PodSecurity", "mlops-postgresql")


class Refuser(BaseHTTPRequestHandler):
    """An admission webhook that refuses everything."""

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"uid": review["request"]["uid"], "allowed": False, "status": {"code": 403, "message": REFUSAL}}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_unused):
        pass


@contextlib.contextmanager
def refuser(cluster, namespace):
    """Refuse every pod of `namespace` while the block runs. The API server must be able to reach this machine."""
    host = cluster.client.configuration.host.split("//")[1].split(":")[0]
    folder = subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=refuser"]
    command += ["-addext", f"subjectAltName=IP:{host}", "-keyout", f"{folder}/key", "-out", f"{folder}/crt"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/crt", f"{folder}/key")
    server = ThreadingHTTPServer((host, 0), Refuser)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(f"{folder}/crt", "rb") as file:
        authority = b64encode(file.read()).decode()
    hook = {
        "name": "refuser.test.invalid",
        "clientConfig": {"url": f"https://{host}:{server.server_address[1]}/", "caBundle": authority},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}],
        "namespaceSelector": {"matchLabels": {"mlops-test": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
    }
    api = client.AdmissionregistrationV1Api(cluster.client)
    cluster.core.create_namespace({"metadata": {"name": namespace, "labels": {"mlops-test": namespace}}})
    api.create_validating_webhook_configuration({"metadata": {"name": namespace}, "webhooks": [hook]})
    try:
        yield
    finally:
        api.delete_validating_webhook_configuration(namespace)
        server.shutdown()
        subprocess.run(["rm", "-r", folder], check=True)
