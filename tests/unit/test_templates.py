"""What the roles' templates write, read back by the programs that read them, or by a parser with the same rules."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import tomllib
import yaml
from lib.render import HOST, ODD, Roles, files, platform, services, within

VALUES = {
    "ODD": ODD,
    "BACKWARDS": ODD[::-1],
    "ESCAPED": "".join("\\" + c for c in ODD),
    "DOUBLED": "".join(c * 2 for c in ODD),
    "ENDS_IN_BACKSLASH": "a\\",
    "BLANKS": "  a  ",
    "EMPTY": "",
    "NUMBER": 60,
    "LETTERS": "Ünïcödé €",
    "COMMAND": "$(touch /nonexistent/a)`touch /nonexistent/b`${HOME}",
}


@pytest.fixture(scope="module")
def roles():
    return platform()


@pytest.fixture(scope="module")
def descriptions(roles):
    found = {item["name"]: item for item in services(roles)}
    assert set(found) == {"postgresql", "seaweedfs", "traefik", "mlflow-15001", "mlflow-15002"}
    return found


# --- environment files -------------------------------------------------------------------------------------------------------------------


def by_sh(path):
    program = "import json, os, sys; print(json.dumps({name: os.environ[name] for name in sys.argv[1:]}))"
    script = 'set -eu; set -a; . "$1"; set +a; shift; exec "$@"'
    command = ["/bin/sh", "-c", script, "sh", str(path), sys.executable, "-c", program, *VALUES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8", "HOME": "/changed"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_systemd(path):
    """The part of systemd's src/basic/env-file.c that reads NAME="VALUE"."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("#", ";")) or not line:
            continue
        name, _unused, rest = line.partition("=")
        assert rest[0] == rest[-1] == '"', line
        value, escaped = "", False
        for character in rest[1:-1]:
            if escaped:
                value += character if character in '"\\`$' else "\\" + character
                escaped = False
            elif character == "\\":
                escaped = True
            else:
                assert character != '"', f"{name} ends before its last character"
                value += character
        assert not escaped
        found[name] = value
    return found


@pytest.mark.parametrize("reader", [by_sh, by_systemd])
def test_environment_file_carries_every_character(roles, tmp_path, reader):
    path = tmp_path / "service.env"
    path.write_text(roles.render("local_service", "service.env.j2", item={"name": "a", "environment": VALUES}) + "\n", encoding="utf-8")
    assert reader(path) == {name: str(value) for name, value in VALUES.items()}


# --- one description, two service managers -----------------------------------------------------------------------------------------------


def unit_of(roles, item):
    """{key: [values]} of all sections of the unit that is made of a description."""
    found = {}
    for line in roles.render("local_service", "unit.service.j2", item=item).splitlines():
        if line and line[0] not in "#[":
            key, separator, value = line.partition("=")
            assert separator, line
            found.setdefault(key, []).append(value.replace("%%", "%"))
    return found


def supervised(roles, item):
    """The launcher's lines and the supervisor's section that are made of a description."""
    with_supervisor = {"mlops_host": {**HOST, "service_manager": "supervisor"}, "item": item}
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(roles.render("local_service", "program.conf.j2", **with_supervisor))
    launcher = roles.render("local_service", "launcher.sh.j2", **with_supervisor)
    assert subprocess.run(["/bin/sh", "-n"], input=launcher, text=True, check=False).returncode == 0
    return launcher.replace("\\\n", " ").splitlines(), dict(parser[f"program:{item['name']}"])


NAMES = ["postgresql", "seaweedfs", "traefik", "mlflow-15001", "mlflow-15002"]


@pytest.mark.parametrize("name", NAMES)
def test_both_managers_start_the_same_command(roles, descriptions, name):
    item = descriptions[name]
    unit, (launcher, program) = unit_of(roles, item), supervised(roles, item)
    wanted = [str(word) for word in item["command"]]
    assert shlex.split(unit["ExecStart"][0]) == wanted
    executed = shlex.split(launcher[-1])
    assert executed[0] == "exec"
    assert executed[executed.index("--", 1) + 1 :] == wanted
    assert shlex.split(program["command"]) == ["/bin/sh", f"{HOST['data_dir']}/etc/services/{name}.sh"]


