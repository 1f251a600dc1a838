"""The doctor on a running platform: it finds each fault that is planted, names it and its remedy, and finds nothing where there is none."""

from __future__ import annotations

import itertools
import json
import stat
import tarfile
import time

import pytest
from lib import platform_sweep as sweep
from lib.long_tests import LONG
from lib.modules import run_module
from lib.platform_faults import FAULTS
from lib.platform_faults.mlflow import connected
from lib.platform_faults.planting import forms, found_when_planted, kept


@pytest.fixture(scope="module")
def bundle(platform):
    """The files of a bundle, with secrets planted in a log; {name: bytes}."""
    planted = {name: value for name, value in platform.secrets().items() if not name.endswith("_access_key")}
    path = platform.scratch / "bundle.tar.gz"
    with kept(platform.data_dir / "log/traefik.log") as log:
        with log.open("a", encoding="utf-8") as stream:
            for form in (form for value in planted.values() for form in forms(value)):
                stream.write(f"planted {form} planted\n")
        run = platform.run("playbooks/support_bundle.yml", "-vvv", extra={"doctor_bundle": str(path)}).unchanged()
    assert not sweep.search(run.output.encode(), sweep.needles(planted))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        return {one.name.partition("/")[2]: archive.extractfile(one).read() for one in archive.getmembers()}


@pytest.fixture(scope="module")
def plan(bundle):
    """What the role says that the platform should be."""
    return json.loads(bundle["plan.json"])


def examine(platform, plan, **other):
    result = run_module("host_doctor", {"data_dir": str(platform.data_dir), "plan": {**plan, "controller_time": 0, **other}})
    assert not result.get("failed"), result
    assert result["changed"] is False
    return result["report"]


def test_a_healthy_platform_has_none(platform):
    report = platform.scratch / "doctor.json"
    before = platform.fingerprint()
    for check in (False, True):
        run = platform.run(
            "playbooks/doctor.yml", check=check, extra={"doctor_report": str(report), "doctor_fail_on": "warning"}
        ).unchanged()
    assert "0 error(s), 0 warning(s)" in run.output
    found = json.loads(report.read_text())
    assert found["findings"] == [] and len(found["checks"]) >= 30
    assert [one for one in found["checks"] if one["state"] == "not checked"] == []
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert platform.fingerprint() == before
    s3 = platform.s3().list_object_versions(Bucket="mlflow-artifacts", Prefix="mlops-platform-doctor/")
    assert not s3.get("Versions") and not s3.get("DeleteMarkers")


def test_the_bundle_has_what_support_needs_and_no_secret(platform, bundle):
    assert {"doctor.json", "plan.json", "variables.json", "versions.json", "services.json", "postgresql.txt", "listing.txt"} <= set(bundle)
    assert {f"log/{name}.log" for name in ("postgresql", "seaweedfs", "traefik", "supervisord")} <= set(bundle)
    assert b"planted [redacted:mlflow_admin_password] planted" in bundle["log/traefik.log"]
    assert json.loads(bundle["services.json"])["states"]["postgresql"]["state"] == "RUNNING"
    assert b"max_connections = " in bundle["postgresql.txt"] and b"secrets/mlflow_admin_password" in bundle["listing.txt"]
    wanted = sweep.needles({name: value for name, value in platform.secrets().items() if not name.endswith("_access_key")})
    assert {name: found for name, text in bundle.items() if (found := sweep.search(text, wanted))} == {}


# one that stops others, and some that take a moment; with all of them it takes ten minutes
SHORT = {
    "database_stopped",
    "secret_that_others_read",
    "certificate_expired",
    "versioning_suspended",
    "client_of_the_next_generation",
    "client_that_connects_and_cannot_work",
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SHORT else LONG) for name in FAULTS])
def test_a_planted_fault_is_found_with_its_remedy(platform, plan, name):
    found_when_planted(platform, plan, FAULTS[name], examine)


# with and without a login of MLflow's own, also such as it answers to everybody with 404
EVERYBODYS = (
    "/health",
    "/health/api/x",
    "/version",
    "/static-files/api/x",
    "/api/3.0/mlflow/server-info",
    "/api/3.0/mlflow/server-info/",
    "/",
)
REFUSED = ("/api/2.0/mlflow/experiments/search?max_results=1", "/api/2.0/none", "/api/3.0/jobs/x", "/ajax-api/3.0/mlflow/server-features")


def test_nobody_without_a_login_puts_a_version_into_the_notes(platform):
    moment, places = int(time.time()) % 10**6, (*EVERYBODYS, *REFUSED)
    for login in (None, ("admin", "wrong-password-of-this-test")):
        for number, (method, path) in enumerate(itertools.product(("GET", "HEAD", "POST", "OPTIONS"), places)):
            agent = {"User-Agent": f"mlflow-python-client/97.{number}.{moment}", "Origin": platform.url}
            status = platform.http(login)(method, path, {} if method == "POST" else None, agent)[0]
            assert path not in REFUSED or status in (200, 401) and (method == "OPTIONS" or status == 401), (method, path, status)
    with connected(platform, f"97.1000.{moment}"):
        noted = [version for path in platform.data_dir.glob("mlflow/*/clients.json") for version in json.loads(path.read_text())]
    assert [version for version in noted if version.startswith("97.")] == [f"97.1000.{moment}"]


def test_the_playbook_fails_with_what_it_finds_and_with_nothing_left(platform):
    """And after all of that, the platform is as healthy as before."""
    path = platform.data_dir / "log"
    path.chmod(0o755)
    try:
        run = platform.run("playbooks/doctor.yml")
        assert run.code == 2 and "data-directory-mode" in run.failed[0]
        assert "chmod 0700" in run.output
        platform.run("playbooks/doctor.yml", extra={"doctor_fail_on": "never"}).unchanged()
    finally:
        path.chmod(0o700)
    platform.run("playbooks/doctor.yml", extra={"doctor_fail_on": "warning"}).unchanged()
