# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an MLflow server is and holds: version, features, counts."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import API, ARTIFACTS
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_diagnosis import is_proxy_off
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import logged_models_api
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError

# the most that MLflow gives on one page of registered models (SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD); experiments may have more
PAGE = 1000


def version(client):
    """Return the server's version; raise MlflowError (401 without a login under basic auth)."""
    return client.request("GET", "/version").text.strip()


def server_info(client):
    """Return the server's own words on its features, {} from servers before 3.0."""
    return _or_none(client, "GET", "/api/3.0/mlflow/server-info") or {}


def current_user(client):
    """Return {id, name, admin} of the user who asks; None where the server has no basic auth."""
    answer = _or_none(client, "GET", f"{API}/users/current")
    if answer is None:
        return None
    user = answer["user"]
    return {"id": user["id"], "name": user["username"], "admin": user["is_admin"]}


def features(client, info, user):
    """Return what the server can do; info and user are the answers of server_info() and current_user()."""
    return {
        "artifact_proxy": _has_artifact_proxy(client),
        "basic_auth": user is not None,
        "gateway": bool(info.get("features_enabled", {}).get("gateway", False)),
        "job_api": _has_job_api(client),
        "logged_models": logged_models_api(client) is True,
        "prometheus_metrics": _has_metrics(client),
        "static_prefix": client.connection.base_path,
        "workspaces": bool(info.get("workspaces_enabled", False)),
    }


def counts(client, user):
    """Return how many experiments, registered models and, for an administrator, users there are; users is None for others."""
    stages = {"active": 0, "deleted": 0}
    body = {"max_results": PAGE, "view_type": "ALL"}
    for experiment in client.pages("POST", f"{API}/experiments/search", "experiments", json=body):
        stages[experiment["lifecycle_stage"]] += 1
    models = sum(1 for dummy in client.pages("GET", f"{API}/registered-models/search", "registered_models", params={"max_results": PAGE}))
    users = None
    if user and user["admin"]:
        answer = _or_none(client, "GET", f"{API}/users/list")
        users = None if answer is None else len(answer["users"])
    return {"experiments": stages["active"], "deleted_experiments": stages["deleted"], "registered_models": models, "users": users}


def _has_artifact_proxy(client):
    try:
        client.call("GET", ARTIFACTS, params={"path": "0/probe"})
    except MlflowError as exc:
        # any other answer comes from a proxy that is on, whatever state its store is in
        return not is_proxy_off(exc) and exc.kind in ("http", "timeout_read")
    return True


def _has_job_api(client):
    try:
        client.call("GET", "/ajax-api/3.0/jobs/probe")
    except MlflowError as exc:
        return exc.status_code == 404 and "Job with ID" in exc.message
    return True


def _has_metrics(client):
    try:
        # the answer can be large, so only its head is asked for; MLflow serves it without the static prefix
        client.request("HEAD", "/metrics", unprefixed=True)
    except MlflowError as exc:
        if exc.kind != "http":
            raise
        return False
    return True


def _or_none(client, method, path):
    try:
        return client.call(method, path)
    except MlflowError as exc:
        if exc.status_code == 404:
            return None
        raise
