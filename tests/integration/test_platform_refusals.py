"""Wrong input stops before anything is touched, in words that name the variable and what would be right."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from lib import platform_proc as proc
from lib.platform import Platform

# checks that look at variables alone are shown on the running platform: nothing of it may change
WRONG = {
    "data directory with a space": (
        {"mlops_data_dir": "/var/lib/mlops test"},
        ["/var/lib/mlops test", "mlops_data_dir", "letters, digits"],
    ),
    "data directory that is too long": ({"mlops_data_dir": "/var/lib/" + "x" * 80}, ["longer than 75", "mlops_data_dir"]),
    "relative data directory": ({"mlops_data_dir": "var/lib/mlops"}, ["var/lib/mlops", "mlops_data_dir", "absolute"]),
    "bucket name": ({"object_store_bucket": "My_Bucket"}, ["object_store_bucket", "My_Bucket"]),
    "port that is no number": ({"postgresql_port": "many"}, ["postgresql_port", "many"]),
    "port out of range": ({"mlops_https_port": 70000}, ["mlops_https_port", "70000"]),
    "port of the second half-block": ({"object_store_s3_port": 60000}, ["object_store_s3_port", "70000"]),
    "unknown substrate": ({"mlops_substrate": "moon"}, ["mlops_substrate", "moon", "local"]),
    "unknown permission": ({"mlflow_default_permission": "ALL"}, ["mlflow_default_permission", "ALL", "NO_PERMISSIONS"]),
    "list where a dictionary is due": ({"postgresql_settings": ["a"]}, ["postgresql_settings"]),
    "no public name": ({"mlops_public_names": []}, ["mlops_public_names"]),
    "public name that is none": ({"mlops_public_names": ["a b"]}, ["mlops_public_names", "a b"]),
    "address of another host": ({"mlops_bind_address": "192.0.2.1"}, ["mlops_bind_address", "192.0.2.1"]),
    "too many processes": ({"mlflow_processes": 50}, ["mlflow_processes", "50"]),
    "service user root": ({"mlops_service_user": "root"}, ["mlops_service_user", "root"]),
    "one port twice": ({"postgresql_port": 26020}, ["postgresql_port", "mlflow_port", "26020"]),
    "interpreter that is none": ({"mlops_python": "/bin/false"}, ["mlops_python", "/bin/false"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_before_anything_is_touched(platform, case):
    extra, words = WRONG[case]
    if not platform.root and "mlops_service_user" in extra:
        pytest.skip("only root installs for another user")
    before, files = platform.lasting(), platform.fingerprint()
    run = platform.run(extra=extra)
    assert run.code != 0
    assert run.stats["changed"] == 0, run.changed
    assert len(run.failed) == 1, run.failed
    for word in words:
        assert word in run.failed[0]
    assert proc.identities(platform.lasting()) == proc.identities(before)
    assert platform.fingerprint() == files


def test_a_short_password_is_refused_and_never_shown(platform):
    before, files, short = platform.lasting(), platform.fingerprint(), "kurz-9x"
    run = platform.run("site.yml", "-vvv", extra={"mlflow_admin_password": short})
    assert run.code != 0
    assert run.stats["changed"] == 0, run.changed
    assert "mlflow_admin_password" in run.failed[0]
    assert "12" in run.failed[0]
    assert short not in run.output
    assert proc.identities(platform.lasting()) == proc.identities(before)
    assert platform.fingerprint() == files


@pytest.fixture
def stranger():
    """A platform that is to be installed elsewhere, and is not."""
    platform = Platform.new(ports=26400, name="mlops-stranger")
    yield platform
    platform.reset()


def test_a_foreign_directory_is_left_alone(stranger):
    stranger.data_dir.mkdir()
    (stranger.data_dir / "thesis.txt").write_text("the only copy")
    status = stranger.data_dir.stat()
    for check in (True, False):
        run = stranger.run(check=check)
        assert run.code != 0
        assert run.stats["changed"] == 0
        assert str(stranger.data_dir) in run.failed[0]
        assert "left untouched" in run.failed[0]
        assert "mlops_data_dir" in run.failed[0]
    assert os.listdir(stranger.data_dir) == ["thesis.txt"]  # noqa: PTH208
    assert stranger.data_dir.stat().st_mode == status.st_mode
    assert stranger.data_dir.stat().st_uid == status.st_uid
    # nor does reset remove what is not ours
    run = stranger.run("playbooks/reset.yml", extra={"mlops_reset_confirm": str(stranger.data_dir)})
    assert run.code != 0
    assert (stranger.data_dir / "thesis.txt").read_text() == "the only copy"


def test_all_problems_are_told_in_one_run(stranger):
    """Two ports that others hold, and an address that is not this host's: three problems, one message, nothing made."""
    with socket.socket() as first, socket.socket() as second:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", stranger.variables["postgresql_port"]))
        first.listen()
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.bind(("0.0.0.0", stranger.variables["mlflow_port"] + 1))
        second.listen()
        run = stranger.run(extra={"mlops_bind_address": "192.0.2.1"})
    assert run.code != 0
    assert run.stats["changed"] == 0
    assert len(run.failed) == 1
    program = os.path.basename(os.readlink(f"/proc/{os.getpid()}/exe"))  # noqa: PTH115, PTH119
    name = open(f"/proc/{os.getpid()}/comm").read().strip()  # noqa: PTH123, SIM115
    for port in (stranger.variables["postgresql_port"], stranger.variables["mlflow_port"] + 1):
        assert f"port {port} on 127.0.0.1 is in use by {name} (process {os.getpid()}" in run.failed[0], (program, sys.executable)
    assert "192.0.2.1" in run.failed[0]
    assert run.failed[0].startswith("3 problem(s)")
    assert not stranger.data_dir.exists()


def test_another_platforms_ports_are_refused(platform, stranger):
    """The default of a second installation on one host: every port is the first one's, and the first one goes on."""
    before = platform.lasting()
    ports = {key: value for key, value in platform.variables.items() if key.endswith("_port")}
    run = stranger.run(extra=ports)
    assert run.code != 0
    assert run.stats["changed"] == 0
    assert (
        f"port {ports['postgresql_port']} on 127.0.0.1 is in use by postgres (process {platform.service('postgresql').pid}" in run.failed[0]
    )
    assert not stranger.data_dir.exists()
    assert proc.identities(platform.lasting()) == proc.identities(before)


@pytest.mark.parametrize("answer", ["/", "yes", ""])
def test_reset_wants_the_directory_typed(platform, answer):
    before = platform.lasting()
    run = platform.run("playbooks/reset.yml", extra={"mlops_reset_confirm": answer})
    assert run.code != 0
    assert "nothing was removed" in run.failed[0]
    assert str(platform.data_dir) in run.failed[0]
    assert proc.identities(platform.lasting()) == proc.identities(before)


@pytest.mark.parametrize("playbook", ["down", "verify", "status", "reset"])
def test_playbooks_say_so_where_nothing_is_installed(stranger, playbook):
    run = stranger.run(f"playbooks/{playbook}.yml", extra={"mlops_reset_confirm": str(stranger.data_dir)})
    assert run.code != 0
    assert run.stats["changed"] == 0
    assert "holds no installation" in run.failed[0]
    assert "mlops_data_dir" in run.failed[0]
    assert not stranger.data_dir.exists()
