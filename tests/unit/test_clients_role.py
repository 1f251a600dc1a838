"""The clients in the roles doctor and upgrade: files are read on the machine that runs Ansible, and what is found is told."""

from __future__ import annotations

import json

import pytest
from lib.plays import run_play
from lib.render import ROLES, ROOT, Roles, within

CALLED = {"mlops_substrate": "local", "doctor_client_here": {"stdout_lines": ["3.17.2"]}, "mlflow_image": "registry/mlflow:v3.16.0-full"}
HOST = {"mlflow": {"version": "3.17.2"}, "data_dir": "/var/lib/mlops"}
UPGRADE = {
    "mlops_substrate": "local",
    "postgresql_engine": "embedded",
    "mlops_host": {"upgrade_pending": False, "environments": ["old"], **HOST},
    "upgrade_looked": {"problems": []},
    "upgrade_schema": {"rc": 0},
    "backup_problems": [],
    "inventory_hostname": "ml1",
    "postgresql_endpoint": {"host": "127.0.0.1", "port": 15432, "passwords": {"mlflow": "x"}},
    "mlops_runtime": {"mlflow": "/new"},
    "upgrade_journal": {},
}


def play(role, show):
    """Return a play that includes clients.yml of a role and writes the variable `show` down."""
    files = [ROOT / "roles/common/vars/main.yml", ROOT / f"roles/{role}/defaults/main.yml"]
    # one file, or a directory of them
    files += [*ROOT.glob(f"roles/{role}/vars/main.yml"), *sorted(ROOT.glob(f"roles/{role}/vars/main/*.yml"))]
    return {
        "vars_files": [str(file) for file in files],
        "tasks": [
            {"ansible.builtin.include_tasks": str(ROOT / f"roles/{role}/tasks/clients.yml")},
            {"ansible.builtin.copy": {"content": "{{ " + show + " | to_json }}", "dest": "{{ playbook_dir }}/shown.json", "mode": "0600"}},
        ],
    }


def shown(folder, role, show, **given):
    code, output = run_play(folder, play(role, show), given)
    assert code == 0, output
    return json.loads((folder / "shown.json").read_text()), output


def test_the_doctors_plan_has_the_findings_of_the_files(tmp_path):
    (tmp_path / "requirements.txt").write_text("mlflow>=2\n")
    given = {**CALLED, "mlops_host": HOST, "doctor_client_pins": [str(tmp_path / "*.txt")]}
    found, _output = shown(tmp_path, "doctor", "doctor_clients", **given)
    assert found["asked"] and found["failed"] == ""
    assert [(one["id"], one["severity"]) for one in found["findings"]] == [("client-pin-open", "warning")]
    assert found["findings"][0]["remedy"].startswith("change it to mlflow>=2,<4")


def test_what_cannot_be_asked_stops_no_doctor():
    task = Roles().tasks("doctor", "clients.yml")[0]
    assert task["failed_when"] is False and task["delegate_to"] == "localhost" and task["become"] is False
    looked = {"msg": "server_version: 'unknown' is not a version", "changed": False}
    given = {**CALLED, "mlops_host": HOST, "doctor_client_pins": ["a.txt"], "doctor_clients_looked": looked}
    found = Roles(*ROLES, "doctor", **given).value("doctor_clients", **within("doctor"))
    assert found == {"asked": True, "failed": looked["msg"], "findings": []}


@pytest.mark.parametrize(
    ("given", "asked", "server"),
    [
        ({}, False, "3.17.2"),
        ({"doctor_client_pins": ["a.txt"]}, True, "3.17.2"),
        ({"mlops_host": {"mlflow": None}}, False, "3.17.2"),
        ({"mlops_host": {"mlflow": {"version": None}}, "mlflow_version": "3.16.0"}, False, "3.16.0"),
        # no module in the cluster judges versions
        ({"mlops_substrate": "kubernetes"}, True, "3.16.0"),
        ({"mlops_substrate": "kubernetes", "doctor_client_here": {"stdout_lines": []}}, False, "3.16.0"),
        ({"mlops_substrate": "openshift", "mlflow_build": True}, True, "3.17.2"),
        ({"mlops_substrate": "k3s", "mlflow_image": "registry/mlflow:latest"}, True, "3.17.2"),
        ({"mlops_substrate": "k3s", "mlflow_image": "registry/mlflow@sha256:abc"}, True, "3.17.2"),
    ],
    ids=str,
)
def test_when_the_doctor_asks_and_about_which_server(given, asked, server):
    roles = Roles(*ROLES, "doctor", **{**CALLED, "mlops_host": HOST, **given})
    assert roles.value("doctor_clients_asked", **within("doctor")) is asked
    assert roles.value("doctor_server_version", **within("doctor")) == server


def test_clients_that_would_be_left_behind_stop_an_upgrade_and_the_rest_is_told(tmp_path):
    """As the rule has it, going up leaves nobody behind yet; so this goes down, to be sure that the refusal is there on that day."""
    (tmp_path / "requirements.txt").write_text("mlflow==4.0.1\n\nmlflow-skinny>=2\n")
    given = {
        **UPGRADE,
        "upgrade_from": {"version": "4.0.0", "environment": "old"},
        "upgrade_to": {"version": "3.17.2", "environment": "new"},
        "doctor_client_pins": ["requirements.txt"],
        "doctor_client_versions": ["4.0.0", "3.17.2", "5.0.0"],
    }
    found, output = shown(tmp_path, "upgrade", "{'problems': upgrade_problems, 'told': upgrade_clients_told}", **given)
    assert [one.partition(" ")[0] for one in found["problems"]] == ["4.0.0:", "requirements.txt:1:"]
    assert "mlflow==4.0.1 admits no version that works with MLflow 3.17.2: change it to" in found["problems"][1]
    # these did not work before either, or may work
    assert [one.partition(" ")[0] for one in found["told"]] == ["5.0.0:", "requirements.txt:3:"]
    assert "mlflow-skinny>=2 admits versions that do not work with MLflow 3.17.2" in output


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"doctor_client_pins": ["a.txt"]}, True),
        ({"doctor_client_versions": ["3.16.0"]}, True),
        ({"doctor_client_versions": ["3.16.0"], "upgrade_goes_on": True}, False),
        ({"doctor_client_versions": ["3.16.0"], "upgrade_from": {"version": None}}, False),
        ({"doctor_client_versions": ["3.16.0"], "upgrade_from": {}}, False),
    ],
    ids=str,
)
def test_when_an_upgrade_asks(given, expected):
    facts = {**UPGRADE, "mlops_substrate": "local", "upgrade_from": {"version": "3.16.0"}, "upgrade_to": {"version": "3.17.2"}}
    assert Roles(*ROLES, "upgrade", **{**facts, **given}).value("upgrade_asks_clients", **within("upgrade")) is expected


def test_an_upgrade_asks_before_anything_is_touched():
    text = (ROOT / "roles/upgrade/tasks/check.yml").read_text()
    assert text.index("clients.yml") < text.index("upgrade_problems")
