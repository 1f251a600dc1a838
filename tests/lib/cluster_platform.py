"""One platform of the tests' own in a Kubernetes cluster, made by site.yml in a namespace of its own, and removed with it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import yaml
from kubernetes import client, config
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient

from lib import platform_clients as clients
from lib.platform_proc import wait_until
from lib.platform_run import ROOT, start
from lib.platform_secrets import given_secrets
from lib.render_preflight import rules

INVENTORY = ROOT / "inventories" / "kubernetes"
SECRETS = ("mlops-postgresql-secrets", "mlops-object-store-secrets", "mlops-mlflow-secrets")
# Small enough for several on a node with two processors, with one more MLflow for a rolling update: the limits are the roles' own.
SMALL = {
    "mlflow_resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1000m", "memory": "2Gi"}},
    "postgresql_resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    "object_store_resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    "mlops_substrate": "kubernetes",
    "mlops_wait_timeout": 240,
    "postgresql_storage_size": "1Gi",
    "object_store_storage_size": "4Gi",
}
# the same of its backups
SMALL_BACKUPS = {
    "backup_storage_size": "2Gi",
    "backup_resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
}


class Cluster:
    """The cluster that `kubeconfig` names, by the client of Kubernetes' own project."""

    def __init__(self, kubeconfig):
        self.kubeconfig = str(kubeconfig)
        self.client = config.new_client_from_config(config_file=self.kubeconfig)
        self.core, self.apps = client.CoreV1Api(self.client), client.AppsV1Api(self.client)
        self.rbac = client.RbacAuthorizationV1Api(self.client)

    def node_address(self):
        """Return an address of a node, at which its ports answer."""
        (node, *_others) = self.core.list_node().items
        return next(one.address for one in node.status.addresses if one.type == "InternalIP")

    def namespaces(self, prefix):
        return [one.metadata.name for one in self.core.list_namespace().items if one.metadata.name.startswith(prefix)]

    def remove_namespace(self, name, timeout=300):
        """Remove a namespace with all that is in it, and wait until it is gone."""
        try:
            self.core.delete_namespace(name, grace_period_seconds=0)
        except ApiException as error:
            if error.status != 404:
                raise
        wait_until(f"the end of namespace {name}", lambda: name not in self.namespaces(name), timeout)

    def kubeconfig_of(self, namespace, name, rules):
        """Make a ServiceAccount that may do `rules` in `namespace` and nothing else; return its kubeconfig as a structure."""
        meta = {"name": name, "namespace": namespace}
        self.core.create_namespaced_service_account(namespace, {"metadata": meta})
        self.rbac.create_namespaced_role(namespace, {"metadata": meta, "rules": rules})
        subject = {"kind": "ServiceAccount", **meta}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self.rbac.create_namespaced_role_binding(namespace, {"metadata": meta, "roleRef": reference, "subjects": [subject]})
        token = {"metadata": {"name": f"{name}-token", "annotations": {"kubernetes.io/service-account.name": name}}}
        self.core.create_namespaced_secret(namespace, {**token, "type": "kubernetes.io/service-account-token"})

        def issued():
            return (self.core.read_namespaced_secret(f"{name}-token", namespace).data or {}).get("token")

        wait_until("a token", issued, 30)
        found = yaml.safe_load(Path(self.kubeconfig).read_text(encoding="utf-8"))
        found["users"] = [{"name": name, "user": {"token": base64.b64decode(issued()).decode()}}]
        context = {**found["contexts"][0]["context"], "user": name, "namespace": namespace}
        found.update({"contexts": [{"name": name, "context": context}], "current-context": name})
        return found


