"""The doctor's run: each check stands on its own, causes are told from effects, and no secret is in what it says."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import doctor, doctor_cluster_checks, doctor_local, doctor_redact
from ansible_collections.mlops.platform.plugins.module_utils.doctor import Check, NotApplicable, NotChecked, error, warning
from lib import doctor_cluster
from lib.generated import ROOT
from lib.platform_faults import FAULTS


def run(checks, causes=None, looks=None):
    return doctor.examine({}, looks or {"a": lambda plan: {}}, checks, causes or {})


def test_a_check_that_breaks_stops_no_other():
    def breaks(_plan, _facts):
        raise ZeroDivisionError("by zero")

    def finds(_plan, _facts):
        yield error("found", "it is wrong", "mend it")

    report = run([Check("one", "a", breaks), Check("two", "a", finds)])
    assert [one["id"] for one in report["findings"]] == ["found", "check-failed"]
    assert report["findings"][1]["said"] == "ZeroDivisionError: by zero" and report["findings"][1]["severity"] == "warning"
    assert report["summary"] == {"errors": 1, "warnings": 1, "ok": 0, "not_applicable": 0, "not_checked": 1}


def test_a_look_that_breaks_stops_no_other_layer_and_is_made_once():
    calls = []

    def look(_plan):
        calls.append(1)
        raise OSError("no such file")

    checks = [
        Check("one", "b", lambda plan, facts: []),
        Check("two", "b", lambda plan, facts: []),
        Check("three", "a", lambda plan, facts: []),
    ]
    report = run(checks, looks={"a": lambda plan: {}, "b": look})
    assert [one["state"] for one in report["checks"]] == ["not checked", "not checked", "ok"] and len(calls) == 1


@pytest.mark.parametrize("kind, state", [(NotApplicable, "not applicable"), (NotChecked, "not checked")])
def test_what_does_not_apply_says_why(kind, state):
    def judge(_plan, _facts):
        raise kind("because of this")

    report = run([Check("one", "a", judge)])
    assert report["findings"] == [] and report["checks"][0] == {"check": "one", "layer": "a", "state": state, "reason": "because of this"}


def test_causes_are_named_and_come_first():
    def finds(_plan, _facts):
        yield error("effect", "x", "y", subject="one")
        yield error("effect", "x", "y", subject="two")
        yield warning("later", "x", "y")
        yield error("cause", "x", "y", subject="one")

    report = run([Check("one", "a", finds)], {"effect": [("cause", None)], "later": [("cause", "one")]})
    assert [(one["id"], one["subject"], one["because"]) for one in report["findings"]] == [
        ("effect", "two", []),
        ("cause", "one", []),
        ("effect", "one", ["cause (one)"]),
        ("later", "", ["cause (one)"]),
    ]


def made():
    """Every id that the code of the layers makes."""
    text = "".join(path.read_text() for path in (ROOT / "plugins/module_utils").glob("doctor*.py"))
    found = set(re.findall(r'(?:error|warning|make)\(\s*\(?\s*"([a-z0-9-]+)"', text))
    found |= {f"{what}-{end}" for what in ("certificate", "authority") for end in ("expired", "expires", "not-yet-valid")}
    found |= {"certificate-missing", "authority-missing", "certificate-key-missing", "backup-disk-full", "disk-full"}
    return found | set(re.findall(r'\(\s*"(schema-[a-z]+)",', text)) | {"pod-image", "pod-configuration", "pod-failing", "pod-pending"}


def test_every_finding_is_documented_and_every_cause_is_one():
    text = (ROOT / "docs" / "doctor.md").read_text()
    assert {ident for ident in made() if f"`{ident}`" not in text} == set()
    for causes in (doctor_local.CAUSES, doctor_cluster_checks.causes(doctor_cluster.PLAN)):
        named = set(causes) | {one[0] if isinstance(one, tuple) else one for many in causes.values() for one in many}
        assert named - made() == set()


def test_names_of_checks_are_different_and_planted_faults_are_many():
    for checks in (doctor_local.CHECKS, doctor_cluster_checks.CHECKS):
        assert len({one.name for one in checks}) == len(checks)
    planted = {want.partition("/")[0] for _plant, wanted, _because in FAULTS.values() for want in wanted}
    assert len(FAULTS) >= 25 and len(planted) >= 25 and planted <= made()


# --- secrets ------------------------------------------------------------------------------------------------------------------------------

SECRET = "a1b2 '\"$x\\%/é+:@"


@pytest.mark.parametrize("text", doctor_redact.forms(SECRET, "admin"))
def test_each_form_of_a_secret_is_taken_out(text):
    wanted = doctor_redact.needles({"password": [SECRET]}, "admin")
    assert doctor_redact.redact(f"x{text}y", wanted) == "x[redacted:password]y"
    assert doctor_redact.left(f"x{text}y", wanted) == ["password"] and doctor_redact.left("xy", wanted) == []


def test_secrets_are_taken_out_of_nested_values_and_their_json():
    wanted = doctor_redact.needles({"password": [SECRET]}, "admin")
    value = doctor_redact.redacted({"a": [SECRET, {"b": f"postgresql://u:{SECRET}@h"}], SECRET: 1}, wanted)
    assert value == {"a": ["[redacted:password]", {"b": "postgresql://u:[redacted:password]@h"}], "[redacted:password]": 1}
    assert doctor_redact.left(json.dumps(value), wanted) == []


def test_secret_files_are_read_with_what_they_replaced_and_pgpass(tmp_path):
    (tmp_path / "one").write_text("first-secret\n")
    (tmp_path / "one.previous").write_text("second-secret\nthird-secret\n")
    (tmp_path / "pgpass").write_text("127.0.0.1:1:*:postgres:with\\:colon\\\\and\n")
    (tmp_path / "short").write_text("abc\n")
    values = {value for many in doctor_redact.read_secrets(tmp_path).values() for value in many}
    assert {"first-secret", "second-secret", "third-secret", "with:colon\\and"} <= values and "abc" not in values
    assert doctor_redact.read_secrets(tmp_path / "none") == {}
