"""The role upgrade: the order of its steps, what it refuses, what it goes on with, and where the way back leads."""

from __future__ import annotations

import re
import time

import pytest
from lib.render import ROLES, ROOT, Roles, within

OLD = {"environment": "mlflow-py3.11-old", "version": "3.16.0"}
NEW = {"environment": "mlflow-py3.11-new", "version": "3.17.2"}
FACTS = {
    "inventory_hostname": "ml1",
    "postgresql_endpoint": {"host": "127.0.0.1", "port": 15432, "passwords": {"mlflow": "a-secret"}},
    "mlops_runtime": {"mlflow": "/var/lib/mlops/runtime/mlflow-py3.11-new", "tools": "/t"},
    "upgrade_from": OLD,
    "upgrade_to": NEW,
    "upgrade_schema": {"rc": 0, "stderr": ""},
    "upgrade_looked": {"rows": {}, "problems": []},
    "upgrade_journal": {},
    "backup_problems": [],
}


def host(**more):
    return {
        "data_dir": "/var/lib/mlops",
        "bare": False,
        "run_as": [],
        "mlflow": OLD,
        "environments": [OLD["environment"]],
        "upgrade": {},
        "upgrade_pending": False,
        **more,
    }


def half_way(state, **more):
    """Return the facts of a host on which an upgrade was left in `state`."""
    return host(upgrade={"state": state, "from": OLD, "to": NEW, **more}, upgrade_pending=True)


def value(expression, mlops_host=None, **overrides):
    given = {**FACTS, "mlops_host": mlops_host or host(), **overrides}
    return Roles(*ROLES, "upgrade", **given).value(expression, **within("upgrade"))


def included(name):
    """Return the task files that roles/upgrade/tasks/NAME.yml includes, in order."""
    return re.findall(r"include_tasks: (?:\n\s+file: )?([a-z_]+)\.yml", (ROOT / "roles/upgrade/tasks" / f"{name}.yml").read_text())


def test_the_steps_are_in_order():
    """The backup that the way back leads to is taken when nobody writes any more, and before the migration."""
    assert included("main") == ["claim", "check", "upgrade", "leave"]
    assert included("upgrade") == ["record", "step_install", "steps_before", "step_migrate", "step_start", "step_verify", "failed"]
    assert included("steps_before") == ["step_backup", "step_stop", "step_save"]


def test_nobody_writes_while_the_schemas_change():
    """Also where an upgrade is gone on with after the host was started again, and MLflow's processes with it."""
    assert included("step_stop") == ["record", "halt", "rehearse"]
    text = (ROOT / "roles/upgrade/tasks/step_migrate.yml").read_text()
    assert "halt.yml" in text and text.index("halt.yml") < text.index("migrate_{{ upgrade_substrate }}.yml")


