"""What is read of the notes of MLflow's processes, and what the doctor says of it."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import clients_seen, doctor_clients_seen
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotApplicable, NotChecked

NOW = 1_800_000_000
PLAN = {"client_seen_days": 30}


def place(root, name="mlflow-15001"):
    folder = root / "mlflow" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "clients.json"


def test_no_file_is_no_client(tmp_path):
    assert clients_seen.read(str(tmp_path / "none")) == {} == clients_seen.read(str(tmp_path))
    place(tmp_path)
    assert clients_seen.read(str(tmp_path)) == {}


def test_the_notes_of_all_processes_are_one(tmp_path):
    """Also of one that an earlier mlflow_processes had."""
    place(tmp_path).write_text(json.dumps({"3.16.0": NOW - 50, "3.17.2": NOW - 7}))
    place(tmp_path, "mlflow-15002").write_text(json.dumps({"3.16.0": NOW - 5, "2.9.2": NOW - 99}))
    place(tmp_path, "other").write_text(json.dumps({"1.0.0": NOW}))
    assert clients_seen.read(str(tmp_path), NOW) == {"3.16.0": NOW - 5, "3.17.2": NOW - 7, "2.9.2": NOW - 99}


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"3.16.0": 17999', '{"3.16.0": 1799999999}\n{"3.17', "[1]", '"3.16.0"', "null", "\x00\xff", "9" * 5000, "[" * 50000],
    ids=range(10),
)
def test_what_is_no_file_of_notes_is_none(tmp_path, text):
    place(tmp_path).write_text(text, encoding="latin-1")
    place(tmp_path, "mlflow-15002").write_text(json.dumps({"3.17.2": NOW}))
    assert clients_seen.read(str(tmp_path), NOW) == {"3.17.2": NOW}


@pytest.mark.parametrize("when", ["1799999999", None, True, [], -1, 0, NOW + 2 * 86400, float("nan"), float("inf")], ids=str)
def test_a_time_that_is_none_is_left_out(when):
    assert clients_seen.noted(json.dumps({"3.16.0": when, "3.17.2": NOW - 1}), NOW) == {"3.17.2": NOW - 1}


@pytest.mark.parametrize(
    "version", ["", "3", "latest", "$(reboot)", "3.17.2\n", "{{ lookup('pipe', 'id') }}", "3.17.2 x", "٣.٤", "1.2" * 20]
)
def test_a_version_that_is_none_is_left_out(version):
    assert clients_seen.noted(json.dumps({version: NOW}), NOW) == {}


def test_a_clock_that_ran_ahead_is_now():
    assert clients_seen.noted(json.dumps({"3.16.0": NOW + 60.5}), NOW) == {"3.16.0": NOW}


def test_root_is_not_led_elsewhere_and_waits_for_nothing(tmp_path):
    """The services' user may put anything in the place of its own file."""
    (tmp_path / "elsewhere").write_text(json.dumps({"3.16.0": NOW}))
    place(tmp_path).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(place(tmp_path, "mlflow-15002"))
    place(tmp_path, "mlflow-15003").mkdir()
    place(tmp_path, "mlflow-15004").write_text(json.dumps({"3.17.2": NOW}) + " " * 200000)
    assert clients_seen.read(str(tmp_path), NOW) == {"3.17.2": NOW}


# --- what the doctor says ----------------------------------------------------------------------------------------------------------------


def facts(seen, server="3.17.2"):
    return {"seen": seen, "server": server, "now": NOW}


def test_all_are_listed_and_those_that_do_not_work_are_found():
    seen = {"3.16.0": NOW - 100, "4.0.1": NOW - 60, "3.18.0": NOW - 50, "1.28.0": NOW - 10, "9.0": NOW - 31 * 86400}
    assert doctor_clients_seen.listed(PLAN, facts(seen)) == [
        {"version": "1.28.0", "last_seen": "2027-01-15T07:59:50Z", "verdict": "limited"},
        {"version": "3.18.0", "last_seen": "2027-01-15T07:59:10Z", "verdict": "limited"},
        {"version": "4.0.1", "last_seen": "2027-01-15T07:59:00Z", "verdict": "fails"},
        {"version": "3.16.0", "last_seen": "2027-01-15T07:58:20Z", "verdict": "works"},
    ]
    found = list(doctor_clients_seen.clients_seen(PLAN, facts(seen)))
    assert [(one["id"], one["subject"], one["severity"]) for one in found] == [
        ("client-seen-limited", "1.28.0", "warning"),
        ("client-seen-limited", "3.18.0", "warning"),
        ("client-seen-fails", "4.0.1", "warning"),
    ]
    assert found[0]["remedy"] == "pip install 'mlflow==3.17.2' at that client"
    assert found[2]["remedy"] == "pip install 'mlflow<4' at that client, or upgrade the platform (make upgrade)"
    assert found[2]["said"] == "last seen 2027-01-15T07:59:00Z" and "4.0.1" in found[2]["what"] and "3.17.2" in found[2]["what"]


def test_clients_that_work_are_no_finding():
    assert list(doctor_clients_seen.clients_seen(PLAN, facts({"3.16.0": NOW, "2.9.2": NOW, "3.17.9": NOW}))) == []


@pytest.mark.parametrize("seen", [{}, {"4.0.0": NOW - 31 * 86400}], ids=str)
def test_without_a_client_there_is_nothing_to_say(seen):
    with pytest.raises(NotApplicable, match="30 days"):
        list(doctor_clients_seen.clients_seen(PLAN, facts(seen)))
    assert doctor_clients_seen.listed(PLAN, facts(seen)) == []


def test_who_does_not_want_it_is_not_told():
    with pytest.raises(NotApplicable, match="doctor_client_seen_days"):
        list(doctor_clients_seen.clients_seen({"client_seen_days": 0}, facts({"4.0.0": NOW - 1})))
    assert doctor_clients_seen.listed({"client_seen_days": 0}, facts({"4.0.0": NOW - 1})) == []


def test_of_a_server_that_nobody_knows_the_clients_are_shown_without_a_verdict():
    with pytest.raises(NotChecked, match="version"):
        list(doctor_clients_seen.clients_seen(PLAN, facts({"4.0.0": NOW}, None)))
    assert [one["verdict"] for one in doctor_clients_seen.listed(PLAN, facts({"4.0.0": NOW}, None))] == [""]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        (f"INFO: started\nmlops-client 3.16.0 {NOW - 9}\nmlops-client 3.16.0 {NOW - 99}\n", {"3.16.0": NOW - 9}),
        (f"mlops-client 3.18.0rc1 {NOW - 9}\nmlops-client 2.9.2 {NOW + 60}", {"3.18.0rc1": NOW - 9, "2.9.2": NOW}),
        # lines of others, and such as nobody of ours writes
        (f"x mlops-client 3.16.0 {NOW}\nmlops-client 3.16.0 {NOW} x\nmlops-client  3.16.0 {NOW}\n", {}),
        (f"mlops-client latest {NOW}\nmlops-client 3.16.0 soon\nmlops-client 3.16.0 {NOW}{NOW}\nmlops-client 3.16.0 {NOW + 9 * 86400}", {}),
    ],
    ids=range(5),
)
def test_a_log_is_read(text, found):
    assert clients_seen.in_log(text, NOW) == found