@pytest.mark.parametrize("name", NAMES)
def test_both_managers_stop_it_alike(roles, descriptions, name):
    item = descriptions[name]
    unit, (launcher, program) = unit_of(roles, item), supervised(roles, item)
    assert unit["KillSignal"] == ["SIG" + program["stopsignal"]] == [item.get("stop_signal", "SIGTERM")]
    assert unit["TimeoutStopSec"] == [program["stopwaitsecs"]]
    # with a killed supervisor the kernel sends the same signal
    assert f"--pdeathsig {program['stopsignal']} " in launcher[-1]


@pytest.mark.parametrize("name", NAMES)
def test_both_managers_give_it_the_same_environment_and_directory(roles, descriptions, name):
    item = descriptions[name]
    unit, (launcher, program) = unit_of(roles, item), supervised(roles, item)
    assert unit["EnvironmentFile"] == [line[2:] for line in launcher if line.startswith(". ")]
    assert unit["EnvironmentFile"][-1] == f"{HOST['data_dir']}/etc/{name}.env"
    assert unit["WorkingDirectory"] == [item["directory"]] == [program["directory"]]
    assert f"cd {item['directory']}" in launcher
    assert item["directory"].startswith(HOST["data_dir"] + "/"), "it would not be known as this installation's"


@pytest.mark.parametrize("name", NAMES)
def test_both_managers_take_the_same_steps_before_the_start(roles, descriptions, name):
    item = descriptions[name]
    unit, (launcher, _unused) = unit_of(roles, item), supervised(roles, item)
    steps = [" ".join(map(str, command)) for command in item.get("before_start", [])]
    assert unit["ExecStartPre"][1:] == steps
    assert [line for line in launcher if line in steps] == steps


@pytest.mark.parametrize("name", NAMES)
def test_stamp_covers_what_the_process_is_started_with(roles, descriptions, name):
    item = descriptions[name]
    unit, (launcher, _unused) = unit_of(roles, item), supervised(roles, item)
    for line, definition in (
        (unit["ExecStartPre"][0], f"/etc/systemd/system/mlops-{name}.service"),
        (next(line for line in launcher if line.startswith("sha256sum")), f"{HOST['data_dir']}/etc/services/{name}.sh"),
    ):
        for file in [definition, *unit["EnvironmentFile"], *item.get("config_files", [])]:
            assert re.search(f"{re.escape(file)}[ ']", line), f"{file} is not in the stamp"


