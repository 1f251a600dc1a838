"""Documentation and argument spec of the MLflow modules agree, and no secret leaves a module."""

from __future__ import annotations

import importlib

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.doc_fragments.mlflow import ModuleDocFragment
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import mlflow_argument_spec
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_remedies import STATUSES
from lib.modules import run_module

MODULES = ["mlflow_health", "mlflow_info", "mlflow_user"]
# nothing listens on the discard port of loopback
CLOSED = {"tracking_uri": "http://127.0.0.1:9"}


def docs(name):
    module = importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}")
    return yaml.safe_load(module.DOCUMENTATION), yaml.safe_load(module.EXAMPLES), yaml.safe_load(module.RETURN)


def test_fragment_documents_the_connection():
    options = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    spec = mlflow_argument_spec()
    assert sorted(options) == sorted(spec)
    for name, entry in spec.items():
        assert options[name]["type"] == entry["type"], name
        assert options[name].get("default") == entry.get("default"), name
        assert options[name].get("required", False) == entry.get("required", False), name


def test_every_status_can_be_expected():
    documentation, dummy, dummy = docs("mlflow_health")
    assert documentation["options"]["expect"]["choices"] == STATUSES


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_the_full_name_and_no_literal_secret(name):
    dummy, examples, dummy = docs(name)
    tasks = [task for entry in examples for task in entry.get("block", [entry])]
    own = [task[f"mlops.platform.{name}"] or {} for task in tasks if f"mlops.platform.{name}" in task]
    assert len(own) >= 2
    assert any("group/mlops.platform.mlflow" in entry.get("module_defaults", {}) for entry in examples)
    secrets = [arguments[option] for arguments in own for option in ("password", "user_password", "token") if arguments.get(option)]
    assert secrets
    assert all(value.startswith("{{") for value in secrets)


@pytest.mark.parametrize("name", MODULES)
def test_address_is_required_and_taken_from_the_environment(name, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    arguments = {"name": "x"} if name == "mlflow_user" else {}
    assert "missing required arguments: tracking_uri" in run_module(name, arguments)["msg"]
    if name == "mlflow_health":
        arguments["wait_timeout"] = 0
    result = run_module(name, arguments, env={"MLFLOW_TRACKING_URI": CLOSED["tracking_uri"]})
    assert result["failed"] is True
    assert result["status"] == "unreachable"
    assert "Nothing listens at http://127.0.0.1:9" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_secrets_show_nowhere(name):
    arguments = {**CLOSED, "username": "u", "password": "s3cret-password", "timeout": 2}
    if name == "mlflow_user":
        arguments.update(name="x", user_password="an0ther-secret")
    if name == "mlflow_health":
        arguments.update(wait_timeout=0)
    result = run_module(name, arguments)
    assert result["failed"] is True
    assert "s3cret-password" not in str(result)
    assert "an0ther-secret" not in str(result)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wait_timeout": -1}, "wait_timeout and grace"),
        ({"delay": 0}, "delay: more than 0"),
        ({"client_version": "latest"}, "client_version: 'latest' is not a version"),
        ({"client_version": "3.17.2", "depth": "liveness"}, "client_version: needs depth database or roundtrip"),
        (
            {"username": "a:b", "password": "x", "client_version": "no"},
            "client_version: 'no' is not a version such as 3.17.2; username: a colon",
        ),
    ],
)
def test_wrong_options_of_health(options, said):
    result = run_module("mlflow_health", {**CLOSED, **options})
    assert said in result["msg"]
    assert "attempts" not in result


def test_failure_of_health_carries_everything():
    result = run_module("mlflow_health", {**CLOSED, "wait_timeout": 0})
    dummy, dummy, returned = docs("mlflow_health")
    assert set(returned) <= set(result)
    assert (result["status"], result["cause"], result["depth_reached"], result["attempts"]) == ("unreachable", "refused", "none", 1)


def test_an_expected_bad_state_is_a_success():
    result = run_module("mlflow_health", {**CLOSED, "wait_timeout": 0, "expect": ["unreachable"]})
    assert not result.get("failed")
    assert (result["status"], result["changed"]) == ("unreachable", False)


@pytest.mark.parametrize("name", ["", "co:lon"])
def test_user_that_could_never_log_in(name):
    assert "name: must not be empty, and a colon" in run_module("mlflow_user", {**CLOSED, "name": name})["msg"]
