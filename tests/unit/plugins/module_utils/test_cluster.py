"""Where the connection comes from, and what is wrong with it."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.module_utils import cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, configuration, kubeconfig_secrets, source

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://c.example.com:6443/", "insecure-skip-tls-verify": True}}],
    "users": [{"name": "u", "user": {"token": "the-token-in-it"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


@pytest.fixture(autouse=True)
def outside(monkeypatch, tmp_path):
    """No connection of the machine that runs the tests."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("form", ["path", "dict"])
def test_a_kubeconfig(file, form):
    settings = configuration({"kubeconfig": file if form == "path" else KUBECONFIG})
    assert settings.host == "https://c.example.com:6443"
    assert settings.auth_settings()["BearerToken"]["value"] == "Bearer the-token-in-it"
    assert settings.verify_ssl is False


def test_options_win_over_the_kubeconfig(file):
    settings = configuration(
        {"kubeconfig": file, "host": "https://other:1", "api_key": "another", "validate_certs": True, "proxy": "http://p:1"}
    )
    assert (settings.host, settings.verify_ssl, settings.proxy) == ("https://other:1", True, "http://p:1")
    assert settings.auth_settings()["BearerToken"]["value"] == "Bearer another"


@pytest.mark.parametrize(
    ("params", "words", "remedy"),
    [
        ({}, "~/.kube/config cannot be used", "set kubeconfig (mlops_kubeconfig)"),
        ({"kubeconfig": "/does/not/exist"}, "the kubeconfig /does/not/exist cannot be used", "set kubeconfig (mlops_kubeconfig)"),
        ({"context": "none"}, "Expected object with name none", "`kubectl config get-contexts`"),
        ({"ca_cert": "/does/not/exist"}, "ca_cert: there is no readable file /does/not/exist", "it comes from the kubeconfig"),
    ],
)
def test_what_cannot_be_used(file, params, words, remedy):
    given = {"kubeconfig": file, **params} if params and "kubeconfig" not in params else params
    with pytest.raises(ClusterError) as caught:
        configuration(given)
    assert words in caught.value.what and remedy in caught.value.remedy


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "k").write_text("{not: [yaml", encoding="utf-8")
    with pytest.raises(ClusterError, match="cannot be used"):
        configuration({"kubeconfig": str(tmp_path / "k")})


def test_where_credentials_come_from(monkeypatch):
    assert source({"host": "https://x"}) == "the option host"
    assert source({"kubeconfig": {}, "context": "a"}) == "the kubeconfig ~/.kube/config, context a"
    assert source({"kubeconfig": {"a": 1}}) == "the given kubeconfig"
    monkeypatch.setenv("KUBECONFIG", "/some/where")
    assert source({}) == "the kubeconfig /some/where"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert source({}) == "the service account of this pod"


def test_secrets_of_a_kubeconfig():
    users = [
        {"user": {"token": "one", "client-key-data": "two", "client-certificate-data": "public"}},
        {"user": {"auth-provider": {"config": {"refresh-token": "three"}}, "exec": {"env": [{"name": "X", "value": "four"}]}}},
        {"user": None},
    ]
    assert kubeconfig_secrets({"users": users}) == {"one", "two", "three", "four"}
    assert kubeconfig_secrets({}) == set()


def test_what_another_process_is_given():
    params = {"kubeconfig": "/k", "context": "", "validate_certs": False, "host": None, "namespace": "not one of the connection"}
    assert cluster.connection_params(params) == {"kubeconfig": "/k", "validate_certs": False}
