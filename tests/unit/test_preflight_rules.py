"""The rules of roles/preflight/vars/main.yml: the defaults pass, and each bad value is told with its variable."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import pytest
from lib.render_preflight import problems


@pytest.mark.parametrize("root, manager", [(False, "supervisor"), (True, "systemd")])
def test_the_defaults_are_accepted(root, manager):
    assert problems(host={"root": root, "service_manager": manager}) == []


OUTSIDE = {
    "object_store_external_url": "https://s3.example.com",
    "object_store_mlflow_access_key": "k",
    "object_store_mlflow_secret_key": "s",
}


def test_an_external_object_store_is_accepted():
    assert problems(object_store_engine="external", **OUTSIDE) == []


def used(url, engine="external", bucket="mlflow-artifacts"):
    """Return what preflight has read of the settings of an MLflow whose artifacts are there."""
    settings = {
        "MLFLOW_S3_ENDPOINT_URL": url,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{bucket}/artifacts",
        "MLOPS_OBJECT_STORE_ENGINE": engine,
    }
    host = b64encode("".join(f'{name}="{value}"\n' for name, value in settings.items()).encode()).decode()
    return {"preflight_mlflow_env": {"content": host}, "cluster": {"objects": {"mlflow": [{"data": settings}]}}}


OWN = used("http://127.0.0.1:18333", "seaweedfs")
THEIRS = used("https://s3.example.com")
ELSEWHERE = {"object_store_engine": "external", **OUTSIDE}


@pytest.mark.parametrize(
    "given",
    [
        OWN,
        {**OWN, "object_store_s3_port": 28333},
        {**THEIRS, **ELSEWHERE},
        {**THEIRS, **ELSEWHERE, "object_store_external_url": "https://s3.example.com/"},
        {**OWN, **ELSEWHERE, "object_store_accept_another": True},
        # killed before there was an MLflow
        {"preflight_mlflow_env": {"msg": "file not found"}},
        {"cluster": {"objects": {"mlflow": []}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("substrate", ["local", "kubernetes"])
def test_the_store_of_before_is_accepted(substrate, given):
    assert problems(substrate, **given) == []


@pytest.mark.parametrize(
    "given",
    [
        {**OWN, **ELSEWHERE},
        {**THEIRS, **ELSEWHERE, "object_store_external_url": "https://s4.example.com"},
        {**THEIRS},
        # a server of others on this machine is still of others
        {**used("http://127.0.0.1:18333")},
        {**used("http://127.0.0.1:18333", "seaweedfs", "another")},
        {**used("https://s3.example.com", bucket="another"), **ELSEWHERE},
    ],
    ids=str,
)
@pytest.mark.parametrize("substrate", ["local", "kubernetes"])
def test_another_store_waits_for_the_migration(substrate, given):
    ((what, remedy),) = problems(substrate, **given)
    url = re.search('MLFLOW_S3_ENDPOINT_URL="(.*)"', b64decode(given["preflight_mlflow_env"]["content"]).decode()).group(1)
    assert url in what and "playbooks/migrate_object_store.yml" in remedy and "object_store_accept_another" in remedy


BAD = [
    ({"mlops_https_port": 65536}, "mlops_https_port"),
    ({"postgresql_port": 65536}, "postgresql_port"),
    # gRPC would be 65536
    ({"object_store_filer_port": 55536}, "object_store_filer_port"),
    ({"mlflow_port": 65535, "mlflow_processes": 2}, "mlflow_port"),
    ({"mlops_public_names": []}, "mlops_public_names"),
    ({"mlops_public_names": ["https://ml.example.org"]}, "mlops_public_names"),
    ({"mlops_public_names": ["ml.example.org:8443"]}, "mlops_public_names"),
    ({"mlops_public_names": ["ml example"]}, "mlops_public_names"),
    ({"postgresql_max_connections": 39}, "postgresql_max_connections"),
    ({"postgresql_accounts": {"mlflow": {"databases": ["mlflow"]}}}, "seaweedfs"),
    ({"postgresql_engine": "package"}, "postgresql_engine"),
    ({"object_store_topology": "split"}, "object_store_topology"),
    ({"object_store_engine": "external"}, "object_store_external_url"),
    ({"object_store_engine": "external", **OUTSIDE, "object_store_admin_access_key": "k"}, "object_store_admin_secret_key"),
    ({"object_store_noncurrent_days": 0}, "object_store_noncurrent_days"),
    ({"object_store_abort_upload_days": -1}, "object_store_abort_upload_days"),
    *[({"object_store_bucket": name}, "object_store_bucket") for name in ("ab", "Upper", "a..b", "-ab", "ab-", "a_b", "1.2.3.4", "a" * 64)],
    ({"mlflow_auth_cache_seconds": -1}, "mlflow_auth_cache_seconds"),
    ({"mlflow_graceful_seconds": 0}, "mlflow_graceful_seconds"),
    ({"mlflow_pool_size": -1}, "mlflow_pool_size"),
    ({"mlflow_admin_username": "ad:min"}, "mlflow_admin_username"),
    ({"mlflow_admin_username": ""}, "mlflow_admin_username"),
    ({"mlflow_admin_password": "short"}, "mlflow_admin_password"),
    ({"mlflow_admin_password": "pässwörd-of-enough"}, "mlflow_admin_password"),
    ({"mlops_https_port": 443}, "mlops_https_port"),
]


@pytest.mark.parametrize("overrides, words", BAD, ids=[str(overrides) for overrides, _unused in BAD])
def test_a_bad_value_is_told_with_its_variable_and_a_remedy(overrides, words):
    found = problems(**overrides)
    assert len(found) == 1, found
    what, remedy = found[0]
    assert words in what + remedy
    assert remedy


def test_all_problems_are_told_at_once():
    assert len(problems(mlops_https_port=65536, postgresql_max_connections=1, mlflow_admin_password="short", ingress_tls_ca="a")) == 5  # noqa: S106


@pytest.mark.parametrize(
    "overrides",
    [
        {"mlops_public_names": ["ml.example.org", "10.0.0.5", "::1", "fd00::a"]},
        {"object_store_bucket": "my-bucket.of-mlflow"},
        {"mlflow_admin_username": "ops@example.org"},
        {"mlflow_admin_password": "".join(map(chr, range(32, 127)))},
        {"object_store_s3_port": 55535},
    ],
    ids=str,
)
def test_a_good_value_is_accepted(overrides):
    assert problems(**overrides) == []


def test_a_short_password_is_not_in_the_message():
    assert "hunter2" not in str(problems(mlflow_admin_password="hunter2"))
