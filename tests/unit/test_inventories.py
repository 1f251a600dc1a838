"""The inventories that users copy: each is read by Ansible, names variables that exist, and passes the rules of preflight."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from lib import render_preflight
from lib.render import ROOT

INVENTORIES = sorted(path.name for path in (ROOT / "inventories").iterdir())
ON_MACHINES = ["vm", "vms"]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def text(name):
    return (ROOT / "inventories" / name / "hosts.yml").read_text(encoding="utf-8")


def read(name):
    return InventoryManager(loader=DataLoader(), sources=[str(ROOT / "inventories" / name)])


def known():
    """Return the variables of all roles that are there."""
    files = [ROOT / "roles" / role / "meta" / "argument_specs.yml" for role in ROLES]
    specs = [next(iter(yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"].values())) for file in files]
    return {name for spec in specs for name in spec.get("options") or {}}


def variables(name):
    """Return what an inventory sets for the group mlops and for all."""
    found = {}
    for group in ("all", "mlops"):
        found |= read(name).groups[group].get_vars()
    return found


@pytest.mark.parametrize("name", INVENTORIES)
def test_the_platform_has_one_host_that_is_this_machine(name):
    (host,) = read(name).get_hosts("mlops")
    assert host.vars["ansible_connection"] == "local"
    assert variables(name).get("mlops_substrate", "local") == ("k3s" if name in ON_MACHINES else name)


@pytest.mark.parametrize("name", INVENTORIES)
def test_every_variable_exists_also_those_that_are_commented_out(name):
    named = set(re.findall(r"^ +(?:# )?([a-z0-9]+_[a-z0-9_]+):", text(name), re.M))
    owned = {one for one in named if one.partition("_")[0] in {"mlops", *(role.partition("_")[0] for role in ROLES)}}
    # the children of a group are no variables
    assert owned - known() - {"k3s_servers", "k3s_agents"} == set()


@pytest.mark.parametrize("name", INVENTORIES)
def test_what_is_commented_out_is_yaml_too(name):
    uncommented = re.sub(r"^( +)# (?=[a-z0-9]+_[a-z0-9_]+: )", r"\1", text(name), flags=re.M)
    assert len(uncommented) < len(text(name)) or "#" not in text(name)
    assert yaml.safe_load(uncommented)["all"]["children"]["mlops"]["hosts"]


@pytest.mark.parametrize("name", [one for one in INVENTORIES if one != "local"])
def test_preflight_has_no_objection(name):
    given = {key: value for key, value in variables(name).items() if "{{" not in str(value)}
    given["mlops_kubeconfig"] = "a-kubeconfig"
    assert render_preflight.problems(given.pop("mlops_substrate"), **given) == []


@pytest.mark.parametrize("name, servers, agents", [("vm", 1, 0), ("vms", 3, 2)])
def test_machines_are_servers_or_agents(name, servers, agents):
    inventory = read(name)
    assert (len(inventory.get_hosts("k3s_servers")), len(inventory.get_hosts("k3s_agents"))) == (servers, agents)
    assert {host.name for host in inventory.get_hosts("k3s")} == {host.name for host in inventory.get_hosts("k3s_servers:k3s_agents")}
    # the controller is none of them, and machines are reached as an ordinary user
    assert "localhost" not in {host.name for host in inventory.get_hosts("k3s")}
    assert inventory.groups["k3s"].get_vars()["ansible_user"] == "ops"
    # what one part makes and the other one uses is set for both
    assert inventory.groups["all"].get_vars()["mlops_substrate"] == "k3s"


@pytest.mark.parametrize("name", INVENTORIES)
def test_it_is_one_page(name):
    assert len(text(name).splitlines()) <= 70
