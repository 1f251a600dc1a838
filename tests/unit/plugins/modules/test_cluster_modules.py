"""The cluster modules as Ansible runs them: documentation, options, and what they return without a cluster."""

from __future__ import annotations

import importlib
import json

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.doc_fragments.cluster import ModuleDocFragment
from ansible_collections.mlops.platform.plugins.module_utils import cluster
from lib.api_server import Refused
from lib.doctor_cluster import PLAN
from lib.modules import run_module

MODULES = {
    "cluster_clients": {"namespace": "ns"},
    "cluster_doctor": {"namespace": "ns", "plan": PLAN},
    "cluster_preflight": {"namespace": "ns"},
    "cluster_secret": {"namespace": "ns", "name": "s", "secrets": {"a": {}}},
    "cluster_rollout": {"namespace": "ns", "workloads": [{"kind": "Job", "name": "j"}]},
    "cluster_port_forward": {"namespace": "ns", "service": "s", "port": 80},
}


def load(name):
    return importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}")


def compare(documented, spec):
    assert set(documented) == set(spec)
    for name, option in spec.items():
        for key in ("type", "default", "choices", "elements", "aliases"):
            assert documented[name].get(key) == option.get(key), f"{name}: {key}"
        assert documented[name].get("required", False) == option.get("required", False), name
        if "options" in option:
            compare(documented[name]["suboptions"], option["options"])


@pytest.mark.parametrize("name", MODULES)
def test_options_are_documented_as_they_are(name):
    module = load(name)
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    compare(documented, module.OPTIONS)
    compare({**yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"], **documented}, cluster.argument_spec(**module.OPTIONS))


def test_connection_options_are_those_of_kubernetes_core():
    """One dict has to serve both families."""
    theirs = importlib.import_module("ansible_collections.kubernetes.core.plugins.module_utils.args_common").AUTH_ARG_SPEC
    ours = cluster.argument_spec()
    assert set(ours) == set(theirs)
    for name, option in theirs.items():
        assert ours[name].get("type", "str") == option.get("type", "str"), name
        assert ours[name].get("aliases") == option.get("aliases"), name


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_in_the_group_and_yaml(name):
    group = yaml.safe_load((cluster_root() / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["cluster"]
    assert name in group
    examples = yaml.safe_load(load(name).EXAMPLES)
    assert any(f"mlops.platform.{name}" in task for task in examples)
    assert isinstance(yaml.safe_load(load(name).RETURN), dict)


def cluster_root():
    from lib.modules import ROOT

    return ROOT


# these two tell it beside the rest
@pytest.mark.parametrize("name", sorted(set(MODULES) - {"cluster_doctor", "cluster_preflight"}))
def test_a_kubeconfig_that_cannot_be_used(name):
    result = run_module(name, {**MODULES[name], "kubeconfig": "/does/not/exist"})
    assert result["failed"] and "the kubeconfig /does/not/exist cannot be used" in result["msg"]


def test_preflight_tells_it_beside_the_rest():
    result = run_module("cluster_preflight", {"namespace": "ns", "kubeconfig": "/does/not/exist"})
    assert not result.get("failed") and result["changed"] is False
    assert "the kubeconfig /does/not/exist cannot be used" in result["problems"][0]["what"]
    assert "mlops_kubeconfig" in result["problems"][0]["remedy"]
    assert result["cluster"]["apis"] == {} and result["cluster"]["bare"] is True


@pytest.mark.parametrize("name", MODULES)
def test_the_client_library_is_missing(name, tmp_path):
    (tmp_path / "kubernetes.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    result = run_module(name, {**MODULES[name], "kubeconfig": "/k"}, env={"PYTHONPATH": str(tmp_path)})
    assert "Failed to import the required Python library (kubernetes)" in json.dumps(result)


@pytest.mark.parametrize("name", MODULES)
def test_credentials_are_masked(name, api):
    secret = "the-token-of-a-kubeconfig"
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "users": [{"name": "u", "user": {"token": secret}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }

    def tell(_asked):
        raise Refused(403, f"no: {secret}")

    for path in (
        "/version",
        "/api/v1/namespaces/ns/pods",
        "/api/v1/nodes",
        "/api/v1/namespaces/ns/secrets/s",
        "/apis/batch/v1/namespaces/ns/jobs/j",
        "/api/v1/namespaces/ns/services/s",
    ):
        api.answers[path] = tell
    result = run_module(name, {**MODULES[name], "kubeconfig": kubeconfig})
    assert api.asked and "no: " in json.dumps(result)
    assert secret not in json.dumps(result)


def test_rollout_in_check_mode_asks_nobody():
    result = run_module("cluster_rollout", {**MODULES["cluster_rollout"], "host": "https://127.0.0.1:1", "api_key": "a-token"}, check=True)
    assert result["changed"] is False and result["requests"] == 0
    assert [(entry["name"], entry["ready"]) for entry in result["workloads"]] == [("j", False)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secrets": {"a": {}}, "given": {"b": "value"}}, "given: ['b'] are not among the secrets ['a']"),
        ({"forget_previous": ["b"]}, "forget_previous: ['b'] are not among the secrets ['a']"),
        ({"secrets": {"a.previous": {}}}, "names that end in .previous are taken"),
        ({"secrets": {"a": {"length": 1}}}, "between 16 and 512"),
    ],
)
def test_secrets_that_are_refused(change, words):
    result = run_module("cluster_secret", {**MODULES["cluster_secret"], **change, "kubeconfig": "/does/not/exist"})
    assert result["failed"] and words in result["msg"]


@pytest.mark.parametrize("hidden", [False, True])
def test_secrets_in_the_result(api, hidden):
    store = {}

    def create(asked):
        store.update(asked.body["data"])
        return {}

    api.answers["POST /api/v1/namespaces/ns/secrets"] = create
    arguments = {**MODULES["cluster_secret"], **api.params, "given": {"a": "the-given-value"}, "_ansible_no_log": hidden}
    result = run_module("cluster_secret", arguments, diff=True)
    assert result["changed"] and set(store) == {"a"}
    assert ("the-given-value" in json.dumps(result["secrets"])) is hidden
    assert api.params["api_key"] not in json.dumps(result)
    assert "the-given-value" not in json.dumps(result["diff"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pod": "p"}, "mutually exclusive"),
        ({"service": None}, "one of the following is required: service, pod, selector"),
        ({"direct": "nowhere"}, "write it as host:port"),
    ],
)
def test_forwards_that_are_refused(change, words):
    arguments = {**MODULES["cluster_port_forward"], **change}
    result = run_module("cluster_port_forward", {key: value for key, value in arguments.items() if value is not None})
    assert result["failed"] and words in result["msg"]


def test_a_forward_in_check_mode_without_a_target(api, tmp_path):
    arguments = {**MODULES["cluster_port_forward"], **api.params}
    result = run_module("cluster_port_forward", arguments, check=True, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert (result["available"], result["forwarded"], result["port"]) == (False, False, 0)


def test_what_can_be_reached_directly_is(api, tmp_path):
    host, port = api.url[len("http://") :].split(":")
    arguments = {**MODULES["cluster_port_forward"], **api.params, "direct": f"{host}:{port}", "scheme": "s3"}
    result = run_module("cluster_port_forward", arguments, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert (result["forwarded"], result["pid"], result["url"]) == (False, None, f"s3://{host}:{port}")


def test_nothing_to_end(tmp_path):
    arguments = {**MODULES["cluster_port_forward"], "state": "absent", "kubeconfig": "/does/not/exist"}
    result = run_module("cluster_port_forward", arguments, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert result["stopped"] is False and result["changed"] is False
