"""The rules of roles/preflight/vars/main/: the defaults pass, and each bad value is told with its variable."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import pytest
import yaml
from lib.render import ROOT
from lib.render_preflight import problems, rules


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


def used(url, engine="external", bucket="mlflow-artifacts", **more):
    """Return what preflight has read of the settings of an MLflow whose artifacts are there."""
    settings = {
        "MLFLOW_S3_ENDPOINT_URL": url,
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{bucket}/artifacts",
        "MLOPS_OBJECT_STORE_ENGINE": engine,
        **more,
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


ACCOUNTS = {"mlflow": {"databases": ["mlflow", "mlflow_auth"]}, "seaweedfs": {"databases": ["seaweedfs"]}}
ODD_ACCOUNTS = (None, {"databases": "mine"}, {"databases": {"mine": 1}}, {"databases": [""]}, {"databases": None})
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
    # a rule of its own says it: every task that reads a secret hides its words
    ({"mlflow_admin_password": "twelve-letters\n"}, "mlflow_admin_password"),
    ({"mlflow_admin_password": 123456789012}, "mlflow_admin_password"),
    ({"postgresql_superuser_password": "tab\there"}, "postgresql_superuser_password"),
    ({"postgresql_account_passwords": {"mlflow": "a\x00b"}}, "postgresql_account_passwords.mlflow"),
    ({"postgresql_account_passwords": {"seaweedfs": 42}}, "postgresql_account_passwords.seaweedfs"),
    ({"object_store_admin_secret_key": "a\x7fb"}, "object_store_admin_secret_key"),
    ({"postgresql_account_passwords": {"mlfow": "s"}}, "names mlfow"),
    *[({"postgresql_shared_buffers": size}, "postgresql_shared_buffers") for size in ("lots", "256 MB", "1GB\n")],
    *[({"postgresql_settings": {name: 1}}, "postgresql_settings") for name in ("work mem", "a = 1\nb")],
    *[({"postgresql_settings": {"work_mem": value}}, "postgresql_settings") for value in ("8MB\nfsync = off", ["8MB"], None)],
    *[({"object_store_memory_limit": size}, "object_store_memory_limit") for size in ("lots", "400MB")],
    *[({"ingress_read_timeout": time}, "ingress_read_timeout") for time in ("soon", "4 h")],
    *[({"mlflow_environment": {name: 1}}, "mlflow_environment") for name in ("A B", "A\n")],
    ({"mlflow_environment": {"A": "one\ntwo"}}, "mlflow_environment"),
    ({"mlflow_pool_size": 7}, "mlflow_pool_size"),
    ({"mlflow_processes": 8, "postgresql_max_connections": 60}, "mlflow_processes"),
    # as texts, which -e name=value makes of them
    ({"mlflow_pool_size": "7", "mlflow_processes": "2", "postgresql_max_connections": "100"}, "set it to 107 or more"),
    ({"object_store_engine": "external", **OUTSIDE, "mlflow_pool_size": 9}, "set it to 111 or more"),
    ({"postgresql_accounts": {}}, "no account mlflow that owns the database mlflow and none"),
    ({"postgresql_accounts": {**ACCOUNTS, "mlflow": {"databases": ["mlflow"]}}}, "mlflow_auth"),
    ({"postgresql_accounts": {**ACCOUNTS, "seaweedfs": {"databases": ["other"]}}}, "seaweedfs"),
    *[({"postgresql_accounts": {**ACCOUNTS, "mine": value}}, "has mine in a form") for value in ODD_ACCOUNTS],
    *[({"postgresql_accounts": {**ACCOUNTS, name: {"databases": []}}}, "postgresql_accounts") for name in ("a/b", "superuser", "pg_a")],
    ({"object_store_admin_access_key": "same", "object_store_mlflow_access_key": "same"}, "object_store_mlflow_access_key"),
    *[({name: -1}, name) for name in ("mlops_reserve_mb", "mlops_install_mb", "mlops_memory_mb")],
    ({"host": {"memory_mb": 1000}}, "mlops_memory_mb"),
    *[({"mlops_mirror": url}, "mlops_mirror") for url in ("not a url", "mirror.example.org")],
    *[({"mlflow_extra_allowed_hosts": [host]}, "mlflow_extra_allowed_hosts") for host in ("a.example,b.example", "a b", "")],
    ({"mlflow_cors_allowed_origins": ["https://a.example, https://b.example"]}, "mlflow_cors_allowed_origins"),
    *[({"object_store_region": region}, "object_store_region") for region in ("", "us east")],
    *[({"object_store_bucket": name}, "is reserved") for name in ("sthree-a", "a--x-s3")],
    ({"object_store_bucket": "a" * 3 + "\n"}, "object_store_bucket"),
    # as -e name=value gives them
    ({"mlops_public_names": "ml.example.org"}, "mlops_public_names must be a list or a dictionary"),
    ({"postgresql_settings": "work_mem=8MB", "mlops_pip_args": "--no-index"}, "mlops_pip_args, postgresql_settings must be"),
    (
        {"postgresql_settings": ["a"], "postgresql_accounts": None, "mlflow_extra_allowed_hosts": {}},
        "accounts, postgresql_settings must be",
    ),
    ({**used("http://127.0.0.1:18333", "seaweedfs", MLFLOW_AUTH_ADMIN_USERNAME="root")}, "set it back to root"),
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
        # as -e name=value gives them
        {"object_store_accept_another": "false", "object_store_noncurrent_days": "30", "mlflow_processes": "4", "mlflow_port": "16001"},
        {"postgresql_shared_buffers": "2GB", "object_store_memory_limit": "off", "ingress_read_timeout": "1h30m"},
        {"postgresql_settings": {"work_mem": "8MB", "auto_explain.log_min_duration": 250, "jit": False, "search_path": '"$user", public'}},
        {"postgresql_accounts": {**ACCOUNTS, "my-own.app": {"databases": ["a", "b c"]}}},
        {"postgresql_account_passwords": {"mlflow": "p w'\\", "seaweedfs": ""}},
        {"postgresql_accounts": {"mlflow": ACCOUNTS["mlflow"]}, "object_store_engine": "external", **OUTSIDE},
        {"object_store_engine": "external", **OUTSIDE, "object_store_admin_access_key": "k", "object_store_admin_secret_key": "s"},
        {"mlflow_pool_size": 6},
        {"postgresql_max_connections": 40},
        {"mlflow_extra_allowed_hosts": ["*.example.org", "a.example:8443"], "mlflow_cors_allowed_origins": ["https://a.example"]},
        {"mlflow_environment": {"_A1": "b c", "MLFLOW_X": 3, "EMPTY": ""}},
        {"mlops_mirror": "http://mirror.example.org:8080/root/"},
        {"mlops_reserve_mb": 0, "mlops_install_mb": 0, "mlops_memory_mb": 0},
        {"host": {"memory_mb": 500, "data_dir_state": "ours"}},
        {**used("http://127.0.0.1:18333", "seaweedfs", MLFLOW_AUTH_ADMIN_USERNAME="root"), "mlflow_admin_username": "root"},
    ],
    ids=str,
)
def test_a_good_value_is_accepted(overrides):
    assert problems(**overrides) == []


def test_a_short_password_is_not_in_the_message():
    assert "hunter2" not in str(problems(mlflow_admin_password="hunter2"))


SECRETS = ("mlflow_admin_password", "postgresql_superuser_password", "object_store_admin_secret_key", "object_store_mlflow_secret_key")


@pytest.mark.parametrize("name", SECRETS)
def test_an_odd_secret_is_not_in_the_message(name):
    found = str(problems(**{name: "hunter2hunter2\nhunter2"}))
    assert name in found
    assert "hunter2" not in found
    assert "777" not in str(problems(**{name: 777777777777}))


@pytest.mark.parametrize("substrate", ["local", "kubernetes"])
def test_another_administrator_than_the_first_is_refused(substrate):
    """The first one is made in an empty store alone: with another name every later run would be refused by MLflow."""
    before = used("http://127.0.0.1:18333", "seaweedfs", MLFLOW_AUTH_ADMIN_USERNAME="admin")
    assert problems(substrate, **before) == []
    ((what, remedy),) = problems(substrate, **before, mlflow_admin_username="root")
    assert "mlflow_admin_username is root" in what
    assert "set it back to admin" in remedy and "mlops.platform.mlflow_user" in remedy


def test_the_connections_of_a_clusters_pods_are_counted_with_the_one_that_replaces():
    assert problems("kubernetes", mlflow_replicas=11) == []
    ((what, _unused),) = problems("kubernetes", mlflow_replicas=12)
    assert "13 MLflow processes" in what and "up to 78" in what
    assert len(problems("kubernetes", mlflow_autoscaling={"max_replicas": 12})) == 1


KNOWN = {"list": "preflight_lists", "dict": "preflight_dictionaries"}


def test_every_list_and_dictionary_is_known():
    """Of each one, preflight refuses a text."""
    typed = {kind: set() for kind in KNOWN}
    for role in rules().value("preflight_roles"):
        for spec in yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"].values():
            for kind, names in typed.items():
                names |= {name for name, option in spec["options"].items() if option.get("type") == kind}
    assert {kind: set(rules().value(name)) for kind, name in KNOWN.items()} == typed


# --- an upgrade of MLflow ---------------------------------------------------------------------------------------------------------------

HERE = {"host": "laptop", "user": "alice", "machine": "another", "pid": 4711, "started": "1", "since": "2026-11-29T04:00:00Z"}


def with_mlflow(version, **more):
    return {"data_dir_state": "ours", "mlflow": {"environment": "mlflow-py3.11-aa", "version": version}, **more}


@pytest.mark.parametrize("version, wanted", [("3.16.0", ""), ("3.17.2", ""), ("3.16.0", "3.16.0"), ("3.16.0", "3.17.2")])
def test_the_installed_mlflow_or_a_newer_one_is_accepted(version, wanted):
    assert problems(host=with_mlflow(version), mlflow_version=wanted) == []


@pytest.mark.parametrize(
    "version, wanted, words", [("3.17.2", "3.16.0", "an older one cannot read"), ("3.16.0", "3.1.0", "cannot install")]
)
def test_a_wrong_version_of_mlflow_is_refused(version, wanted, words):
    ((what, _remedy),) = problems(host=with_mlflow(version), mlflow_version=wanted)
    assert words in what
    # the way back by hand is no downgrade, and site.yml has none
    assert problems(host=with_mlflow(version), mlflow_version=wanted, upgrade_back=True, mlops_upgrading=True) == []
    assert len(problems(host=with_mlflow(version), mlflow_version=wanted, upgrade_back=True)) == 1


def test_an_upgrade_that_was_left_half_way_is_for_its_own_playbook_alone():
    journal = {"state": "migrating", "from": {"version": "3.16.0"}, "to": {"version": "3.17.2"}, "updated": "2026-11-29T04:00:00Z"}
    host = with_mlflow("3.16.0", upgrade=journal, upgrade_pending=True)
    ((what, remedy),) = problems(host=host)
    assert "from 3.16.0 to 3.17.2 was left half-way (migrating since 2026-11-29T04:00:00Z)" in what
    assert "playbooks/upgrade.yml" in remedy
    assert problems(host=host, mlops_upgrading=True) == []


def test_an_upgrade_that_is_under_way_is_waited_for():
    ((what, _remedy),) = problems(host=with_mlflow("3.16.0", upgrade_holder=HERE))
    assert what == "alice on laptop, process 4711, upgrades MLflow since 2026-11-29T04:00:00Z"


@pytest.mark.parametrize("version, expected", [("3.16.0", True), ("3.17.2", False)])
def test_a_newer_mlflow_needs_what_a_backup_needs(version, expected):
    found = rules(host=with_mlflow(version)).value("preflight_backs_up")
    assert found is expected
