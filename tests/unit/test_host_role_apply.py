"""How the modules of roles/host act on a machine: what is run, in which order, and what is put back; programs are stood in for."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.action import host_look as action
from ansible_collections.mlops.platform.plugins.module_utils import (
    host_firewall,
    host_firewall_firewalld,
    host_firewall_nftables,
    host_firewall_ufw,
)
from ansible_collections.mlops.platform.plugins.modules import host_look
from lib.modules import run_module

RULES = [{"name": "kubelet", "protocol": "tcp", "ports": ["10250"], "sources": ["192.0.2.11", "192.0.2.12"]}]


class Programs:
    """Stands in for the firewalls' programs: remembers what was run, and answers as it is told."""

    def __init__(self, monkeypatch, **answers):
        self.ran = []
        self.answers = {"--version": "1.3.3", **answers}
        self.states = {"active": "inactive", "enabled": "disabled"}
        monkeypatch.setattr(host_firewall, "run", self.run)
        monkeypatch.setattr(host_firewall, "unit_states", lambda *names: dict.fromkeys(names, tuple(self.states.values())))
        monkeypatch.setattr(host_firewall, "start", lambda unit: self.ran.append(f"start {unit}"))

    def run(self, *argv, ok=(0,)):
        line = " ".join(argv)
        self.ran.append(line)
        found = next((answer for words, answer in self.answers.items() if words in line), "")
        if isinstance(found, Exception):
            if ok:
                raise found
            return 1, ""
        return 0, found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place of its own for all files."""
    monkeypatch.setattr(host_firewall, "RECORD", str(tmp_path / "record.json"))
    monkeypatch.setattr(host_firewall_nftables, "FILE", str(tmp_path / "nftables.d/mlops-host.nft"))
    monkeypatch.setattr(host_firewall_nftables, "MAIN_FILES", (str(tmp_path / "none/nftables.conf"), str(tmp_path / "nftables.conf")))
    monkeypatch.setattr(host_firewall_nftables, "_installed", lambda: True)
    monkeypatch.setattr(host_firewall_firewalld, "ROOT", str(tmp_path / "firewalld"))
    (tmp_path / "nftables.conf").write_text("#!/usr/sbin/nft -f\nflush ruleset\n")
    (tmp_path / "nftables.conf").chmod(0o755)
    return tmp_path


# --- nftables ----------------------------------------------------------------------------------------------------------------------------


def test_nftables_is_checked_loaded_and_enabled_and_never_started(place, monkeypatch):
    programs = Programs(monkeypatch, **{"list table": host_firewall.FirewallError("no table")})
    files = host_firewall.Files(False)
    assert host_firewall_nftables.configure(files, RULES, [], [22])
    loads = [line.split(str(place))[0].strip() for line in programs.ran if not line.startswith("nft --json")]
    assert loads == ["nft --check --file", "nft --file", "systemctl enable nftables.service"]
    main = place / "nftables.conf"
    assert main.read_text().endswith('include "/etc/nftables.d/*.nft"\n') and main.stat().st_mode & 0o777 == 0o755
    assert json.loads((place / "record.json").read_text()) == {"was_on": False}


def test_nftables_that_is_as_it_should_be_is_left(place, monkeypatch):
    _text, mark, count = host_firewall_nftables.render(RULES, [], [22])
    rules = [{"rule": {"comment": mark}}] + [{"rule": {}}] * (count - 1)
    programs = Programs(monkeypatch, **{"list table": json.dumps({"nftables": [{"chain": {"policy": "drop"}}, *rules]})})
    programs.states["enabled"] = "enabled"
    host_firewall_nftables.configure(host_firewall.Files(False), RULES, [], [22])
    files = host_firewall.Files(False)
    programs.ran.clear()
    assert not host_firewall_nftables.configure(files, RULES, [], [22])
    assert files.changed == [] and not [line for line in programs.ran if line.startswith("nft --file")]


def test_nftables_that_refuses_keeps_what_it_had(place, monkeypatch):
    Programs(monkeypatch)
    host_firewall_nftables.configure(host_firewall.Files(False), RULES, [], [22])
    before = (place / "nftables.d/mlops-host.nft").read_text()
    programs = Programs(monkeypatch, **{"--check": host_firewall.FirewallError("syntax error")})
    with pytest.raises(host_firewall.FirewallError, match="syntax error"):
        host_firewall_nftables.configure(host_firewall.Files(False), [], [], [22])
    assert (place / "nftables.d/mlops-host.nft").read_text() == before
    assert not [line for line in programs.ran if line.startswith("nft --file")]


def test_nftables_is_brought_back_to_what_it_was(place, monkeypatch):
    before = (place / "nftables.conf").read_text()
    Programs(monkeypatch)
    host_firewall_nftables.configure(host_firewall.Files(False), RULES, [], [22])
    programs = Programs(monkeypatch, **{"list table": "{}"})
    programs.states["enabled"] = "enabled"
    assert host_firewall_nftables.remove(host_firewall.Files(False))
    assert (place / "nftables.conf").read_text() == before
    assert not (place / "nftables.d").exists()
    assert "nft delete table inet mlops_host" in programs.ran and "systemctl disable nftables.service" in programs.ran


def test_check_mode_writes_nothing_and_shows_it(place, monkeypatch):
    programs = Programs(monkeypatch, **{"list table": host_firewall.FirewallError("no table")})
    files = host_firewall.Files(True)
    assert host_firewall_nftables.configure(files, RULES, [], [22])
    assert sorted(path.name for path in place.iterdir()) == ["nftables.conf"]
    assert [line for line in programs.ran if "list table" not in line] == []
    assert any('comment "kubelet"' in entry["after"] for entry in files.diff)


# --- firewalld ---------------------------------------------------------------------------------------------------------------------------


def test_firewalld_that_is_off_is_started_and_one_that_runs_is_reloaded(place, monkeypatch):
    programs = Programs(monkeypatch)
    assert host_firewall_firewalld.configure(host_firewall.Files(False), RULES, ["10.44.0.0/16"], [22])
    assert "start firewalld.service" in programs.ran and "firewall-cmd --reload" not in programs.ran
    programs.states.update(active="active", enabled="enabled")
    programs.ran.clear()
    files = host_firewall.Files(False)
    # other nodes: the set of the old ones goes
    assert host_firewall_firewalld.configure(files, [{**RULES[0], "sources": ["192.0.2.11", "192.0.2.13"]}], ["10.44.0.0/16"], [22])
    assert "firewall-cmd --reload" in programs.ran
    assert len(list((place / "firewalld/ipsets").iterdir())) == 1 and len(files.changed) == 3


def test_firewalld_that_refuses_keeps_what_it_had(place, monkeypatch):
    Programs(monkeypatch)
    host_firewall_firewalld.configure(host_firewall.Files(False), RULES, [], [22])
    kept = {path: path.read_text() for path in (place / "firewalld").rglob("*.xml")}
    programs = Programs(monkeypatch, **{"--check-config": host_firewall.FirewallError("INVALID_PORT")})
    programs.states.update(active="active", enabled="enabled")
    with pytest.raises(host_firewall.FirewallError, match="INVALID_PORT"):
        host_firewall_firewalld.configure(host_firewall.Files(False), [], ["10.44.0.0/16"], [22])
    assert {path: path.read_text() for path in (place / "firewalld").rglob("*.xml")} == kept
    assert "firewall-cmd --reload" not in programs.ran


def test_a_rule_that_somebody_took_from_the_running_firewalld_comes_back(place, monkeypatch):
    programs = Programs(monkeypatch)
    programs.states.update(active="active", enabled="enabled")
    host_firewall_firewalld.configure(host_firewall.Files(False), RULES, [], [22])
    answers = {"--permanent --policy=mlops-in": "mlops-in\n  ports: 22/tcp\n", "--policy=mlops-in": "mlops-in (active)\n  ports: 22/tcp\n"}
    programs.answers = {"--version": "1.3.3", **answers}
    assert not host_firewall_firewalld.configure(host_firewall.Files(False), RULES, [], [22])
    programs.answers = {"--version": "1.3.3", **answers, "--permanent --policy=mlops-in": "mlops-in\n  ports: 22/tcp 80/tcp\n"}
    assert host_firewall_firewalld.configure(host_firewall.Files(False), RULES, [], [22])


# --- ufw ---------------------------------------------------------------------------------------------------------------------------------


def test_ufw_opens_ssh_before_it_is_switched_on_and_closes_last(place, monkeypatch):
    stale = "ufw allow from 192.0.2.99 to any port 10250 proto tcp comment 'mlops kubelet'\nufw allow 22/tcp\n"
    programs = Programs(monkeypatch, **{"show added": stale, "ufw status": "Status: inactive\n"})
    assert host_firewall_ufw.configure(host_firewall.Files(False), RULES, [], [22, 2222])
    acts = [line.removeprefix("/usr/sbin/ufw ") for line in programs.ran if "show" not in line and "ufw status" not in line]
    # port 22 is somebody's already, and stays his
    assert acts == [
        "allow 2222/tcp comment mlops ssh",
        "allow from 192.0.2.11 to any port 10250 proto tcp comment mlops kubelet",
        "allow from 192.0.2.12 to any port 10250 proto tcp comment mlops kubelet",
        "delete allow from 192.0.2.99 to any port 10250 proto tcp",
        "--force enable",
        "systemctl enable ufw.service",
    ]


# --- the look ----------------------------------------------------------------------------------------------------------------------------


def test_the_look_returns_what_it_documents_and_changes_nothing():
    result = run_module("host_look", {"packages": {"Debian": ["no-such-package"], "RedHat": ["no-such-package"]}})
    assert not result.get("failed") and result["changed"] is False
    assert set(result["host"]) == set(yaml.safe_load(host_look.RETURN)["host"]["contains"])
    assert "no-such-package" in result["host"]["missing_packages"] or not result["host"]["distribution"]["family"]
    assert result["host"]["root"] == (os.geteuid() == 0)
    assert all(problem["what"] and problem["remedy"] for problem in result["problems"])


@pytest.mark.parametrize("ahead", [0.0, 30.0, -30.0])
def test_the_clock_is_between_the_two_ends_of_the_call(monkeypatch, ahead):
    times = iter([1000.0, 1002.0])
    monkeypatch.setattr(action.time, "time", lambda: next(times))
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = type("Task", (), {"args": {}})()
    monkeypatch.setattr(action.ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(plugin, "_execute_module", lambda **_options: {"host": {"clock": {"time": 1001.5 + ahead}}})
    assert plugin.run(None, {})["clock"] == {"least": ahead - 0.5, "most": ahead + 1.5}
    # a module that failed has none
    times = iter([1000.0, 1002.0])
    monkeypatch.setattr(plugin, "_execute_module", lambda **_options: {"failed": True})
    assert "clock" not in plugin.run(None, {})
