"""The modules and the role k3d against a stand-in for k3d and Docker, and what the platform's roles take from it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lib import render_preflight
from lib.modules import run_in_process, run_module
from lib.render import ROOT, Roles, within
from lib.render_kubernetes import cluster

STANDIN = ROOT / "tests" / "lib" / "k3d_program.py"
CONFIG = {"servers": 1, "agents": 0, "image": "docker.io/rancher/k3s:v1.35.8-k3s1", "ports": [{"port": "127.0.0.1:34500:30500"}]}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """k3d and docker in PATH; the directory of the stand-in's state."""
    folder, state = tmp_path / "bin", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    for name in ("k3d", "docker"):
        (folder / name).write_text(f"#!/usr/bin/env python3\n{STANDIN.read_text()}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN_STATE", str(state))
    return state


def asked(state):
    """Return the commands that changed something since the last call."""
    log = state / "log"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return [
        " ".join(line[1:3])
        for line in lines
        if line[:3] not in (["k3d", "cluster", "list"], ["k3d", "kubeconfig", "get"]) and line[0] == "k3d"
    ]


def make(tmp_path, check=False, config=None, run=run_in_process, **more):
    arguments = {
        "name": "mlops",
        "directory": str(tmp_path / "notes"),
        "kubeconfig": str(tmp_path / "kubeconfig"),
        "config": CONFIG if config is None else config,
        **more,
    }
    return run("k3d_cluster", arguments, check=check)


# --- k3d_cluster --------------------------------------------------------------------------------------------------------------------------


def test_a_cluster_is_made_once(programs, tmp_path):
    assert make(tmp_path, check=True)["actions"] == ["created", "kubeconfig"]
    assert asked(programs) == [] and not (tmp_path / "notes").exists()
    assert make(tmp_path)["actions"] == ["created", "kubeconfig"]
    assert asked(programs) == ["cluster create"]
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600
    note = tmp_path / "notes" / "mlops.yaml"
    assert note.stat().st_mode & 0o777 == 0o600 and (tmp_path / "notes").stat().st_mode & 0o777 == 0o700
    assert json.loads(note.read_text())["metadata"] == {"name": "mlops"}
    for check in (True, False):
        assert make(tmp_path, check=check)["changed"] is False
    assert asked(programs) == []


def test_another_configuration_is_refused_in_words(programs, tmp_path):
    make(tmp_path)
    asked(programs)
    other, secret = {**CONFIG, "agents": 2}, {"registries": {"create": {"proxy": {"password": "hush"}}}}
    for check in (True, False):
        result = make(tmp_path, check=check, config=other, secret_config=secret)
        assert result["failed"] and result["differences"] == ["agents: 0 -> 2", "registries"]
        assert "agents: 0 -> 2; registries" in result["msg"] and "k3d_recreate=true" in result["msg"] and "hush" not in json.dumps(result)
    assert asked(programs) == []


def test_it_is_made_anew_where_that_is_asked_for(programs, tmp_path):
    make(tmp_path)
    before = (tmp_path / "kubeconfig").read_text()
    asked(programs)
    other = {**CONFIG, "agents": 2}
    assert make(tmp_path, check=True, config=other, recreate=True)["actions"] == ["deleted", "created", "kubeconfig"]
    assert asked(programs) == []
    assert make(tmp_path, config=other, recreate=True)["actions"] == ["deleted", "created", "kubeconfig"]
    assert asked(programs) == ["cluster delete", "cluster create"]
    assert (tmp_path / "kubeconfig").read_text() != before
    assert make(tmp_path, config=other, recreate=True)["changed"] is False


def test_a_cluster_of_others_is_compared_by_what_is_seen(programs, tmp_path):
    make(tmp_path)
    (tmp_path / "notes" / "mlops.yaml").unlink()
    assert make(tmp_path)["changed"] is False
    wanted = {"agents": 1, "image": "docker.io/rancher/k3s:v1.36.4-k3s1", "ports": [{"port": "127.0.0.1:34501:30501"}]}
    assert make(tmp_path, config=wanted)["differences"] == [
        "agents: 0 -> 1",
        'image: "rancher/k3s:v1.35.8-k3s1" -> "docker.io/rancher/k3s:v1.36.4-k3s1"',
        'ports: "without 34501" -> "with them"',
    ]


