"""How the benchmark of hosts counts: calls by wrappers of ssh, and seconds by role."""

from __future__ import annotations

import subprocess

import pytest
from benchmarks.bench_hosts import by_role, spread
from lib import systemd_hosts
from lib.systemd_hosts import Hosts


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd_hosts.hosts, "obstacle", lambda: "")
    monkeypatch.setattr(systemd_hosts.shutil, "which", lambda _name: "/bin/true")
    made = Hosts(2, "vm", tmp_path, "v1.34.1+k3s1")
    made.addresses = {"192.0.2.11": "vm1", "192.0.2.12": "vm2"}
    made.wrap()
    return made


def call(hosts, variable, *arguments):
    subprocess.run([hosts.environment[variable], *arguments], check=True)


def test_each_call_counts_for_its_host(hosts):
    call(hosts, "ANSIBLE_SSH_EXECUTABLE", "-C", "-o", "ControlPersist=60s", "192.0.2.11", "/bin/sh -c 'a\nb 192.0.2.12'")
    call(hosts, "ANSIBLE_SSH_EXECUTABLE", "192.0.2.11", "true")
    call(hosts, "ANSIBLE_SFTP_EXECUTABLE", "-b", "-", "[192.0.2.12]")
    assert hosts.calls() == {"vm1": {"ssh": 2}, "vm2": {"sftp": 1}}
    hosts.forget()
    assert hosts.calls() == {"vm1": {}, "vm2": {}}


def test_calls_at_the_same_time_are_counted_one_by_one(hosts):
    programs = [
        subprocess.Popen([hosts.environment["ANSIBLE_SSH_EXECUTABLE"], f"192.0.2.{11 + number % 2}", "x" * 5000]) for number in range(20)
    ]
    assert [program.wait() for program in programs] == [0] * 20
    assert hosts.calls() == {"vm1": {"ssh": 10}, "vm2": {"ssh": 10}}


def test_a_call_to_nobody_is_told(hosts):
    call(hosts, "ANSIBLE_SSH_EXECUTABLE", "198.51.100.1", "true")
    with pytest.raises(LookupError, match=r"198\.51\.100\.1"):
        hosts.calls()


def test_seconds_by_role_add_up_to_the_run():
    tasks = [
        (10.0, "mlops.platform.host : Look"),
        (12.0, "mlops.platform.k3s : Install"),
        (15.0, "Fetch"),
        (15.5, "mlops.platform.host : Look"),
    ]
    events = [{"event": "start", "at": at, "task": task} for at, task in tasks]
    assert by_role(events, 8.0) == {"host": 2.0, "k3s": 3.0, "other": 0.5, "rest": 2.5}


def test_what_is_the_same_on_all_hosts_is_one_number():
    assert (spread([4, 4]), spread([3, 5, 4])) == (4, [3, 5])