class ClusterPlatform:
    """An installation in a namespace: with which variables, and clients for it.

    `variables` is what its playbooks are run with; a test that changes one puts the old value back. `scratch` is a private directory with
    the variables and the runs' outputs.
    """

    def __init__(self, kubeconfig, namespace=None, **variables):
        self.cluster = Cluster(kubeconfig)
        self.namespace = namespace or f"mlops-test-{secrets.token_hex(3)}"
        self.scratch = Path(tempfile.gettempdir(), f"{self.namespace}.test")
        kept = self.scratch / "state.json"
        if namespace and kept.exists():
            variables = {**json.loads(kept.read_text(encoding="utf-8")), **SMALL, **variables}
        self.scratch.mkdir(mode=0o700, exist_ok=True)
        self.variables = {**SMALL, "mlops_namespace": self.namespace, "mlops_kubeconfig": str(kubeconfig), **variables}
        self.first_run = None

    @classmethod
    def with_secrets(cls, kubeconfig, namespace=None, **variables):
        """Return a platform whose user sets every secret, each with all that is hard to carry."""
        there = namespace and Path(tempfile.gettempdir(), f"{namespace}.test", "state.json").exists()
        return cls(kubeconfig, namespace, **({} if there else given_secrets()), **variables)

    # -- runs

    def start(self, playbook="site.yml", *arguments, env=None, **options):
        """Start a playbook and return it while it runs; `options` are those of lib.platform_run.start()."""
        env = {"KUBECONFIG": "/nonexistent", **(env or {})}
        return start(self.scratch, self.variables, playbook, "-i", INVENTORY, *arguments, env=env, **options)

    def run(self, playbook="site.yml", *arguments, timeout=900, **options):
        """Run a playbook to its end and return the Run."""
        return self.start(playbook, *arguments, **options).wait(timeout)

    def as_tenant(self):
        """Return the variables of a run by a user who has exactly the rights that preflight asks for, in this namespace."""
        kubeconfig = self.scratch / "tenant.kubeconfig"
        if not kubeconfig.exists():
            variables = {name: value for name, value in self.variables.items() if name != "mlops_substrate"}
            asked = rules(self.variables["mlops_substrate"], **variables).value("preflight_permissions")
            rights = [{"apiGroups": [one.get("api_group", "")], "resources": [one["resource"]], "verbs": [*one["verbs"]]} for one in asked]
            kubeconfig.touch(mode=0o600)
            kubeconfig.write_text(yaml.safe_dump(self.cluster.kubeconfig_of(self.namespace, "tenant", rights)), encoding="utf-8")
        return {"mlops_kubeconfig": str(kubeconfig), "mlops_manage_namespace": False}

    def as_awx(self):
        """Return run()'s {extra, env} for the same user as AWX's credential gives it: a token in the environment, no kubeconfig."""
        found = yaml.safe_load(Path(self.as_tenant()["mlops_kubeconfig"]).read_text(encoding="utf-8"))
        cluster = found["clusters"][0]["cluster"]
        authority = self.scratch / "cluster-ca.crt"
        data = cluster.get("certificate-authority-data")
        authority.write_bytes(base64.b64decode(data) if data else Path(cluster["certificate-authority"]).read_bytes())
        login = {
            "HOST": cluster["server"],
            "API_KEY": found["users"][0]["user"]["token"],
            "SSL_CA_CERT": str(authority),
            "VERIFY_SSL": "true",
        }
        env = {f"K8S_AUTH_{name}": value for name, value in login.items()}
        return {"extra": {"mlops_kubeconfig": "", "mlops_manage_namespace": False}, "env": env}

    def install(self):
        """Run site.yml for the first time; raises AssertionError when it fails."""
        self.first_run = self.run().ok()
        return self

    def remove(self):
        """Remove the namespace and the files."""
        self.cluster.remove_namespace(self.namespace)
        shutil.rmtree(self.scratch, ignore_errors=True)

    # -- what it is

    def secrets(self):
        """Return all secrets that are in effect, by name."""
        found = {}
        for name in SECRETS:
            data = self.cluster.core.read_namespaced_secret(name, self.namespace).data or {}
            found.update({key: base64.b64decode(value).decode() for key, value in data.items() if not key.endswith(".previous")})
        return found

    def object_store_keys(self):
        """Return {admin_access_key: ..., mlflow_secret_key: ...} of the object store, also where nothing else is installed."""
        data = self.cluster.core.read_namespaced_secret("mlops-object-store-secrets", self.namespace).data
        return {key.removeprefix("object_store_"): base64.b64decode(value).decode() for key, value in data.items()}

    def pods(self, component=None):
        """Return the pods that are not on their way out, by name; those of Jobs are left out."""
        found = self.cluster.core.list_namespaced_pod(self.namespace).items
        label = "app.kubernetes.io/component"
        return {
            pod.metadata.name: pod
            for pod in found
            if not pod.metadata.deletion_timestamp
            and pod.status.phase not in ("Succeeded", "Failed")
            and not any(owner.kind == "Job" for owner in pod.metadata.owner_references or [])
            and component in (None, (pod.metadata.labels or {}).get(label))
        }

    def lives(self):
        """Return {pod: (uid, restarts of its containers)}: the same before and after where nothing was restarted."""
        return {
            name: (pod.metadata.uid, [status.restart_count for status in pod.status.container_statuses or []])
            for name, pod in self.pods().items()
        }

    def ready(self):
        """Return whether every pod is ready."""
        return all(
            any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or [])
            for pod in self.pods().values()
        )

    def objects(self):
        """Return {kind/name: resource version} of what the roles make, which a run that changes nothing leaves alone."""
        found = {}
        core, apps, space = self.cluster.core, self.cluster.apps, self.namespace
        lists = {
            "ConfigMap": core.list_namespaced_config_map,
            "Secret": core.list_namespaced_secret,
            "Service": core.list_namespaced_service,
            "ServiceAccount": core.list_namespaced_service_account,
            "PersistentVolumeClaim": core.list_namespaced_persistent_volume_claim,
            "Deployment": apps.list_namespaced_deployment,
            "StatefulSet": apps.list_namespaced_stateful_set,
        }
        for kind, read in lists.items():
            for one in read(space).items:
                # the status of these changes by itself
                version = one.metadata.generation if kind in ("Deployment", "StatefulSet") else one.metadata.resource_version
                found[f"{kind}/{one.metadata.name}"] = version
        return found

    def schedules(self):
        """Return the CronJobs, of whichever version of the API the server has."""
        kind = DynamicClient(self.cluster.client).resources.search(kind="CronJob")[0]
        return kind.get(namespace=self.namespace).to_dict()["items"]

    def run_schedule(self, schedule, timeout=300):
        """Let a CronJob do now what it does each day, and wait for its end."""
        batch, name = client.BatchV1Api(self.cluster.client), f"{schedule['metadata']['name']}-now"
        job = {"metadata": {"name": name, "labels": schedule["metadata"]["labels"]}, "spec": schedule["spec"]["jobTemplate"]["spec"]}
        batch.create_namespaced_job(self.namespace, job)
        try:
            wait_until(name, lambda: batch.read_namespaced_job(name, self.namespace).status.succeeded, timeout)
        finally:
            batch.delete_namespaced_job(name, self.namespace, propagation_policy="Background")

    # -- clients

    def address(self, service, port=None):
        """Return host and port of a Service; the tests must be able to reach the addresses of the cluster's network."""
        found = self.cluster.core.read_namespaced_service(service, self.namespace).spec
        return found.cluster_ip, port or found.ports[0].port

    @property
    def url(self):
        if self.variables.get("mlflow_expose") == "nodeport":
            return f"https://{self.variables['mlops_public_names'][0]}:{self.variables['mlflow_node_port']}"
        host, port = self.address("mlops-mlflow")
        return f"http://{host}:{port}"

    @property
    def ca(self):
        """The file with the certificate of the platform's own authority, None where MLflow has none."""
        if not self.url.startswith("https:"):
            return None
        found = self.cluster.core.read_namespaced_secret("mlops-mlflow-authority", self.namespace).data["ca.crt"]
        path = self.scratch / "ca.crt"
        path.write_bytes(base64.b64decode(found))
        return path

    def http(self, login=True, timeout=60, ca=None):
        """Return a client of MLflow's Service that trusts `ca`; login: True for the administrator, None for nobody, or (user, password)."""
        if login is True:
            login = ("admin", self.secrets()["mlflow_admin_password"])
        found = clients.Http(self.url, login, ca or self.ca, timeout=timeout)
        if not self.ca:
            # MLflow refuses the names and addresses that it does not know
            found.headers["Host"] = "mlops-mlflow:5000"
        # nothing stands between the client and the pod: what the pod closes when it ends, the client has to see
        found.looks_first = True
        return found

    def s3(self, mlflow=False):
        """Return a boto3 client of the administrator, or of MLflow's own identity."""
        found, who = self.secrets(), "mlflow" if mlflow else "admin"
        host, port = self.address("mlops-object-store")
        return clients.s3(
            {
                "endpoint_url": f"http://{host}:{port}",
                "access_key": found[f"object_store_{who}_access_key"],
                "secret_key": found[f"object_store_{who}_secret_key"],
                "region": "us-east-1",
            }
        )

    def database(self, name, user="postgres"):
        """Return a context manager that gives a cursor in database `name`."""
        host, port = self.address("mlops-postgresql")
        secret = "postgresql_superuser_password" if user == "postgres" else f"postgresql_{user}_password"
        return clients.postgresql(port, user, self.secrets()[secret], name, host)

    def new_run(self, name):
        """Make an MLflow run and return its id."""
        body = {"experiment_id": "0", "run_name": name, "start_time": 1}
        return self.http().json("POST", "/api/2.0/mlflow/runs/create", body)["run"]["info"]["run_id"]

    def put_artifact(self, run_id, name, content):
        """Store an artifact of a run through MLflow."""
        status, _headers, answer = self.http()("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}", content)
        assert status == 200, f"{status} {answer[:300]!r}"

    def artifact(self, run_id, name):
        """Return an artifact of a run through MLflow."""
        status, _headers, answer = self.http()("GET", f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/{name}")
        assert status == 200, f"{status} {answer[:300]!r}"
        return answer

    def answers(self):
        """Return whether a call that reads the database succeeds."""
        return self.http(timeout=10)("GET", "/api/2.0/mlflow/experiments/search?max_results=1")[0] == 200

    def wait_until_up(self, timeout=120):
        """Wait until every pod is ready, and MLflow and the object store answer."""
        wait_until("all pods are ready", self.ready, timeout)
        wait_until("MLflow answers", self.answers, timeout)
        wait_until("S3 answers", lambda: self.s3().list_buckets()["Buckets"], timeout)


def explained(run, *words):
    """Assert that `run` failed before a wait's time was up, and that its message holds all `words`; return the message."""
    assert run.code != 0, f"it must fail:\n{run.output[-3000:]}"
    message = "\n".join(run.failed)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} is not in the message:\n{message}\n\n{run.output[-3000:]}"
    assert "Traceback" not in run.output, run.output[-3000:]
    assert run.seconds < SMALL["mlops_wait_timeout"], f"{run.seconds:.0f} s until it failed with:\n{message}"
    return message


def settled(platform, seconds=5):
    """Return lives() once it has not changed for `seconds`."""
    before, since = platform.lives(), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.5)
        if (now := platform.lives()) != before:
            before, since = now, time.monotonic()
    return before


def given_kubeconfig():
    """Return the kubeconfig that the tests use, or an empty string."""
    found = os.environ.get("KUBECONFIG", "")
    return found if found and Path(found).is_file() else ""
