"""Small workloads for the tests of the cluster modules, of an image that the platform uses anyway."""

from __future__ import annotations

import contextlib
import secrets

import yaml
from kubernetes import client

from lib.modules import ROOT, run_module

IMAGE = yaml.safe_load((ROOT / "roles/mlflow/defaults/main.yml").read_text(encoding="utf-8"))["mlflow_image"]
# GET /big/N: N bytes of a known pattern; POST: the SHA-256 of what came; anything else: the pod's name
SERVER = """
import hashlib, http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def send(self, size, parts):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for part in parts: self.wfile.write(part)
    def do_GET(self):
        if self.path.startswith("/big/"):
            size = int(self.path[5:])
            block = bytes(range(256)) * 4096
            self.send(size, (block[:min(len(block), size - at)] for at in range(0, size, len(block))))
        else:
            name = os.environ["HOSTNAME"].encode()
            self.send(len(name), [name])
    def do_POST(self):
        left, found = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 1 << 20))
            found.update(data)
            left -= len(data)
        self.send(64, [found.hexdigest().encode()])
# a shorter queue of connections that nobody has accepted yet, and the kernel resets some of many at once
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("", 8000), H).serve_forever()
"""
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait")


@contextlib.contextmanager
def own_namespace(cluster):
    """A namespace that exists as long as the block."""
    name = f"mlops-test-{secrets.token_hex(3)}"
    cluster.core.create_namespace({"metadata": {"name": name}})
    try:
        yield name
    finally:
        cluster.remove_namespace(name)


class Workloads:
    """Makes and changes workloads in a namespace, and runs modules there."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        self.batch = client.BatchV1Api(cluster.client)

    def run(self, module, check=False, env=None, **arguments):
        given = {"kubeconfig": self.cluster.kubeconfig, "namespace": self.namespace, **arguments}
        return run_module(module, given, check=check, diff=True, env=env)

    def rollout(self, kind, name, timeout=90, **options):
        return self.run("cluster_rollout", workloads=[{"kind": kind, "name": name}], timeout=timeout, **options)

    def body(self, kind, name, command=SLEEP, image=IMAGE, replicas=1, container=None, **pod):
        labels = {"app": name}
        one = {"name": "c", "image": image, "command": list(command), "imagePullPolicy": "IfNotPresent", **(container or {})}
        spec = {"containers": [one], "terminationGracePeriodSeconds": 2, "enableServiceLinks": False, **pod}
        template = {"metadata": {"labels": labels}, "spec": spec}
        if kind == "Job":
            return {
                "metadata": {"name": name},
                "spec": {"backoffLimit": 0, "template": {**template, "spec": {**spec, "restartPolicy": "Never"}}},
            }
        found = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        if kind == "StatefulSet":
            found["serviceName"] = name
        return {"metadata": {"name": name}, "spec": found}

    def apply(self, kind, name, claims=None, **options):
        """Make a workload, or replace the one that is there."""
        body, api = self.body(kind, name, **options), self.batch if kind == "Job" else self.cluster.apps
        if claims:
            body["spec"]["volumeClaimTemplates"] = claims
        word = {"Deployment": "deployment", "StatefulSet": "stateful_set", "Job": "job"}[kind]
        try:
            getattr(api, f"create_namespaced_{word}")(self.namespace, body)
        except client.ApiException as error:
            if error.status != 409:
                raise
            getattr(api, f"replace_namespaced_{word}")(name, self.namespace, body)

    def pods(self, name):
        return self.cluster.core.list_namespaced_pod(self.namespace, label_selector=f"app={name}").items
