"""When K3s is started or restarted, and what counts as healthy, without a systemd."""

from __future__ import annotations

import io
import subprocess

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import k3s_service as units
from ansible_collections.mlops.platform.plugins.modules import k3s_service as module

RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "MainPID": "7",
}
GIVEN = {"role": "server", "node_name": "vm1", "data_dir": "/data", "files": [], "pending": False, "version": "v1.33.5+k3s1"}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Files that K3s is started with, and where the start is noted."""
    monkeypatch.setattr(units, "STARTED", str(tmp_path / "started"))
    (tmp_path / "images").mkdir()
    for name in ("k3s", "config.yaml"):
        (tmp_path / name).write_text(name)
    return tmp_path


def files(host):
    return [str(host / name) for name in ("k3s", "config.yaml", "registries.yaml")], str(host / "images")


def start(host):
    """Note what the service is started with, by the very programs that the unit runs."""
    names, images = files(host)
    command = 'umask 077; { sha256sum "$@"; stat -c "%n %s %Y" ' + images + '/*; } >"$0" 2>/dev/null'
    subprocess.run(["/bin/sh", "-c", command, str(host / "started"), *names], check=False)


def test_what_the_unit_notes_is_what_is_compared(host):
    (host / "images" / "a.tar").write_text("a")
    assert units.outdated(*files(host)) == ["the unit"]
    start(host)
    assert units.outdated(*files(host)) == []


def test_every_difference_is_told_by_its_path(host):
    start(host)
    (host / "config.yaml").write_text("another")
    (host / "registries.yaml").write_text("new")
    (host / "images" / "b.tar").write_text("b")
    assert units.outdated(*files(host)) == sorted(str(host / name) for name in ("config.yaml", "registries.yaml", "images/b.tar"))
    (host / "config.yaml").write_text("config.yaml")
    (host / "registries.yaml").unlink()
    (host / "images" / "b.tar").unlink()
    assert units.outdated(*files(host)) == []


def needed(monkeypatch, state, outdated=(), **given):
    monkeypatch.setattr(units, "state", lambda _unit: {**RUNNING, **state})
    monkeypatch.setattr(units, "outdated", lambda _files, _images: list(outdated))
    return module.needed({**GIVEN, **given}, "k3s.service")[0]


@pytest.mark.parametrize(
    ("state", "outdated", "actions"),
    [
        ({}, [], []),
        ({}, ["/etc/rancher/k3s/config.yaml"], ["restarted"]),
        ({"NeedDaemonReload": "yes"}, [], ["restarted"]),
        ({"UnitFileState": "disabled"}, [], ["enabled"]),
        ({"ActiveState": "inactive", "SubState": "dead"}, [], ["started"]),
        ({"ActiveState": "failed", "SubState": "failed"}, ["/etc/rancher/k3s/token"], ["started"]),
        # one that cannot start: its next try is made now
        ({"ActiveState": "activating", "SubState": "auto-restart"}, [], ["started"]),
        # one that is still starting is waited for
        ({"ActiveState": "activating", "SubState": "start"}, [], []),
        ({"ActiveState": "activating", "SubState": "start"}, ["/etc/rancher/k3s/token"], ["restarted"]),
        ({"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "UnitFileState": ""}, [], ["enabled", "started"]),
    ],
)
def test_what_is_done(monkeypatch, state, outdated, actions):
    assert needed(monkeypatch, state, outdated) == actions


def test_check_mode_knows_that_changed_files_restart(monkeypatch):
    assert needed(monkeypatch, {}, pending=True) == ["restarted"]


class Api:
    def __init__(self, trouble="", **node):
        self.why, self.is_there = trouble, node.pop("there", True)
        self.view = {"ready": True, "reason": "", "version": "v1.33.5+k3s1", "voter": True, **node}

    def trouble(self):
        return self.why

    def node(self, name):
        assert name == "vm1"
        return self.view if self.is_there else None


@pytest.mark.parametrize(
    ("api", "state", "why"),
    [
        (Api(), {}, ""),
        (Api(), {"ActiveState": "activating", "SubState": "start"}, "k3s.service is activating (start)"),
        (Api(), {"MainPID": "6"}, "k3s.service still has the process 6"),
        (Api("[-]etcd failed"), {}, "the API server is not ready: [-]etcd failed"),
        (Api(there=False), {}, "there is no node vm1 yet"),
        (Api(ready=False, reason="no network"), {}, "the node is not Ready: no network"),
        (Api(version="v1.32.0+k3s1"), {}, "the node reports v1.32.0+k3s1 and not v1.33.5+k3s1 yet"),
        (Api(voter=False), {}, "does not vote yet"),
    ],
)
def test_what_is_waited_for(monkeypatch, api, state, why):
    monkeypatch.setattr(units, "state", lambda _unit: {**RUNNING, **state})
    monkeypatch.setattr(module, "server_api", lambda _data: api)
    monkeypatch.setattr(module, "open_url", lambda _url, **_options: io.BytesIO())
    said = module.not_ready(GIVEN, "k3s.service", "6")
    assert said == why if not why else why in said


def test_a_node_that_has_not_joined_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(units, "state", lambda _unit: RUNNING)
    assert "no certificates yet" in module.not_ready({**GIVEN, "role": "agent", "data_dir": str(tmp_path)}, "k3s-agent.service", None)


def test_a_kubelet_that_does_not_answer_is_waited_for(monkeypatch):
    def refused(_url, timeout, **_options):
        raise OSError(f"refused within {timeout} s")

    monkeypatch.setattr(units, "state", lambda _unit: RUNNING)
    monkeypatch.setattr(module, "server_api", lambda _data: Api())
    monkeypatch.setattr(module, "open_url", refused)
    assert "refused" in module.not_ready(GIVEN, "k3s.service", None)


def test_a_failure_quotes_the_journal_and_says_what_to_do(monkeypatch):
    lines = ['time="x" level=error msg="token CA hash does not match the Cluster CA certificate hash: a != b"']
    monkeypatch.setattr(module.k3s_journal, "read", lambda _unit, _since: lines * 3)
    said = module.explanation(GIVEN, "k3s.service", 0, "not healthy after 300 s")
    assert "K3s on vm1: not healthy after 300 s" in said
    assert "  token CA hash does not match" in said
    assert "What to do: the token is not the cluster's" in said
    assert module.hopeless("k3s.service", 0)
    monkeypatch.setattr(module.k3s_journal, "read", lambda _unit, _since: lines)
    # once may be chance, such as a server that was just restarting
    assert not module.hopeless("k3s.service", 0)
