"""Connections that work and ones that do not: each failure says in words what to look at."""

from __future__ import annotations

import json
import socket

import pytest
from lib.modules import run_module

MODULES = ["s3_bucket", "s3_bucket_info"]
FROM_ENVIRONMENT = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
}


def attempt(module, connection, env=None, **options):
    """Look for a bucket that is not there, without changing anything; return the result, which must show no secret."""
    result = run_module(module, {"name": "it-is-not-there", **connection, **options}, check=True, env=env)
    for secret in (connection.get("secret_key"), options.get("secret_key")):
        assert not secret or secret not in json.dumps(result).encode().decode("unicode_escape")
    return result


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("style", ["auto", "path"])
def test_it_works(module, style, s3_connection):
    assert not attempt(module, s3_connection, addressing_style=style).get("failed")


@pytest.mark.parametrize("module", MODULES)
def test_trailing_slash(module, s3_connection):
    assert not attempt(module, s3_connection, endpoint_url=s3_connection["endpoint_url"] + "/").get("failed")


@pytest.mark.parametrize("module", MODULES)
def test_everything_from_the_environment(module, s3_connection):
    env = {variable: s3_connection[key] for key, variable in FROM_ENVIRONMENT.items() if key in s3_connection}
    assert not attempt(module, {}, env=env).get("failed")
    env["AWS_ENDPOINT_URL_S3"] = env.pop("AWS_ENDPOINT_URL")
    assert not attempt(module, {}, env={**env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{unused_port()}"}).get("failed")


def test_keys_and_token_are_of_one_source(s3_connection):
    """A token in the environment belongs to other keys than those in the options."""
    env = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "else-else", "AWS_SESSION_TOKEN": "token-token"}
    assert not attempt("s3_bucket", s3_connection, env=env).get("failed")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access_key": "no-such-key"}, ["InvalidAccessKeyId", "check access_key"]),
        ({"secret_key": "not the 'right' {{ one }} \"\\"}, ["SignatureDoesNotMatch", "check secret_key"]),
    ],
)
def test_wrong_credentials(module, options, words, s3_connection):
    result = attempt(module, s3_connection, **options)
    assert result["failed"] and all(word in result["msg"] for word in words), result["msg"]


def test_wrong_credentials_for_all_buckets(s3_connection):
    result = run_module("s3_bucket_info", {**s3_connection, "secret_key": "wrong-secret-key"})
    assert result["failed"] and "check secret_key" in result["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_no_credentials(module, s3_connection, tmp_path):
    given = {key: value for key, value in s3_connection.items() if key not in ("access_key", "secret_key")}
    nothing = str(tmp_path / "none")
    env = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": nothing, "AWS_CONFIG_FILE": nothing}
    result = attempt(module, given, env=env)
    assert result["failed"] and "no credentials; set access_key and secret_key" in result["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_unreachable(module, s3_connection):
    port = unused_port()
    result = attempt(module, s3_connection, endpoint_url=f"http://127.0.0.1:{port}")
    assert result["failed"] and str(port) in result["msg"] and "check endpoint_url" in result["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_unknown_host(module, s3_connection):
    result = attempt(module, s3_connection, endpoint_url="http://no-such-host.invalid:9000")
    assert result["failed"] and "check endpoint_url" in result["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_untrusted_authority(module, s3_connection):
    if not s3_connection["endpoint_url"].startswith("https:") or "ca_bundle" not in s3_connection:
        pytest.skip("the server has no TLS endpoint with its own authority")
    given = {key: value for key, value in s3_connection.items() if key != "ca_bundle"}
    result = attempt(module, given)
    assert result["failed"] and "as ca_bundle" in result["msg"]
    assert not attempt(module, given, validate_certs=False).get("failed")
    assert not attempt(module, given, env={"AWS_CA_BUNDLE": s3_connection["ca_bundle"]}).get("failed")


@pytest.mark.parametrize("module", MODULES)
def test_tls_to_a_plain_port(module, s3_connection):
    if not s3_connection["endpoint_url"].startswith("http:"):
        pytest.skip("the server has no plain endpoint")
    result = attempt(module, s3_connection, endpoint_url=s3_connection["endpoint_url"].replace("http:", "https:"))
    assert result["failed"] and "cannot look for bucket" in result["msg"]
