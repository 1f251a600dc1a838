"""Which playbooks refuse to meet an upgrade, and when they do."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.lookup import controller_run
from lib.render import ROLES, ROOT, Roles

HALF_WAY = {"state": "migrating", "from": {"version": "3.16.0"}, "to": {"version": "3.17.2"}, "updated": "2026-11-29T04:00:00Z"}
HERE = {**controller_run.here(), "since": "2026-11-29T04:00:00Z"}


def refusals(mlops_substrate="local", mlops_cluster=None, **host):
    """Return the messages of the assertions that fail on a host of which `host` is known, or in a cluster."""
    facts = {"data_dir": "/srv/ml1", "upgrade": {}, "upgrade_pending": False, "upgrade_holder": {}, **host}
    roles = Roles(*ROLES, mlops_host=facts, mlops_substrate=mlops_substrate, mlops_cluster=mlops_cluster or {})
    asserts = [task["ansible.builtin.assert"] for task in roles.load(ROOT / "roles/upgrade/tasks/settled.yml")]
    return [" ".join(roles.template(check["fail_msg"]).split()) for check in asserts if not roles.value(check["that"])]


@pytest.mark.parametrize(
    "host",
    [{}, {"upgrade": {**HALF_WAY, "state": "done"}}, {"upgrade_holder": {**HERE, "started": "1"}}],
    ids=["none", "ended", "its run is gone"],
)
def test_an_upgrade_that_is_history_is_nobodys_concern(host):
    assert refusals(**host) == []


def test_one_that_was_left_half_way_is_ended_first():
    (message,) = refusals(upgrade=HALF_WAY, upgrade_pending=True)
    assert "from 3.16.0 to 3.17.2 was left half-way in /srv/ml1 (migrating since 2026-11-29T04:00:00Z)" in message
    assert "playbooks/upgrade.yml" in message and "Nothing was changed" in message


@pytest.mark.parametrize("holder", [HERE, {**HERE, "machine": "another"}], ids=["of this machine", "of another one"])
def test_one_that_is_under_way_is_waited_for(holder):
    (message,) = refusals(upgrade_holder=holder)
    assert f"{HERE['user']} on {HERE['host']}, process {HERE['pid']}, upgrades MLflow in /srv/ml1 since 2026-11-29T04:00:00Z" in message


@pytest.mark.parametrize("name", ["migrate_object_store", "restore", "rotate", "upgrade_postgresql"])
def test_it_is_asked_before_anything_changes(name):
    """What stands before it looks, and the facts of a host are what it asks."""
    tasks = Roles().load(ROOT / f"playbooks/{name}.yml")[0]["tasks"]
    roles = [{"name": task.get("ansible.builtin.import_tasks"), **task.get("ansible.builtin.import_role", {})} for task in tasks]
    called = [role.get("tasks_from") or role["name"] for role in roles]
    before = called[: called.index("settled")]
    assert before and set(before) <= {"check", "mlops.platform.preflight", "tasks/existing.yml", "tasks/backup_facts.yml"}
