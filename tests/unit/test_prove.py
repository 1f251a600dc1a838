"""roles/common/tasks/prove.yml, run as a component's role runs it: a program of its own files/, a request on standard input."""

from __future__ import annotations

import json
import sys

import pytest
import yaml
from lib.plays import run_play
from lib.render import ROOT

SECRET = "not-{{ 7 * 6 }}-$HOME 'on\" any ü\\screen"
PROGRAM = """
'''A proof that tells how it was started: $PATH is no variable here.'''
import json, os, sys
request = json.load(sys.stdin)
seen = {"here": os.getcwd(), "variables": sorted(os.environ), "home": os.environ["HOME"], "arguments": sys.argv, "doc": __doc__}
if request["secret"] != %r:
    raise ValueError("the request came as " + repr(request["secret"]))
if request.get("ends") == "traceback":
    raise RuntimeError("x" * 3000 + " the last words")
print(json.dumps({"verified": ["one", "two"], "problem": request.get("problem"), "seen": seen}))
sys.exit(1 if request.get("problem") else 0)
"""


@pytest.fixture
def prove(tmp_path):
    """Return a function that runs a role with one proof and returns (its exit code, its output, mlops_proof)."""
    role = tmp_path / "roles" / "caller"
    for folder in ("files", "tasks"):
        (role / folder).mkdir(parents=True)
    (role / "files" / "proof.py").write_text(PROGRAM % SECRET, encoding="utf-8")

    def run(python=sys.executable, **request):
        variables = {
            "prove_component": "The thing",
            "prove_where": "http://thing.example",
            "prove_script": "proof.py",
            "prove_python": python,
            "prove_run_as": ["env"],
            "prove_request": "{{ given }}",
        }
        included = {"name": "mlops.platform.common", "tasks_from": "prove", "rolespec_validate": False}
        tasks = [
            {"ansible.builtin.import_role": included, "vars": variables},
            {"ansible.builtin.copy": {"content": "{{ mlops_proof }}", "dest": str(tmp_path / "proof.json")}},
        ]
        (role / "tasks" / "main.yml").write_text(yaml.dump(tasks), encoding="utf-8")
        code, output = run_play(tmp_path, {"roles": ["caller"]}, {"given": {"secret": SECRET, **request}}, "-vvv")
        proof = tmp_path / "proof.json"
        return code, output, json.loads(proof.read_text()) if proof.exists() else None

    return run


def test_a_proof_gets_its_request_and_nothing_of_its_surroundings(prove):
    code, output, proof = prove()
    assert code == 0, output
    assert proof["verified"] == ["one", "two"]
    seen = proof["seen"]
    assert (seen["here"], seen["home"], seen["arguments"]) == ("/", "/nonexistent", ["-c"])
    # Python adds LC_CTYPE where it must
    assert set(seen["variables"]) <= {"HOME", "PATH", "LANG", "LC_CTYPE"}
    assert "$PATH is no variable" in seen["doc"]
    # the copy at the end alone
    assert "changed=1 " in output
    assert "any ü" not in output


def test_a_problem_stops_the_play_with_what_was_verified_before(prove):
    code, output, _proof = prove(problem="VerificationError: it is open")
    assert code != 0
    words = "The thing at http://thing.example is not as it should be. VerificationError: it is open Verified before that: one; two"
    assert words in " ".join(output.split())
    assert "any ü" not in output


def test_a_proof_that_breaks_is_told_by_the_end_of_its_words(prove):
    code, output, _proof = prove(ends="traceback")
    assert code != 0
    assert "x the last words" in output
    assert "Verified before that: nothing" in " ".join(output.split())


def test_a_missing_interpreter_is_told(prove):
    code, output, _proof = prove(python="/nonexistent/python")
    assert code != 0
    assert "The proof did not end under /nonexistent/python: " in " ".join(output.split())


@pytest.mark.parametrize("component", ["postgresql", "object_store", "mlflow"])
def test_every_proof_fits_on_a_command_line(component):
    """Linux takes 128 KiB of one argument (MAX_ARG_STRLEN)."""
    program = ROOT / "roles" / component / "files" / f"{component}_verify.py"
    assert len(program.read_bytes()) < 65536
