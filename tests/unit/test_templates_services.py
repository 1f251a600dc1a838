"""What is written of services, read back by sh, and by the rules of systemd and the supervisor, which both get one description."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys

import pytest
from lib.render import HOST, ODD, described, platform, services

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
    return described(roles)


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