def test_every_step_can_be_made_to_fail():
    files = sorted(path.stem for path in (ROOT / "roles/upgrade/tasks").glob("step_*.yml"))
    steps = [re.search(r"upgrade_step: (\w+)", (ROOT / f"roles/upgrade/tasks/{name}.yml").read_text())[1] for name in files]
    assert [f"step_{step}" for step in steps] == files
    options = Roles().load(ROOT / "roles/upgrade/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert sorted(options["upgrade_fail_at"]["choices"]) == sorted(["", *steps])


def test_the_journal_names_the_backup_before_anything_is_migrated():
    text = (ROOT / "roles/upgrade/tasks/step_save.yml").read_text()
    assert text.index("include_tasks: save.yml") < text.index("state: migrating")
    assert "touched: true" in text and "backup_answer.name" in text


def test_the_way_back_is_written_down_once_it_is_known_to_lead_somewhere():
    """A run that finds "returning" goes back: where the backup is gone, no run would ever do anything else."""
    assert included("go_back") == ["confirm", "prepare", "kept", "record", "back", "leave"]


@pytest.mark.parametrize(
    "environments, version, expected",
    [([OLD["environment"]], "3.1.0", True), ([], "3.16.0", True), ([], "3.1.0", False)],
)
def test_a_version_that_cannot_be_had_any_more_is_no_way_back(environments, version, expected):
    """Otherwise another version would be installed in the place of the old one."""
    assert value("upgrade_can_return", host(environments=environments), upgrade_from={**OLD, "version": version}) is expected


@pytest.mark.parametrize(
    "facts, wanted, expected",
    [
        (host(), "", True),
        (host(mlflow=NEW), "", False),
        (host(), "3.16.0", False),
        (host(mlflow=None), "", False),
        (host(bare=True, mlflow=None), "", False),
        (half_way("migrating"), "", True),
        (half_way("stopped"), "", True),
    ],
    ids=str,
)
def test_when_there_is_something_to_upgrade(facts, wanted, expected):
    assert value("upgrade_needed", facts, mlflow_version=wanted) is expected


@pytest.mark.parametrize(
    "facts, given, expected",
    [
        (host(mlflow=NEW), {}, False),
        (host(), {}, True),
        (host(mlflow=NEW), {"upgrade_back": True}, True),
        # what a run that is gone has left behind is cleared
        (host(mlflow=NEW), {"upgrade_take_over": True}, True),
    ],
    ids=str,
)
def test_when_a_run_wants_the_turn(facts, given, expected):
    assert value("upgrade_claims", facts, **given) is expected


@pytest.mark.parametrize("state, expected", [("stopped", False), ("migrating", True), ("starting", True), ("verifying", True)])
def test_what_is_gone_on_with(state, expected):
    assert value("upgrade_goes_on", half_way(state)) is expected


@pytest.mark.parametrize(
    "facts, given, expected",
    [
        (host(), {}, False),
        (host(), {"upgrade_back": True}, True),
        (half_way("returning"), {}, True),
        (half_way("migrating"), {}, False),
        (half_way("migrating"), {"upgrade_back": True}, True),
        (half_way("stopped"), {}, False),
        (half_way("stopped"), {"mlflow_version": "3.16.0"}, True),
    ],
    ids=str,
)
def test_when_it_goes_back_before_anything_else(facts, given, expected):
    assert value("upgrade_returns", facts, **given) is expected


def test_nothing_is_wrong():
    assert value("upgrade_problems") == []
    assert value("upgrade_problems", half_way("migrating"), upgrade_schema={}) == []


@pytest.mark.parametrize(
    "facts, given, words",
    [
        (host(environments=[]), {}, "no way back"),
        (host(), {"upgrade_schema": {"rc": 12, "stderr": "tracking: newer than this MLflow"}}, "tracking: newer than this MLflow"),
        (host(), {"upgrade_schema": {"rc": 13, "stderr": "connection refused"}}, "connection refused"),
        (half_way("migrating"), {"mlflow_version": "3.16.0"}, "was left half-way"),
        (host(), {"upgrade_looked": {"problems": ["/var/lib/mlops has 1 MiB of free disk"]}}, "free disk"),
        (host(), {"backup_problems": ["object_store_admin_access_key: a backup lists"]}, "a backup lists"),
    ],
)
def test_what_is_refused(facts, given, words):
    found = value("upgrade_problems", facts, **given)
    assert [problem for problem in found if words in problem], found


def test_all_problems_are_told_at_once():
    given = {"upgrade_looked": {"problems": ["full"]}, "upgrade_schema": {"rc": 13, "stderr": "refused"}, "backup_problems": ["none"]}
    assert len(value("upgrade_problems", host(environments=[]), **given)) == 4


def test_a_backup_of_ones_own_needs_none_of_ours():
    assert value("upgrade_problems", upgrade_backup=False, postgresql_engine="package", backup_problems=["no backup yet"]) == []


@pytest.mark.parametrize(
    "hours, given, words",
    [
        (2, {}, ""),
        (23, {}, ""),
        (25, {}, "was taken 25 hours ago, and upgrade_backup_hours is 24"),
        (25, {"upgrade_backup_hours": 48}, ""),
        (None, {}, "no backup of this platform is known here"),
        # made by other means, or not asked for
        (None, {"upgrade_backup_hours": 0}, ""),
        (25, {"backup_problems": ["object_store_engine: external has no backup yet"]}, ""),
    ],
)
def test_an_upgrade_without_a_backup_of_its_own_wants_one_that_is_new(hours, given, words):
    taken = {} if hours is None else {"upgrade_backup_taken": time.time() - hours * 3600}
    found = value("upgrade_problems", upgrade_backup=False, postgresql_engine="package", **taken, **given)
    assert len(found) == bool(words) and words in str(found)
    assert not words or "playbooks/backup.yml" in found[0] and "upgrade_backup_hours to 0" in found[0]
    # one that is gone on with has changed the schemas already, and with upgrade_backup there is one of a minute ago
    assert not value("upgrade_asks_age", half_way("migrating"), upgrade_backup=False, **given)
    assert not value("upgrade_asks_age", **given)


@pytest.mark.parametrize(
    "journal, expected",
    [
        ({"touched": False, "backup": ""}, False),
        ({"touched": True, "backup": "20261129T000000Z"}, True),
        ({"touched": True, "backup": ""}, False),
        ({}, False),
    ],
    ids=str,
)
def test_data_are_restored_only_where_they_may_be_of_the_new_version(journal, expected):
    assert value("upgrade_restores", upgrade_journal=journal) is expected


def test_the_reason_holds_the_servers_words():
    failed = {"msg": "non-zero return code", "stderr": "tracking: the migration failed:\n  DiskFull: No space left on device"}
    assert value("upgrade_failure_words", upgrade_failed=failed) == (
        "non-zero return code: tracking: the migration failed: DiskFull: No space left on device"
    )


def test_a_host_that_stops_for_another_one_goes_back_too():
    """Ansible runs its rescue without a result of a failure, and what reads one there would end it half-way."""
    assert value("mlops_failed") == {"msg": "another host of this run failed"}
    assert value("mlops_failed", ansible_failed_result={"msg": "its own"}) == {"msg": "its own"}
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "roles").glob("*/tasks/*.yml")}
    assert {name for name, text in texts.items() if re.search(r"ansible_failed_result(?! \| default\()", text)} == set()
