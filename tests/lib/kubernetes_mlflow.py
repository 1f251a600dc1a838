"""MLflow's objects in a cluster, and what is read of them."""

from __future__ import annotations

import base64
import functools

from lib.render_kubernetes import cluster, manifests

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


def jobs(found):
    """Return those of the schema."""
    return [one for (kind, name), one in found.items() if kind == "Job" and "-schema-" in name]