def test_a_stopped_cluster_is_started(programs, tmp_path):
    make(tmp_path)
    clusters = json.loads((programs / "clusters.json").read_text())
    clusters["mlops"]["serversRunning"] = 0
    (programs / "clusters.json").write_text(json.dumps(clusters))
    asked(programs)
    assert make(tmp_path, check=True)["changed"] and asked(programs) == []
    assert make(tmp_path)["actions"] == ["started"] and asked(programs) == ["cluster start"]


def test_an_interrupted_creation_is_done_again(programs, tmp_path):
    (programs / "create-killed").touch()
    # the module is killed with it
    with pytest.raises(AssertionError):
        make(tmp_path, run=run_module)
    (programs / "create-killed").unlink()
    assert not (tmp_path / "notes" / "mlops.yaml").exists()
    assert make(tmp_path)["actions"] == ["removed an unfinished one", "created", "kubeconfig"]
    assert make(tmp_path)["changed"] is False


def test_k3ds_own_words_are_quoted(programs, tmp_path):
    (programs / "create-fails").touch()
    assert "port is already allocated" in make(tmp_path)["msg"]
    (programs / "create-fails").unlink()
    assert "Additional property nodes is not allowed" in make(tmp_path, config={"nodes": 3})["msg"]
    assert make(tmp_path)["actions"] == ["created", "kubeconfig"]


def test_removal(programs, tmp_path):
    arguments = {"state": "absent", "config": None}
    make(tmp_path, secret_config={"registries": {"config": "mirrors: {}"}})
    asked(programs)
    assert make(tmp_path, check=True, **arguments)["changed"] and asked(programs) == []
    assert make(tmp_path, **arguments)["actions"][0] == "deleted" and asked(programs) == ["cluster delete"]
    assert not (tmp_path / "kubeconfig").exists() and list((tmp_path / "notes").iterdir()) == []
    assert make(tmp_path, **arguments)["changed"] is False


def test_without_the_program_check_mode_predicts_a_cluster(tmp_path):
    missing = str(tmp_path / "k3d")
    assert make(tmp_path, check=True, program=missing)["actions"] == ["created", "kubeconfig"]
    assert "there is no program" in make(tmp_path, program=missing)["msg"]
    assert make(tmp_path, program=missing, state="absent", config=None)["changed"] is False


# --- k3d_images ---------------------------------------------------------------------------------------------------------------------------


def bring(tmp_path, images, check=False):
    return run_in_process("k3d_images", {"name": "mlops", "images": images, "directory": str(tmp_path / "notes")}, check=check)


def test_images_are_imported_once_for_each_cluster(programs, tmp_path):
    archive = tmp_path / "a.tar"
    archive.write_text("an archive")
    (programs / "image-r_x:1").write_text("sha256:1")
    images = ["r/x:1", str(archive)]
    assert "there is no cluster" in bring(tmp_path, images)["msg"]
    assert bring(tmp_path, images, check=True)["imported"] == images
    make(tmp_path)
    asked(programs)
    assert bring(tmp_path, images, check=True)["imported"] == images and asked(programs) == []
    assert bring(tmp_path, images)["imported"] == images and asked(programs) == ["image import"]
    assert bring(tmp_path, images)["changed"] is False
    # built anew
    (programs / "image-r_x:1").write_text("sha256:2")
    assert bring(tmp_path, images)["imported"] == ["r/x:1"]
    make(tmp_path, config={**CONFIG, "agents": 1}, recreate=True)
    assert bring(tmp_path, images)["imported"] == images
    assert "neither an archive nor an image" in bring(tmp_path, ["r/y:1"])["msg"]


# --- k3d_info -----------------------------------------------------------------------------------------------------------------------------


def look(**more):
    return run_in_process("k3d_info", {"name": "mlops", **more})


