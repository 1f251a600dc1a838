"""Wrong input stops before anything is touched, in words that name the variable and what would be right."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from lib import platform_proc as proc
from lib.platform import PORTS, Platform

# variables that can be wrong together, and what the one message must say of each
WRONG = {
    "bucket name": ({"object_store_bucket": "My_Bucket"}, ["object_store_bucket", "My_Bucket", "lower-case"]),
    "port out of range": ({"mlops_https_port": 70000}, ["mlops_https_port", "65535"]),
    "port whose gRPC port is out of range": ({"object_store_s3_port": 60000}, ["object_store_s3_port", "10000 above"]),
    "unknown permission": ({"mlflow_default_permission": "ALL"}, ["mlflow_default_permission", "NO_PERMISSIONS", "ALL"]),
    "public name that is none": ({"mlops_public_names": ["a b"]}, ["mlops_public_names", "a b"]),
    "address of another host": ({"mlops_bind_address": "192.0.2.1"}, ["mlops_bind_address", "192.0.2.1"]),
    "interpreter that is none": ({"mlops_python": "/bin/false"}, ["mlops_python", "/bin/false"]),
    "one port twice": ({"postgresql_port": PORTS + 20}, ["postgresql_port", "mlflow_port", str(PORTS + 20)]),
    "short password": ({"mlflow_admin_password": "kurz-9x"}, ["mlflow_admin_password", "12"]),
    "certificate without its key": ({"ingress_tls_certificate": "/tmp/none.pem"}, ["ingress_tls_certificate", "ingress_tls_key"]),
}
# what makes the other checks meaningless, so that each needs a run of its own
ALONE = {
    "data directory with a space": (
        {"mlops_data_dir": "/var/lib/mlops test"},
        ["/var/lib/mlops test", "mlops_data_dir", "letters, digits"],
    ),
    "data directory that is too long": ({"mlops_data_dir": "/var/lib/" + "x" * 80}, ["longer than 75", "mlops_data_dir"]),
    "data directory that is relative": ({"mlops_data_dir": "var/lib/mlops"}, ["var/lib/mlops", "mlops_data_dir", "absolute"]),
    "types": (
        {"postgresql_port": "many", "postgresql_settings": ["a"], "mlflow_processes": 50, "mlops_substrate": "moon"},
        ["postgresql_port", "many", "postgresql_settings", "mlflow_processes", "50", "mlops_substrate", "moon", "local"],
    ),
    "service user root": ({"mlops_service_user": "root"}, ["mlops_service_user", "root"]),
}


def refusal(run):
    """Return the one message with which a run was refused."""
    assert run.code != 0
    assert run.stats["changed"] == 0, run.changed
    assert len(run.failed) == 1, run.failed
    return run.failed[0]


@pytest.fixture(scope="module")
def refused(platform):
    """The message of one run with all of WRONG, at its loudest."""
    extra = {key: value for case, _words in WRONG.values() for key, value in case.items()}
    with platform.untouched():
        return platform.run("site.yml", "-vvv", extra=extra)


@pytest.mark.parametrize("case", WRONG)
def test_all_that_is_wrong_is_told_in_one_run(refused, case):
    message = refusal(refused)
    for word in WRONG[case][1]:
        assert word in message, word


def test_a_refused_password_is_never_shown(refused):
    assert "kurz-9x" not in refused.output


@pytest.mark.parametrize("case", ALONE)
def test_wrong_input_is_refused_before_anything_is_touched(platform, case):
    extra, words = ALONE[case]
    if not platform.root and "mlops_service_user" in extra:
        pytest.skip("only root installs for another user")
    with platform.untouched():
        message = refusal(platform.run(extra=extra))
    for word in words:
        assert word in message, word


@pytest.fixture
def stranger():
    """A platform that is to be installed elsewhere, and is not."""
    platform = Platform.new(ports=PORTS + 400, name="mlops-stranger")
    yield platform
    platform.reset()


def test_a_foreign_directory_is_left_alone(stranger):
    stranger.data_dir.mkdir()
    (stranger.data_dir / "thesis.txt").write_text("the only copy")
    status = stranger.data_dir.stat()
    for check in (True, False):
        message = refusal(stranger.run(check=check))
        for word in (str(stranger.data_dir), "left untouched", "mlops_data_dir"):
            assert word in message
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
    name = Path("/proc/self/comm").read_text().strip()
    for port in (stranger.variables["postgresql_port"], stranger.variables["mlflow_port"] + 1):
        assert f"port {port} on 127.0.0.1 is in use by {name} (process {os.getpid()}" in run.failed[0]
    assert "192.0.2.1" in run.failed[0]
    assert "3 problem(s)" in run.failed[0]
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


def test_a_superuser_whose_password_nobody_knows_is_told(platform):
    """Neither the password that is kept nor one that it replaced: the run stops there, and says where the password should be."""
    secret, real = "postgresql_superuser_password", platform.secret("postgresql_superuser_password")
    previous = platform.data_dir / "secrets" / f"{secret}.previous"
    with platform.database("postgres") as cursor:
        cursor.execute("ALTER ROLE postgres PASSWORD 'changed by hand'")
        try:
            previous.touch(mode=0o600)
            previous.write_text("neither is this\n")
            with platform.untouched():
                message = refusal(platform.run(tags="postgresql"))
        finally:
            cursor.execute("ALTER ROLE postgres PASSWORD %s", (real,))
            previous.unlink(missing_ok=True)
    assert "the superuser cannot log in" in message
    assert str(platform.data_dir / "secrets" / secret) in message
    platform.run(tags="postgresql").unchanged()


@pytest.mark.parametrize("answer", ["yes", ""])
def test_reset_wants_the_directory_typed(platform, answer):
    with platform.untouched():
        message = refusal(platform.run("playbooks/reset.yml", extra={"mlops_reset_confirm": answer}))
    assert "nothing was removed" in message
    assert str(platform.data_dir) in message


@pytest.mark.parametrize("playbook", ["down", "verify", "status", "reset"])
def test_playbooks_say_so_where_nothing_is_installed(stranger, playbook):
    run = stranger.run(f"playbooks/{playbook}.yml", extra={"mlops_reset_confirm": str(stranger.data_dir)})
    assert run.code != 0
    assert run.stats["changed"] == 0
    assert "holds no installation" in run.failed[0]
    assert "mlops_data_dir" in run.failed[0]
    assert not stranger.data_dir.exists()
