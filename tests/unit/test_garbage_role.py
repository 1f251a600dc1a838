"""What the role garbage refuses, what it runs, and when its schedule runs it."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import subprocess
import sys

import pytest
from lib import platform_proc as proc
from lib.render import ROLES, ROOT, Roles, within

spec = importlib.util.spec_from_file_location("garbage_schedule", ROOT / "roles/garbage/files/garbage_schedule.py")
schedule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(schedule)
HOUR = 3600


def value(expression, **overrides):
    return Roles(*ROLES, "garbage", inventory_hostname="ml1", **overrides).value(expression, **within("garbage"))


def test_the_defaults_are_right():
    assert value("garbage_problems", backup_retention_days=30) == []
    assert value("garbage_problems", backup_retention_days=30, mlops_backup=True) == []
    assert value("garbage_problems", backup_retention_days=30, mlops_substrate="kubernetes") == []


@pytest.mark.parametrize(
    "given, words",
    [
        ({"garbage_days": 0}, "must be at least 1"),
        ({"garbage_days": 7, "mlops_backup": True, "backup_retention_days": 30}, "less than backup_retention_days (30)"),
        ({"garbage_time": "24:00"}, "no time of day"),
    ],
)
def test_what_cannot_be_is_refused(given, words):
    (problem,) = value("garbage_problems", **{"backup_retention_days": 30, **given})
    assert words in problem


def test_no_secret_is_on_the_command_line():
    command = value("garbage_settings", garbage_days="45")["command"]
    assert command[:2] == ["/bin/sh", "-euc"] and command[-3:-1] == ["collect", "45"]
    assert command[6].endswith("/secrets/mlflow_admin_password")
    assert "http://127.0.0.1:15001" in command


def at(text):
    return datetime.datetime.fromisoformat(f"2026-11-{text}+00:00")


@pytest.mark.parametrize(
    "state, now, expected",
    [
        ({}, "29T10:00:00", True),
        ({"tried": at("29T03:31:00").timestamp(), "succeeded": at("29T03:31:00").timestamp()}, "29T10:00:00", False),
        # made up for
        ({"tried": at("27T03:31:00").timestamp(), "succeeded": at("27T03:31:00").timestamp()}, "29T03:29:00", True),
        ({"tried": at("28T03:31:00").timestamp(), "succeeded": at("28T03:31:00").timestamp()}, "29T03:29:00", False),
        ({"tried": at("28T03:31:00").timestamp(), "succeeded": at("28T03:31:00").timestamp()}, "29T03:30:00", True),
        # one that failed is left alone for an hour
        ({"tried": at("29T03:31:00").timestamp(), "succeeded": at("28T03:31:00").timestamp()}, "29T04:30:00", False),
        ({"tried": at("29T03:31:00").timestamp(), "succeeded": at("28T03:31:00").timestamp()}, "29T04:31:00", True),
        # a clock that was set back
        ({"tried": at("29T03:31:00").timestamp()}, "29T03:40:00", False),
    ],
)
def test_when_it_is_wanted(state, now, expected):
    assert schedule.wanted({"time": "03:30"}, state, at(now)) is expected


def settings(tmp_path, program):
    return {
        "command": [sys.executable, "-c", program],
        "time": "03:30",
        "state": str(tmp_path / "state.json"),
        "metrics": str(tmp_path / "mlops_garbage.prom"),
    }


def test_what_came_of_it_is_written_down(tmp_path):
    answer = {"runs": 3, "logged_models": 0, "experiments": 1, "kept": {"runs": 1, "logged_models": 0}, "seconds": 1.5}
    given = settings(tmp_path, f"print('a warning'); print({json.dumps(answer)!r})")
    schedule.once(given, 1000.0)
    assert schedule.read(given["state"]) == {"tried": 1000.0, "succeeded": 1000.0, "answer": answer}
    text = (tmp_path / "mlops_garbage.prom").read_text()
    assert "mlops_garbage_deleted_runs 3\n" in text and "mlops_garbage_last_success_timestamp_seconds 1000.0\n" in text


def test_its_end_is_that_of_what_is_under_way(tmp_path):
    pid = tmp_path / "pid"
    program = f"import os, time; open({str(pid)!r}, 'x').write(str(os.getpid())); time.sleep(600)"
    path = tmp_path / "garbage.json"
    path.write_text(json.dumps(settings(tmp_path, program)))
    process = subprocess.Popen([sys.executable, schedule.__file__, str(path)])
    try:
        proc.wait_until("the command", lambda: pid.exists() and pid.read_text(), 60)
    finally:
        process.terminate()
        process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("program", ['print(\'{"problem": "no database"}\'); raise SystemExit(1)', "raise SystemExit('no database')"])
def test_a_failure_is_no_success(tmp_path, program):
    given = settings(tmp_path, program)
    schedule.write(given["state"], json.dumps({"tried": 5.0, "succeeded": 5.0}))
    state = schedule.once(given, 1000.0)
    assert (state["tried"], state["succeeded"]) == (1000.0, 5.0)
    assert "no database" in state["answer"]["problem"]
    assert "mlops_garbage_last_success_timestamp_seconds 5.0\n" in (tmp_path / "mlops_garbage.prom").read_text()