def test_everything_in_the_way_is_told_together(programs):
    assert (look()["problems"], look()["exists"]) == ([], False)
    (programs / "docker-down").touch()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        found = look(ports=[port])["problems"]
    assert len(found) == 2 and "daemon does not answer" in found[0]["what"] and f"port {port}" in found[1]["what"]
    assert all(problem["remedy"] for problem in found)
    (programs / "docker-down").unlink()
    (programs / "docker-denied").touch()
    assert "usermod -aG docker" in look()["problems"][0]["remedy"]
    (problem,) = look(docker="no-such-docker")["problems"]
    assert "no-such-docker is not there" in problem["what"] and "Docker Desktop" in problem["remedy"]


def test_ports_that_the_cluster_holds_are_free_for_it(programs, tmp_path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        make(tmp_path, config={**CONFIG, "ports": [{"port": f"127.0.0.1:{port}:30500"}]})
        assert look(ports=[port])["problems"] == [] and look()["exists"]
        assert len(look(name="other", ports=[port])["problems"]) == 1


# --- the role -----------------------------------------------------------------------------------------------------------------------------

FOUND = {"problems": [], "exists": False, "system": "linux-amd64"}


def role(**given):
    facts = {"inventory_dir": "/srv/inventory", "mlops_substrate": "k3d", "k3d_found": FOUND}
    return Roles("k3d", **{**facts, **within("k3d"), **given})


def problems(**given):
    return role(**given).value("k3d_problem_lines")


def test_the_configuration_is_what_k3d_reads(programs, tmp_path):
    config = role().value("k3d_configuration")
    assert config["ports"][2] == {"port": "127.0.0.1:30500:30500", "nodeFilters": ["loadbalancer"]}
    assert config["kubeAPI"] == {"host": "localhost", "hostIP": "127.0.0.1", "hostPort": "6550"}
    assert config["options"]["kubeconfig"] == {"updateDefaultKubeconfig": False, "switchCurrentContext": False}
    given = {
        "k3d_ingress": True,
        "k3d_traefik": False,
        "k3d_registry_port": 5050,
        "k3d_config": {"options": {"k3d": {"disableRollback": True}}},
    }
    config = role(**given).value("k3d_configuration")
    assert [one["port"] for one in config["ports"]][-2:] == ["127.0.0.1:80:80", "127.0.0.1:443:443"]
    assert config["registries"]["create"] == {"name": "k3d-mlops-registry", "host": "127.0.0.1", "hostPort": "5050"}
    assert config["options"]["k3d"] == {"wait": True, "timeout": "300s", "disableRollback": True}
    assert config["options"]["k3s"]["extraArgs"] == [{"arg": "--disable=traefik", "nodeFilters": ["server:*"]}]
    assert make(tmp_path, config=config)["actions"] == ["created", "kubeconfig"]


def test_k3s_is_the_version_that_is_pinned():
    assert role().value("k3d_image").endswith(Roles("k3s").value("k3s_version").replace("+", "-"))


@pytest.mark.parametrize(
    "given, word",
    [
        ({}, None),
        ({"k3d_ingress": True}, None),
        ({"k3d_name": "Not_This"}, "k3d_name"),
        ({"k3d_servers": 2}, "odd number"),
        ({"k3d_ports": [30500, 30500]}, "used twice"),
        ({"k3d_ports": [80, 30500]}, "NodePorts are"),
        ({"k3d_ports": [30080]}, "30500"),
        ({"mlflow_expose": "ingress"}, "k3d_ingress"),
        ({"k3d_ingress": True, "k3d_https_port": 8443}, "mlflow_public_port"),
        ({"k3d_ingress": True, "k3d_https_port": 8443, "mlflow_public_port": 8443}, None),
        ({"k3d_version": "5.9.0"}, "no checksum of k3d 5.9.0"),
        ({"k3d_version": "5.9.0", "k3d_sha256": "a" * 64}, None),
        ({"k3d_found": {**FOUND, "system": "linux-riscv64"}}, "linux-riscv64"),
        ({"k3d_found": {**FOUND, "system": "linux-riscv64"}, "k3d_program": "/usr/bin/k3d"}, None),
    ],
    ids=str,
)
def test_variables_that_cannot_be_are_refused(given, word):
    found = problems(**given)
    assert len(found) == (word is not None) and (word is None or word in found[0])


def test_the_program_comes_from_its_release_or_the_mirror():
    path = "github.com/k3d-io/k3d/releases/download/v5.8.3/k3d-linux-amd64"
    assert role().value("k3d_download") == f"https://{path}"
    assert role(mlops_mirror="http://m").value("k3d_download") == f"http://m/{path}"


# --- the platform in it -------------------------------------------------------------------------------------------------------------------


def test_the_platform_takes_the_cluster():
    given = {"mlops_substrate": "k3d", "inventory_dir": "/srv/inventory"}
    roles = Roles("mlflow", **given)
    assert roles.value("mlops_kube") == {"kubeconfig": "/srv/inventory/artifacts/kubeconfig"}
    assert Roles(**given, k3d_kubeconfig="/mine").value("mlops_kubectl") == "kubectl --kubeconfig /mine"
    assert (roles.value("mlops_storage_class"), roles.value("mlops_metallb")) == ("local-path", False)
    assert roles.value("mlflow_expose") == "nodeport"
    assert Roles("mlflow", **given, k3d_ingress=True).value("mlflow_expose") == "ingress"


def test_mlflow_is_at_this_machines_own_port():
    roles = cluster(mlops_substrate="k3d", mlflow_expose="nodeport")
    assert roles.value("mlflow_public_url") == "https://localhost:30500"
    assert {"DNS:localhost", "IP:127.0.0.1"} <= set(roles.value("mlflow_certificate_names"))
    (block,) = [task for task in roles.tasks("mlflow", "address.yml") if "block" in task]
    # the nodes' own addresses are Docker's
    assert not roles.value(block["when"])


def test_preflight_accepts_the_defaults_and_names_a_cluster_that_was_not_made():
    given = {"inventory_dir": "/srv/inventory"}
    assert render_preflight.problems("k3d", **given) == []
    assert render_preflight.problems("k3d", mlflow_expose="ingress", **given) == []
    ((what, remedy),) = render_preflight.problems("k3d", preflight_kubeconfig={"stat": {"exists": False}}, **given)
    assert "mlops_substrate is k3d" in what and "group k3d" in remedy and "k3d_kubeconfig" in remedy


def test_site_yml_makes_the_cluster_first():
    plays = yaml.safe_load((ROOT / "playbooks" / "site_in_containers.yml").read_text(encoding="utf-8"))
    assert [play.get("hosts") or play["ansible.builtin.import_playbook"] for play in plays] == ["k3d", "platform.yml"]


def play(playbook, programs, inventory, *arguments):
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_the_playbooks_make_and_remove_a_cluster(programs, tmp_path):
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / "k3d", inventory)
    # below those that the kernel gives to connections: one of these may hold any other
    ports = {"k3d_api_port": 17650, "k3d_ports": [], "mlflow_expose": "cluster", "k3d_program": str(tmp_path / "bin" / "k3d")}
    given = ["-e", json.dumps(ports)]
    seen = play("site.yml", programs, inventory, *given, "--check", "--diff")
    # the cluster, and then no more than that a real run makes it first
    assert seen.returncode == 0 and "changed=2 " in seen.stdout and "a real run makes the cluster first" in seen.stdout, seen.stdout
    # the platform needs a real cluster
    (making, _platform) = yaml.safe_load((ROOT / "playbooks" / "site_in_containers.yml").read_text(encoding="utf-8"))
    (tmp_path / "make.yml").write_text(yaml.safe_dump([making]))
    first = play(tmp_path / "make.yml", programs, inventory, *given)
    assert first.returncode == 0 and (inventory / "artifacts" / "kubeconfig").stat().st_mode & 0o777 == 0o600, first.stdout
    second = play(tmp_path / "make.yml", programs, inventory, *given)
    assert second.returncode == 0 and "changed=0 " in second.stdout, second.stdout
    refused = play("playbooks/k3d_remove.yml", programs, inventory, *given)
    assert refused.returncode == 2 and "-e k3d_remove=mlops" in refused.stdout
    gone = play("playbooks/k3d_remove.yml", programs, inventory, *given, "-e", "k3d_remove=mlops")
    assert gone.returncode == 0 and not (inventory / "artifacts" / "kubeconfig").exists(), gone.stdout
