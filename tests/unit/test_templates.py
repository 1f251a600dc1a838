"""What the templates of PostgreSQL, the entry point and MLflow write, read back by a parser with the rules of whoever reads it."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from lib.render import HOST, ODD, Roles, files, platform


@pytest.fixture(scope="module")
def roles():
    return platform()


# --- PostgreSQL --------------------------------------------------------------------------------------------------------------------------


def test_pg_hba_lets_nobody_in_without_scram(roles):
    rules = [line.split() for line in roles.render("postgresql", "pg_hba.conf.j2").splitlines() if line and not line.startswith("#")]
    assert rules
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    assert {rule[3] for rule in rules if rule[0].startswith("host")} == {"127.0.0.1/32"}


def test_postgresql_conf_quotes_what_a_user_adds():
    text = platform(postgresql_settings={"application_name": "it's"}).render("postgresql", "postgresql.conf.j2")
    settings = dict(line.split(" = ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert settings["application_name"] == "'it''s'"
    assert settings["listen_addresses"] == "'127.0.0.1'"
    assert (settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"]) == ("on", "on", "on")


def test_pgpass_carries_every_character(roles):
    entries = {}
    for line in roles.render("postgresql", "pgpass.j2").splitlines():
        # libpq: a colon ends a field, a backslash takes the next character as it is
        fields = [re.sub(r"\\(.)", r"\1", field) for field in re.findall(r"((?:\\.|[^:\\])*)(?::|$)", line)[:5]]
        entries[fields[3]] = fields[4]
    assert entries == {"postgres": ODD, "mlflow": ODD, "seaweedfs": ODD}


def test_proof_gets_every_account_with_its_password_and_databases(roles):
    request = roles.template(roles.tasks("postgresql", "verify.yml")[0]["vars"]["prove_request"])
    assert (request["host"], request["port"]) == ("127.0.0.1", 15432)
    assert request["superuser"] == {"username": "postgres", "password": ODD}
    assert request["accounts"] == {
        "mlflow": {"password": ODD, "databases": ["mlflow", "mlflow_auth"]},
        "seaweedfs": {"password": ODD, "databases": ["seaweedfs"]},
    }


# --- the entry point ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address, shown", [("127.0.0.1", "127.0.0.1:8443"), ("::", "[::]:8443")])
def test_entry_point_listens_on_one_public_and_one_loopback_address(address, shown):
    points = yaml.safe_load(platform(mlops_bind_address=address).render("ingress", "traefik.yml.j2"))["entryPoints"]
    assert {name: point["address"] for name, point in points.items()} == {"public": shown, "internal": "127.0.0.1:18081"}


def test_routes_serve_the_api_only_behind_a_login(roles):
    content = yaml.safe_load(roles.render("ingress", "platform.yml.j2"))["http"]
    open_to_all = [name for name, router in content["routers"].items() if not router.get("middlewares")]
    assert open_to_all == ["internal-ping"]
    assert {router["entryPoints"][0] for router in content["routers"].values()} == {"internal"}


def test_metrics_of_a_process_are_reached_with_the_scrapers_login_alone(roles):
    content = yaml.safe_load(roles.render("mlflow", "mlflow-route.yml.j2"))["http"]
    public = [router["rule"] for router in content["routers"].values() if router["entryPoints"] == ["public"]]
    assert len(public) == 2 and all("!Path(`/metrics`)" in rule for rule in public)
    for port in (15001, 15002):
        router = content["routers"][f"mlflow-{port}-metrics"]
        assert router["entryPoints"] == ["internal"]
        assert router["middlewares"][0] == "internal-scraper"
    # a write is never sent twice
    assert "status" not in content["middlewares"]["mlflow-retry"]["retry"]


def test_list_of_processes_is_what_the_rolling_restart_rewrites(roles):
    service = json.loads(roles.render("mlflow", "mlflow-servers.yml.j2"))["http"]["services"]["mlflow"]["loadBalancer"]
    assert service["servers"] == [{"url": "http://127.0.0.1:15001"}, {"url": "http://127.0.0.1:15002"}]


# --- MLflow ------------------------------------------------------------------------------------------------------------------------------


def test_mlflow_ini_gives_back_the_url_with_the_password(roles):
    # MLflow reads it with a ConfigParser that interpolates
    parser = configparser.ConfigParser()
    parser.read_string(roles.render("mlflow", "mlflow-auth.ini.j2"))
    url = urlsplit(parser["mlflow"]["database_uri"])
    assert parser["mlflow"]["database_uri"] == roles.value("mlflow_database_login") + "/mlflow_auth"
    assert (url.scheme, url.username, url.hostname, url.port) == ("postgresql+psycopg2", "mlflow", "127.0.0.1", 15432)
    assert unquote(url.password) == ODD
    assert (parser["mlflow"]["admin_username"], parser["mlflow"]["default_permission"]) == ("admin", "READ")


def test_mlflow_urls_always_name_a_driver(roles):
    environment = roles.value("mlflow_server_environment")
    for name in ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"):
        assert environment[name].startswith("postgresql+psycopg2://mlflow:")


def test_probe_file_is_what_the_rolling_restart_reads(roles):
    content = files(roles)[0][f"{HOST['data_dir']}/etc/mlflow-probe.auth"]
    # one line, USER:PASSWORD
    assert content.rstrip("\r\n") == f"admin:{ODD}"


@pytest.mark.parametrize("password", ["{{ 7 * 6 }}", "{% raw %}", "{# gone #}"])
def test_a_password_is_never_a_template(password):
    contents, _unused = files(platform(password))
    assert contents[f"{HOST['data_dir']}/etc/mlflow-probe.auth"] == f"admin:{password}\n"
    assert f'AWS_SECRET_ACCESS_KEY="{password}"' in contents[f"{HOST['data_dir']}/etc/mlflow.env"].splitlines()
    assert json.loads(contents[f"{HOST['data_dir']}/etc/seaweedfs/s3.json"])["identities"][0]["credentials"][0]["secretKey"] == password


def test_every_file_with_a_secret_is_declared_as_secret():
    secret = "in-secret-files-alone"
    contents, declared = files(platform(secret))
    found = {path for path, content in contents.items() if secret in content}
    assert found, "no file holds the secret"
    assert found <= declared


@pytest.mark.parametrize(
    "names, port, wanted",
    [
        (["localhost"], 8443, {"localhost", "localhost:8443", "127.0.0.1:15001", "127.0.0.1:15002"}),
        (
            ["ml.example.org", "::1"],
            443,
            {"ml.example.org", "ml.example.org:443", "[::1]", "[::1]:443", "127.0.0.1:15001", "127.0.0.1:15002"},
        ),
    ],
)
def test_every_public_name_is_an_accepted_host(names, port, wanted):
    roles = platform(mlops_public_names=names, mlops_https_port=port)
    assert set(roles.value("mlflow_server_environment")["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")) == wanted


@pytest.mark.parametrize("processes, connections, pool", [(1, 100, 10), (2, 100, 5), (8, 100, 1), (8, 40, 1), (4, 500, 10)])
def test_pools_fit_into_the_servers_connections(processes, connections, pool):
    endpoint = {"host": "127.0.0.1", "port": 15432, "max_connections": connections, "passwords": {"mlflow": "x"}}
    found = platform(mlflow_processes=processes, postgresql_endpoint=endpoint).value("mlflow_pool")
    assert int(found) == pool


def test_before_start_script_is_shell(roles):
    text = roles.render("mlflow", "mlflow-before-start.sh.j2")
    assert subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=False).returncode == 0


# --- certificates ------------------------------------------------------------------------------------------------------------------------


def test_names_of_a_certificate_are_told_from_addresses():
    roles = Roles("local_certificate", local_certificate_names=["localhost", "ml.example.org", "10.0.0.5", "::1", "fd00::a", "cafe"])
    assert roles.value("local_certificate_sans") == [
        "DNS:localhost",
        "DNS:ml.example.org",
        "IP:10.0.0.5",
        "IP:::1",
        "IP:fd00::a",
        "DNS:cafe",
    ]