def test_only_a_service_on_a_low_port_gets_a_capability(descriptions):
    assert [name for name, item in descriptions.items() if item.get("low_port")] == []
    low = platform(mlops_https_port=443)
    units = {item["name"]: unit_of(low, item) for item in services(low)}
    assert [name for name, unit in units.items() if unit["AmbientCapabilities"] != [""]] == ["traefik"]
    assert units["traefik"]["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]


def test_no_secret_is_on_a_command_line_or_in_a_definition():
    secret = "not-on-any-command-line"
    roles = platform(secret)
    for item in services(roles):
        lines, program = supervised(roles, item)
        assert secret not in json.dumps([unit_of(roles, item), lines, program])


def test_supervisor_is_reached_through_a_directory_of_the_service_user_alone(roles):
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(roles.render("local_host", "supervisord.conf.j2"))
    assert parser["unix_http_server"] == {"file": f"{HOST['data_dir']}/run/supervisor.sock", "chmod": "0700"}
    assert "inet_http_server" not in parser
    assert parser["supervisord"]["umask"] == "077"
    assert parser["program:guardian"]["autorestart"] == "true"


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


# --- the object store --------------------------------------------------------------------------------------------------------------------


def test_s3_json_holds_two_identities_with_odd_secrets(roles):
    identities = {entry["name"]: entry for entry in json.loads(roles.render("object_store", "s3.json.j2"))["identities"]}
    assert {name: entry["credentials"][0]["secretKey"] for name, entry in identities.items()} == {"admin": ODD, "mlflow": ODD}
    assert identities["mlflow"]["actions"] == ["Read:mlflow-artifacts", "Write:mlflow-artifacts", "List:mlflow-artifacts"]


def test_security_toml_asks_for_a_certificate_everywhere(roles):
    content = tomllib.loads(roles.render("object_store", "security.toml.j2"))
    assert content["grpc"]["ca"]
    for part in ("master", "volume", "filer", "s3"):
        assert content["grpc"][part]["allowed_commonNames"] == "seaweedfs.mlops.internal"
    for part in ("master", "volume", "filer"):
        assert content["https"][part]["ca"] == f"{HOST['data_dir']}/tls/seaweedfs.crt"
    keys = [content["jwt"][kind] for kind in ("signing", "filer_signing")]
    assert all(len(bytes.fromhex(kind["key"])) == len(bytes.fromhex(kind["read"]["key"])) == 32 for kind in keys)
    assert len(bytes.fromhex(content["s3"]["sse"]["kek"])) == 32


def test_filer_toml_carries_every_character_of_the_password(roles):
    content = tomllib.loads(roles.render("object_store", "filer.toml.j2"))["postgres2"]
    # what SeaweedFS pastes into a key=value connection string: libpq's quoting
    quoted = content["password"]
    assert quoted[0] == quoted[-1] == "'"
    assert re.fullmatch(r"(?:[^\\']|\\.)*", quoted[1:-1])
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == ODD
    assert content["port"] == 15432


def test_master_toml_runs_lifecycle_and_vacuum(roles):
    maintenance = tomllib.loads(roles.render("object_store", "master.toml.j2"))["master"]["maintenance"]
    steps = [line.split()[0] for line in maintenance["scripts"].split("\n") if line.strip()]
    assert steps[0] == "lock" and steps[-1] == "unlock"
    assert {"s3.lifecycle.run-shard", "volume.vacuum", "s3.clean.uploads"} <= set(steps)
    # of S3 it asks over gRPC: the port of the API does not understand it
    assert " -s3 127.0.0.1:28333 " in maintenance["scripts"]


def test_object_store_listens_on_loopback_alone(descriptions):
    words = descriptions["seaweedfs"]["command"]
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp", "-filer.disableHttp", "-s3.iam=false"} <= set(words)
    # it serves the heap and the command line to anybody
    assert not [word for word in words if word.startswith("-metricsPort")]


@pytest.mark.parametrize("script", ["seaweedfs-before-start.sh.j2", "weed-shell.sh.j2"])
def test_scripts_of_the_object_store_are_shell(roles, script):
    text = roles.render("object_store", script)
    assert text.startswith("#!/bin/sh\n")
    assert subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user, which root alone can")
def test_a_socket_of_another_user_is_told_before_seaweedfs_waits_for_it_for_ever(tmp_path):
    ports = {
        f"object_store_{part}_port": 40000 + os.getpid() % 10000 + number for number, part in enumerate(("s3", "filer", "master", "volume"))
    }
    (tmp_path / "seaweedfs").mkdir()
    script = platform(mlops_host={**HOST, "data_dir": str(tmp_path)}, **ports).render("object_store", "seaweedfs-before-start.sh.j2")
    socket = Path(f"/tmp/seaweedfs-master-grpc-{ports['object_store_master_port'] + 10000}.sock")
    socket.touch()
    try:
        os.chown(socket, 65534, 65534)
        done = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, timeout=60, check=False)
    finally:
        socket.unlink()
    assert done.returncode == 1
    assert f"{socket} belongs to nobody" in done.stderr and "object_store_*_port" in done.stderr
    assert f"seaweedfs-s3-grpc-{ports['object_store_s3_port'] + 10000}.sock\n" in (tmp_path / "seaweedfs" / "sockets").read_text()


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


# --- an object store outside -------------------------------------------------------------------------------------------------------------


def test_mlflow_trusts_and_waits_for_no_object_store_of_its_own():
    endpoint = {
        "engine": "external",
        "url": "https://s3.example.com",
        "region": "r",
        "bucket": "b",
        "access_key": "a",
        "secret_key": "s",
        "ca": "an authority",
    }
    outside = platform(
        object_store_engine="external",
        object_store_external_url="https://s3.example.com/",
        object_store_endpoint=endpoint,
        ingress_endpoint={"routes": "/routes", "url": "https://localhost", "ca": ""},
    )
    assert outside.value("object_store_url") == "https://s3.example.com"
    path = f"{HOST['data_dir']}/etc/mlflow-object-store.crt"
    found = {item["name"]: item for item in services(outside)}["mlflow-15001"]
    assert found["after"] == ["postgresql"] and path in found["config_files"]
    assert outside.value("mlflow_server_environment")["AWS_CA_BUNDLE"] == path
    assert files(outside)[0][path] == "an authority"
    assert outside.value("mlflow_verification", **within("mlflow"))["s3"]["ca"] == path


def test_mlflow_comes_after_the_object_store_of_the_platform(descriptions, roles):
    assert descriptions["mlflow-15001"]["after"] == ["postgresql", "seaweedfs"]
    assert "AWS_CA_BUNDLE" not in roles.value("mlflow_server_environment")
