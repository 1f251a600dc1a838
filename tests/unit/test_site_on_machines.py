"""The substrate k3s: what it takes from the cluster that the collection made, how MLflow is reached, and what site.yml reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lib import render_preflight
from lib.render import ROOT, Roles
from lib.render_kubernetes import cluster

MACHINES = {
    "groups": {"k3s": ["vm1", "vm2"], "k3s_servers": ["vm1"], "mlops": ["localhost"]},
    "hostvars": {
        "vm1": {
            "ansible_host": "192.0.2.11",
            "ansible_facts": {"default_ipv4": {"network": "192.0.2.0", "prefix": "25", "gateway": "192.0.2.1"}},
        },
        "vm2": {"ansible_host": "vm2.example.org"},
    },
    "inventory_dir": "/srv/inventory",
}


def node(name, address, labels=None, kind="InternalIP"):
    return {"metadata": {"name": name, "labels": labels or {}}, "status": {"addresses": [{"type": kind, "address": address}]}}


def on_machines(*roles, **given):
    return Roles(*roles, **{"mlops_substrate": "k3s", **MACHINES, **given})


# --- what comes from the cluster's own role ----------------------------------------------------------------------------------------------


def test_the_kubeconfig_is_the_one_that_the_cluster_left():
    assert on_machines().value("mlops_kube") == {"kubeconfig": "/srv/inventory/artifacts/kubeconfig"}
    assert on_machines(k3s_kubeconfig="/a/file").value("mlops_kube.kubeconfig") == "/a/file"
    assert on_machines(mlops_kubeconfig="/mine", k3s_kubeconfig="/a/file").value("mlops_kube.kubeconfig") == "/mine"
    hostvars = {**MACHINES["hostvars"], "vm1": {"k3s_kubeconfig": "/of/the/machines"}}
    assert on_machines(hostvars=hostvars).value("mlops_kube.kubeconfig") == "/of/the/machines"
    assert on_machines(groups={}, hostvars={}).value("mlops_kube.kubeconfig") == "/srv/inventory/artifacts/kubeconfig"


@pytest.mark.parametrize("substrate, given", [("kubernetes", {}), ("openshift", {"k3s_kubeconfig": "/a/file"})])
def test_another_cluster_has_the_defaults_of_before(substrate, given):
    roles = on_machines("mlflow", mlops_substrate=substrate, **given)
    assert (roles.value("mlops_kube"), roles.value("mlops_storage_class")) == ({}, "")
    assert (roles.value("mlflow_expose"), roles.value("mlops_kubectl")) == ("cluster", "kubectl")


def test_volumes_are_on_the_nodes_disks():
    assert on_machines().value("mlops_storage_class") == "local-path"


# --- how MLflow is reached ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given, expose", [({}, "nodeport"), ({"metallb_pool": []}, "nodeport"), ({"metallb_pool": ["a"]}, "loadbalancer")])
def test_mlflow_is_at_a_balancer_where_there_are_addresses_to_give(given, expose):
    assert on_machines("mlflow", **given).value("mlflow_expose") == expose


def test_a_port_of_the_nodes_is_at_all_of_their_addresses_the_control_plane_first():
    nodes = [node("a", "192.0.2.14"), node("b", "192.0.2.11", {"node-role.kubernetes.io/control-plane": "true"})]
    nodes[0]["status"]["addresses"] += [{"type": "Hostname", "address": "a"}, {"type": "ExternalIP", "address": "198.51.100.1"}]
    roles = cluster(mlops_substrate="k3s", mlflow_expose="nodeport", mlflow_entry_found={"resources": nodes})
    assert roles.value("mlflow_names_public") == ["192.0.2.11", "192.0.2.14", "198.51.100.1"]
    assert roles.value("mlflow_public_url") == "https://192.0.2.11:30500"
    assert {"IP:192.0.2.11", "IP:192.0.2.14", "IP:198.51.100.1"} <= set(roles.value("mlflow_certificate_names"))
    assert "192.0.2.14:30500" in roles.value("mlflow_hosts_known")


@pytest.mark.parametrize(
    "given, looked_at",
    [
        ({"mlflow_expose": "nodeport", "mlops_substrate": "k3s"}, True),
        ({"mlflow_expose": "nodeport", "mlops_substrate": "k3s", "mlops_public_names": ["ml.example.org"]}, False),
        # who has one namespace of a cluster may not look at its nodes
        ({"mlflow_expose": "nodeport"}, False),
        ({"mlflow_expose": "loadbalancer"}, False),
        # the namespace that this run has made is there by then
        ({"mlflow_expose": "loadbalancer", "mlflow_entry_wait": True}, True),
    ],
    ids=str,
)
def test_when_the_cluster_is_asked_for_the_address(given, looked_at):
    roles = cluster(**given)
    (block,) = [task for task in roles.tasks("mlflow", "address.yml") if "block" in task]
    # Ansible's conditions hold without a restart of anything: the namespace is missing at the start of this run
    assert roles.variables["mlops_cluster"]["bare"] is True
    assert bool(roles.value(block["when"])) is looked_at


def test_the_summary_says_how_to_ask_the_cluster_and_which_addresses_it_gives():
    given = {
        "ingress_endpoint": {"url": "https://192.0.2.240", "ca": "", "trust": "x"},
        "mlops_started": [],
        "mlflow_admin_username": "admin",
    }
    lines = on_machines("summary", metallb_pool=["192.0.2.240/32"], **given).value("summary_lines")
    assert "cluster   kubectl --kubeconfig /srv/inventory/artifacts/kubeconfig get nodes" in lines
    assert "addresses 192.0.2.240/32 for Services, by MetalLB" in lines
    assert any(line.startswith("password  kubectl --kubeconfig ") for line in lines)
    assert not [
        line for line in on_machines("summary", mlops_substrate="kubernetes", **given).value("summary_lines") if "cluster" in line[:9]
    ]


# --- preflight ---------------------------------------------------------------------------------------------------------------------------


def test_preflight_accepts_the_defaults_and_names_a_cluster_that_was_not_made():
    assert render_preflight.problems("k3s", **MACHINES) == []
    ((what, remedy),) = render_preflight.problems("k3s", preflight_kubeconfig={"stat": {"exists": False}}, **MACHINES)
    assert "/srv/inventory/artifacts/kubeconfig" in what and "site.yml" in remedy
    assert render_preflight.problems("k3s", mlflow_expose="ingress", **MACHINES)


@pytest.mark.parametrize(
    "given, wanted",
    [
        ({}, False),
        ({"metallb_pool": ["a"]}, True),
        ({"metallb_pool": []}, True),
        ({"metallb_state": "absent"}, True),
        ({"metallb_pool": ["a"], "mlops_substrate": "kubernetes"}, True),
        ({"metallb_pool": ["a"], "mlops_substrate": "openshift"}, False),
        ({"metallb_pool": ["a"], "mlops_substrate": "local"}, False),
    ],
    ids=str,
)
def test_when_a_run_sees_to_metallb(given, wanted):
    assert on_machines(**given).value("mlops_metallb") is wanted


def test_pools_are_held_against_the_machines_before_there_is_a_cluster():
    def early(**given):
        return [one["what"] for one in on_machines("metallb", **given).value("metallb_problems_early")]

    assert early(metallb_pool=["192.0.2.100-192.0.2.120"]) == []
    assert early(metallb_pool=["192.0.2.10-192.0.2.12"]) == [
        "pool default: 192.0.2.10-192.0.2.12 holds 192.0.2.11, an address of the node vm1"
    ]
    assert early(metallb_pool=["192.0.2.1/32"]) == ["pool default: 192.0.2.1/32 holds 192.0.2.1, the nodes' gateway"]
    # the facts know the network's length
    assert early(metallb_pool=["192.0.2.200/32"]) == ["pool default: 192.0.2.200/32 is in no network of the nodes (192.0.2.0/25)"]
    for network in ("10.44.9.0/24", "10.45.9.0/24"):
        assert len(early(metallb_pool=[network], metallb_pool_outside=True)) == 1
    assert early(metallb_pool=["10.44.9.0/24"], metallb_pool_outside=True, k3s_pod_network="10.46.0.0/16,2001:db8::/56") == []
    unknown = {**MACHINES["hostvars"], "vm1": {"ansible_host": "192.0.2.11"}}
    assert early(metallb_pool=["203.0.113.7/32"], hostvars=unknown) == []
    assert early(metallb_version="0.15.2") and early(metallb_version="0.15.2", metallb_manifest_sha256="0" * 64) == []


def test_metallbs_addresses_are_held_against_what_the_role_k3s_has_seen():
    """cluster.yml gathers no facts: its own look has the networks of the machines, with the length of their prefixes."""
    seen = {"vm1": {"k3s_state": {"node": {"address": "192.0.2.77", "addresses": ["192.0.2.77/26", "2001:db8::7/64"]}}}, "vm2": {}}
    roles = on_machines("metallb", hostvars=seen, metallb_pool=["192.0.2.77/32", "192.0.2.200/32", "192.0.2.80/32"])
    assert roles.value("metallb_node_networks") == ["192.0.2.77/26", "2001:db8::7/64"]
    assert [one["what"] for one in roles.value("metallb_problems_early")] == [
        "pool default: 192.0.2.77/32 holds 192.0.2.77, an address of the node vm1",
        "pool default: 192.0.2.200/32 is in no network of the nodes (192.0.2.64/26, 2001:db8::/64)",
    ]


# --- the playbooks -----------------------------------------------------------------------------------------------------------------------


def listed(*arguments):
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "site.yml", "--list-hosts", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr + done.stdout
    return done.stdout


def test_without_machines_nothing_of_a_cluster_is_read():
    found = listed()
    assert found.count("play #") == 1 and "(mlops)" in found


def test_the_cluster_comes_first_where_there_are_machines():
    plays = yaml.safe_load((ROOT / "playbooks" / "site_on_machines.yml").read_text(encoding="utf-8"))
    assert [play.get("ansible.builtin.import_playbook") for play in plays] == [None, "cluster.yml", None, "platform.yml"]


def test_nothing_is_done_in_the_cluster_of_a_machine_that_cannot_be_reached(tmp_path):
    machines = {"k3s_servers": {"hosts": {"vm1": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}
    mlops = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
    inventory = {"children": {"k3s": {"children": machines}, "mlops": {"hosts": mlops}}, "vars": {"mlops_substrate": "k3s"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": inventory}))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    program = [Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "hosts.yml", "site.yml"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)
    assert done.returncode != 0 and "nothing was done in the cluster" in done.stdout + done.stderr
    assert "Install, configure and verify the platform" not in done.stdout


def test_what_cannot_be_stops_the_run_before_a_machine_is_touched(tmp_path):
    (play, *_others) = yaml.safe_load((ROOT / "playbooks" / "site_on_machines.yml").read_text(encoding="utf-8"))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    program = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventories/vms", tmp_path / "play.yml"]

    def run(*arguments):
        return subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)

    # the machines of the example are nowhere: none is asked for anything
    done = run("-e", '{"metallb_pool": ["192.0.2.10-192.0.2.12"], "metallb_pools": [{"name": "b", "addresses": ["10.44.0.0/24"]}]}')
    assert done.returncode == 2 and "3 problem(s) with MetalLB; nothing was changed" in done.stdout
    assert "192.0.2.12, an address of the node vm2" in done.stdout and "the pods" in done.stdout
    done = run("-e", "postgresql_engine=embedded", "-e", "mlops_namespace=A_B")
    assert done.returncode == 2 and "2 problem(s) with the platform; nothing was changed" in done.stdout
    assert "postgresql_engine is embedded" in done.stdout and "mlops_namespace is A_B" in done.stdout
    # what only a cluster can tell is not held against one that is not there
    assert run("-e", "postgresql_engine=cloudnative_pg").returncode == 0


@pytest.mark.skipif(not (ROOT / "playbooks" / "cluster.yml").exists(), reason="the play that makes the cluster is not there")
@pytest.mark.parametrize("more", [[], ["--limit", "mlops"], ["--limit", "k3s"]], ids=str)
def test_all_of_it_is_read_with_any_limit(more):
    found = listed("-i", "inventories/vms", *more)
    assert found.index("(k3s") < found.rindex("(mlops)")


@pytest.mark.parametrize("states, batches", [([None, "", ""], [3]), (["", "agent", None], [2, 1])], ids=str)
def test_agents_that_are_none_yet_join_at_once_and_others_in_batches(tmp_path, states, batches):
    (play,) = (play for play in yaml.safe_load((ROOT / "playbooks" / "cluster.yml").read_text()) if play["name"].startswith("Agents"))
    del play["roles"]
    play["tasks"] = [{"ansible.builtin.debug": {"msg": "batch of {{ ansible_play_batch | length }}"}, "run_once": True}]
    see = {"ansible.builtin.set_fact": {"k3s_state": {"node": {"data": "{{ state }}"}}}, "when": "state is not none"}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [see]}, play]))
    agents = {f"vm{number}": {"state": state, "k3s_agent_batch": 2} for number, state in enumerate(states, 1)}
    inventory = {"all": {"children": {"k3s_agents": {"hosts": agents}}, "vars": {"ansible_connection": "local"}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    program = [Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [int(number) for number in re.findall(r"batch of (\d)", done.stdout)] == batches
