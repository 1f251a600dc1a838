"""The clients in the roles doctor and upgrade: files are read on the machine that runs Ansible, and what is found is told."""

from __future__ import annotations

import json
import time

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


def seen(**versions):
    """Return the facts of a host whose clients were seen so many days ago."""
    noted = {name.strip("_").replace("_", "."): int(time.time()) - days * 86400 for name, days in versions.items()}
    return {**UPGRADE["mlops_host"], "clients_seen": noted}


def test_clients_that_connect_stop_an_upgrade_that_leaves_them_behind(tmp_path):
    """Down again, for want of a way up that loses one."""
    versions = {"upgrade_from": {"version": "4.0.0", "environment": "old"}, "upgrade_to": {"version": "3.17.2", "environment": "new"}}
    given = {**UPGRADE, **versions, "mlops_host": seen(_4_0_1=1, _3_17_2=2, _5_0_0=3, _4_0_2=31, _3_18_0=4)}
    show = "{'problems': upgrade_problems, 'told': upgrade_clients_told, 'asks': upgrade_asks_clients}"
    found, _output = shown(tmp_path, "upgrade", show, **given)
    (problem,) = found["problems"]
    assert problem.startswith("a client that connects has MLflow 4.0.1, which fails at 3.17.2: last seen 20") and found["asks"]
    assert "pip install 'mlflow<4' at that client" in problem
    assert problem.endswith(", or upgrade without asking who connects: -e doctor_client_seen_days=0")
    assert sorted(one.partition(":")[0] for one in found["told"]) == ["3.18.0", "5.0.0"]
    found, _output = shown(tmp_path, "upgrade", show, **given, doctor_client_seen_days=0)
    assert found == {"problems": [], "told": [], "asks": False}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"mlops_host": seen(_3_16_0=1)}, True),
        ({"mlops_host": seen(_3_16_0=31)}, False),
        ({"mlops_host": seen(_3_16_0=31), "doctor_client_seen_days": 60}, True),
        ({"mlops_host": seen(_3_16_0=0), "doctor_client_seen_days": 0}, False),
        # in a cluster those of its pods, whatever is said of a host
        ({"mlops_host": seen(_3_16_0=1), "mlops_substrate": "kubernetes"}, False),
        ({"upgrade_clients_connected": seen(_3_16_0=1), "mlops_substrate": "kubernetes"}, True),
        ({"upgrade_clients_connected": seen(_3_16_0=31), "mlops_substrate": "kubernetes"}, False),
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
    assert text.index("mlops.platform.cluster_clients:") < text.index("clients.yml") < text.index("upgrade_problems")


def test_the_report_shows_who_connects():
    known = [
        {"version": "4.0.1", "last_seen": "2026-11-30T16:40:00Z", "verdict": "fails"},
        {"version": "3.16.0", "last_seen": "2026-11-30T16:30:00Z", "verdict": ""},
    ]
    found = {"findings": [], "checks": [], "seconds": 1.0, "summary": {"errors": 0, "warnings": 0}}
    for more, lines in ((known, 2), ([], 0)):
        text = Roles(*ROLES, "doctor", **CALLED, doctor_found={**found, "clients_seen": more}).value("doctor_lines", **within("doctor"))
        assert len(text) == lines + 1
    text = Roles(*ROLES, "doctor", **CALLED, doctor_found={**found, "clients_seen": known}).value("doctor_lines", **within("doctor"))
    assert text[:2] == [
        "client seen: MLflow 4.0.1, last 2026-11-30T16:40:00Z, fails",
        "client seen: MLflow 3.16.0, last 2026-11-30T16:30:00Z",
    ]
    # a cluster's report has none
    assert len(Roles(*ROLES, "doctor", **CALLED, doctor_found=found).value("doctor_lines", **within("doctor"))) == 1
