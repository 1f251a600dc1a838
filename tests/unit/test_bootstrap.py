"""scripts/bootstrap, with interpreters that only act as such: what it refuses, what it makes, and what it leaves when it fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = "cat chmod cp df dirname env grep id ln ls mkdir mv readlink rm sed sh sleep tail uname"
# Answers as an interpreter does to bootstrap's questions; what its pip does stands in the file $PIP_DOES.
ACTOR = """#!/bin/sh
case "$*" in
*'< (3, 11)'*) exit 0 ;;
*base_prefix*) echo "3.12 x86_64 /actor" ;;
*setlocale*) exit 0 ;;
'-m venv '*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
'-m pip '*) echo "pip $*" >>"$PIP_DOES.log"; . "$PIP_DOES" ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A directory with what scripts/bootstrap reads."""
    root = tmp_path / "clone"
    defaults = [f"roles/{role}/defaults/main.yml" for role in ("common", "postgresql", "object_store", "ingress", "mlflow")]
    for name in ("scripts/bootstrap", "requirements/controller.txt", "requirements/dev.txt", *defaults):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode & 0o755)
    root.chmod(0o755)
    return root


def environment(root, path="/usr/bin:/bin", **environ):
    return {"PATH": path, "HOME": str(root), "PIP_DOES": str(root / "pip_does"), **{key: str(value) for key, value in environ.items()}}


def bootstrap(root, *arguments, **environ):
    command = ["sh", str(root / "scripts" / "bootstrap"), *arguments]
    return subprocess.run(
        command, env=environment(root, **environ), capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL
    )


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def refused(directory, name, code, output=""):
    """An interpreter that bootstrap cannot use: its answer has exit code `code`."""
    return program(directory / name, f"#!/bin/sh\necho '{output}'\nexit {code}\n")


def pip_does(root, text):
    (root / "pip_does").write_text(text)
    log = root / "pip_does.log"
    log.write_text("")
    return log


@pytest.fixture
def actor(tmp_path):
    return program(tmp_path / "bin" / "python3.12", ACTOR)


# --- problems ---------------------------------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_and_nothing_is_changed(clone, tmp_path):
    python = refused(tmp_path / "bin", "python3.12", 4, "3.12 ensurepip")
    (clone / ".venv").mkdir()
    (clone / ".venv" / "mine").touch()
    clone.chmod(0o777)
    done = bootstrap(clone, "controller", PYTHON=python)
    assert done.returncode == 2
    assert "3 problem(s); nothing was changed" in done.stderr
    assert f"{python} has no module ensurepip" in done.stderr
    assert "can be written by everybody" in done.stderr
    assert "was not made by this program" in done.stderr
    assert done.stderr.count("remedy: ") == 3
    assert [path.name for path in (clone / ".venv").iterdir()] == ["mine"]


def test_the_pythons_that_were_refused_are_named(clone, tmp_path):
    old = refused(tmp_path / "bin", "python3", 3)
    placeholder = refused(tmp_path / "bin", "python3.13", 127)
    (tmp_path / "programs").mkdir()
    for name in PROGRAMS.split():
        (tmp_path / "programs" / name).symlink_to(next(p for p in (Path("/bin", name), Path("/usr/bin", name)) if p.exists()))
    done = bootstrap(clone, "controller", path=f"{tmp_path / 'bin'}:{tmp_path / 'programs'}")
    assert done.returncode == 2
    assert "1 problem(s)" in done.stderr
    assert f"{placeholder} does not run" in done.stderr
    assert f"{old} is older" in done.stderr


def test_a_complete_python_is_preferred_to_an_incomplete_one(clone, tmp_path, actor):
    refused(tmp_path / "bin", "python3.13", 4, "3.13 ensurepip")
    pip_does(clone, "exit 0")
    done = bootstrap(clone, "controller", path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert f"making .venv with {actor}" in done.stderr


@pytest.fixture
def stranger(tmp_path, actor):
    """The PATH of a user who has no platform yet, whoever runs the tests."""
    program(actor.parent / "id", "#!/bin/sh\necho 1000")
    return f"{actor.parent}:/usr/bin:/bin"


def all_ports(clone, number):
    """Write `number` and the next ones in the place of all default ports; return them by variable."""
    found = {}
    for file in sorted(clone.glob("roles/*/defaults/main.yml")):
        text = file.read_text()
        for name in re.findall(r"^((?:\w+_)?(?:port|s3_port|https_port|internal_port)): \d", text, flags=re.M):
            # those of a cluster are not of this machine
            if name not in ("mlflow_public_port", "mlflow_node_port", "postgresql_external_port"):
                found[name] = number + len(found) * 4
                text = re.sub(rf"^{name}: .*", f"{name}: {found[name]}", text, flags=re.M)
        file.write_text(text)
    return found


def unused_ports():
    """Return a number whose next hundred ports nobody uses."""
    for number in range(21000, 30000, 100):
        try:
            for port in range(number, number + 100):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return number
    raise AssertionError("no hundred free ports in a row")


def test_taken_ports_are_told_before_anything_is_installed(clone, actor, stranger):
    ports = all_ports(clone, unused_ports())
    assert len(ports) == 8
    log = pip_does(clone, "exit 0")
    everywhere, second, grpc = ports["mlops_https_port"], ports["mlflow_port"] + 1, ports["object_store_s3_port"] + 10000
    servers = [socket.create_server(("0.0.0.0", everywhere)), socket.create_server(("127.0.0.1", second))]  # noqa: S104
    servers.append(socket.create_server(("::", grpc), family=socket.AF_INET6, dualstack_ipv6=True))

    def told(*arguments):
        # where .venv is there already, nothing is checked
        shutil.rmtree(clone / ".venv", ignore_errors=True)
        return "is in use" in bootstrap(clone, "controller", "true", *arguments, PYTHON=actor, path=stranger).stderr

    try:
        done = bootstrap(clone, "controller", "ansible-playbook", "site.yml", PYTHON=actor, path=stranger)
        told_before = log.read_text()
        assert told("site.yml", "--check")
        assert not told("site.yml", "-e", "mlops_https_port=1")
        assert not told("site.yml", "-e@mine.yml")
        assert not told("site.yml", "-i", "hosts.yml")
        assert not told("playbooks/status.yml")
        inventory = clone / "inventories/local/hosts.yml"
        inventory.parent.mkdir(parents=True)
        inventory.write_text("all: {vars: {mlops_https_port: 1}}\n")
        assert not told("site.yml")
        inventory.write_text("all: {}\n")
        assert told("site.yml")
        # those of a platform that is there may be its own
        marker = clone / ".local/share/mlops/.mlops-installation"
        marker.parent.mkdir(parents=True)
        marker.touch()
        assert not told("site.yml")
    finally:
        for server in servers:
            server.close()
    assert done.returncode == 2
    assert "3 problem(s)" in done.stderr
    name = Path("/proc/self/comm").read_text().strip()
    for port, variable in ((everywhere, "mlops_https_port"), (second, "mlflow_port"), (grpc, "object_store_s3_port")):
        assert f"port {port} is in use by {name} (process {os.getpid()})" in done.stderr
        assert f"-e {variable}=NUMBER" in done.stderr
    assert told_before == ""


def test_free_ports_are_none_of_the_problems(clone, actor, stranger):
    all_ports(clone, unused_ports())
    pip_does(clone, "exit 0")
    assert bootstrap(clone, "controller", "true", "site.yml", PYTHON=actor, path=stranger).returncode == 0


def test_the_place_of_the_data_is_checked_before_anything_is_installed(clone, actor, stranger):
    defaults = clone / "roles/common/defaults/main.yml"
    defaults.write_text(re.sub(r"^(mlops_install_mb:).*", r"\1 999999999", defaults.read_text(), flags=re.M))
    log = pip_does(clone, "exit 0")
    done = bootstrap(clone, "controller", "ansible-playbook", "site.yml", PYTHON=actor, path=stranger)
    assert done.returncode == 2
    assert "the platform (the data directory) needs" in done.stderr
    assert log.read_text() == ""
    other = bootstrap(clone, "controller", "true", "site.yml", "-e", "mlops_data_dir=/x", PYTHON=actor, path=stranger)
    assert "the data directory" not in other.stderr


# --- the environment --------------------------------------------------------------------------------------------------------------------


def test_a_second_run_installs_nothing(clone, actor):
    log = pip_does(clone, "exit 0")
    done = bootstrap(clone, "controller", "echo", "ran", PYTHON=actor)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert "--require-hashes" in log.read_text()
    assert str(clone / "requirements/controller.txt") in log.read_text()
    log = pip_does(clone, "exit 1")
    done = bootstrap(clone, "controller", "echo", "ran", PYTHON=actor)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    assert log.read_text() == ""


def test_the_tests_packages_are_added_to_what_is_there(clone, actor):
    pip_does(clone, "exit 0")
    bootstrap(clone, "controller", PYTHON=actor)
    (clone / ".venv" / "there").touch()
    log = pip_does(clone, "exit 0")
    done = bootstrap(clone, "dev", PYTHON=actor)
    assert "adding what the tests need" in done.stderr
    assert str(clone / "requirements/dev.txt") in log.read_text()
    assert (clone / ".venv" / "there").exists()
    # and the playbooks run with it as it is
    log = pip_does(clone, "exit 1")
    assert bootstrap(clone, "controller", PYTHON=actor).returncode == 0
    assert log.read_text() == ""


@pytest.mark.parametrize("change", ["lock", "place", "interpreter"])
def test_another_lock_place_or_interpreter_makes_it_anew(clone, actor, change):
    pip_does(clone, "exit 0")
    bootstrap(clone, "controller", PYTHON=actor)
    (clone / ".venv" / "there").touch()
    if change == "lock":
        (clone / "requirements/controller.txt").write_text("other==1 --hash=sha256:0\n")
    elif change == "place":
        clone = clone.rename(clone.parent / "moved")
    else:
        program(actor, ACTOR.replace("3.12 x86_64", "3.13 x86_64"))
    pip_does(clone, "exit 0")
    done = bootstrap(clone, "controller", PYTHON=actor)
    assert "making .venv" in done.stderr
    assert not (clone / ".venv" / "there").exists()


def test_a_failure_shows_pips_own_words_and_keeps_the_old_environment(clone, actor):
    pip_does(clone, "exit 0")
    bootstrap(clone, "controller", PYTHON=actor)
    old = (clone / ".venv/.mlops/controller.txt").read_text()
    (clone / ".venv" / "there").touch()
    (clone / "requirements/controller.txt").write_text("other==1 --hash=sha256:0\n")
    pip_does(clone, "echo 'Collecting other'; echo 'ERROR: No matching distribution found for other' >&2; exit 1")
    done = bootstrap(clone, "controller", "echo", "ran", PYTHON=actor)
    assert (done.returncode, done.stdout) == (1, "")
    assert "  | ERROR: No matching distribution found for other" in done.stderr
    assert "Collecting" not in done.stderr
    assert (clone / ".venv" / "there").exists()
    assert (clone / ".venv/.mlops/controller.txt").read_text() == old
    assert not (clone / ".cache/bootstrap.lock").is_symlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_creation_is_done_again(clone, actor, number):
    pip_does(clone, f"touch '{clone}/started'; exec sleep 60")
    command = ["sh", str(clone / "scripts/bootstrap"), "controller"]
    with subprocess.Popen(command, env=environment(clone, PYTHON=actor), stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while not (clone / "started").exists():
            time.sleep(0.02)
        os.kill(process.pid, number)
        process.wait()
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
    pip_does(clone, "exit 0")
    done = bootstrap(clone, "controller", "echo", "ran", PYTHON=actor)
    assert "making .venv" in done.stderr
    assert (done.returncode, done.stdout) == (0, "ran\n")


def test_two_at_once_make_it_once(clone, actor):
    log = pip_does(clone, "sleep 1")
    command = ["sh", str(clone / "scripts/bootstrap"), "controller"]
    both = [subprocess.Popen(command, env=environment(clone, PYTHON=actor), stderr=subprocess.PIPE, text=True) for _unused in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(log.read_text().splitlines()) == 1


def test_the_command_runs_in_the_clone_with_a_utf8_locale_and_its_own_programs(clone):
    stamp = clone / ".venv/.mlops"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], check=True)
    stamp.mkdir()
    (stamp / "controller.txt").write_bytes((clone / "requirements/controller.txt").read_bytes())
    identity = re.search(r"^identity='(.*)'$", (clone / "scripts/bootstrap").read_text(), re.M)[1]
    known = subprocess.run([str(clone / ".venv/bin/python"), "-c", identity], capture_output=True, text=True, check=True).stdout
    (stamp / "identity").write_text(f"{known}{clone}\n")
    show = (
        "import locale, os, sys; "
        'print(locale.getpreferredencoding(), os.getcwd(), sys.prefix, os.environ["ANSIBLE_CONFIG"], sys.dont_write_bytecode)'
    )
    done = bootstrap(clone, "controller", "python", "-c", show, LC_ALL="POSIX", PYTHONDONTWRITEBYTECODE="1")
    assert done.stderr == ""
    # what is used is compiled once
    assert done.stdout.split() == ["UTF-8", str(clone), str(clone / ".venv"), str(clone / "ansible.cfg"), "False"]
