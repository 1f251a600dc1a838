"""Faults of a platform in a cluster that are planted in its objects; those of its servers are the same as on a host."""

from __future__ import annotations

import base64
import contextlib
import time

from lib.platform_faults import postgresql, storage
from lib.platform_faults.planting import Fault, fault


def scale(platform, kind, name, replicas):
    patch = getattr(platform.cluster.apps, f"patch_namespaced_{kind}")
    patch(name, platform.namespace, {"spec": {"replicas": replicas}})


@contextlib.contextmanager
def secret(platform, name, key, value):
    """Give a key of a Secret another value; None removes it."""
    core, space = platform.cluster.core, platform.namespace
    before = core.read_namespaced_secret(name, space).data[key]
    core.patch_namespaced_secret(name, space, {"data": {key: value and base64.b64encode(value.encode()).decode()}})
    try:
        yield
    finally:
        core.patch_namespaced_secret(name, space, {"data": {key: before}})


@fault("postgresql-password/mlflow")
def password_in_the_secret_of_another_time(platform, plan):
    with secret(platform, "mlops-postgresql-secrets", "postgresql_mlflow_password", "the-password-of-last-year"):
        yield {}


@fault("secret-missing/object_store_admin_secret_key", "s3-admin-refused")
def key_of_the_administrator_gone(platform, plan):
    with secret(platform, "mlops-object-store-secrets", "object_store_admin_secret_key", None):
        yield {}


@fault("mlflow-admin-refused")
def password_of_mlflows_administrator_changed(platform, plan):
    with secret(platform, "mlops-mlflow-secrets", "mlflow_admin_password", "the-password-of-last-year"):
        yield {}


@fault("client-seen-fails")
def client_that_connects_and_cannot_work(platform, plan):
    # a pod writes a version down once in an hour, so each time is another one; it cannot be taken out of the log again
    agent = {"User-Agent": f"mlflow-python-client/98.0.{int(time.time()) % 10**6}"}
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert platform.http(None)("GET", path, headers={"User-Agent": "mlflow-python-client/98.9.9"})[0] == 401
    assert platform.http()("GET", path, headers=agent)[0] == 200
    yield {}


@fault("ingress-failing/nowhere.invalid")
def name_that_leads_nowhere(platform, plan):
    yield {"mlflow": {**plan["mlflow"], "expose": "ingress", "names": ["nowhere.invalid"], "public_port": 443}}


@fault("pod-image")
def image_that_there_is_not(platform, plan):
    apps, space = platform.cluster.apps, platform.namespace
    before = apps.read_namespaced_deployment("mlops-mlflow", space).spec.template.spec.containers[0].image

    def use(image):
        containers = [{"name": "mlflow", "image": image}]
        apps.patch_namespaced_deployment("mlops-mlflow", space, {"spec": {"template": {"spec": {"containers": containers}}}})

    use("registry.invalid/none:0")
    try:
        yield {}
    finally:
        use(before)


@fault("workload-stopped/mlops-mlflow", "mlflow-unreachable/mlflow", because={"mlflow-unreachable": ["workload-stopped (mlops-mlflow)"]})
def mlflow_scaled_to_nothing(platform, plan):
    scale(platform, "deployment", "mlops-mlflow", 0)
    try:
        yield {}
    finally:
        scale(platform, "deployment", "mlops-mlflow", platform.variables.get("mlflow_replicas", 1))


# Of a host's faults those that are the same here: its accounts, its buckets. The others are of files and processes.
OF_SERVERS = {
    postgresql: [
        "password_changed_by_hand",
        "full_page_writes_off",
        "another_superuser",
        "database_that_everybody_enters",
        "second_login_of_a_rotation_that_was_killed",
        "schema_of_an_older_mlflow",
        "user_schema_of_a_newer_mlflow",
    ],
    storage: ["bucket_missing", "versioning_suspended", "lifecycle_missing", "policy_without_the_denial", "bucket_open_to_everybody"],
}
FAULTS = {
    **{name: getattr(layer, name) for layer, names in OF_SERVERS.items() for name in names},
    **{name: one for name, one in globals().items() if isinstance(one, Fault)},
}
