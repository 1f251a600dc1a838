"""No secret shows anywhere: not in what Ansible prints at its loudest, not in a process list, a log, or a file that others can read."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from botocore.exceptions import ClientError
from lib import platform_sweep as sweep
from lib.platform_secrets import given_secrets

# where programs of this machine, or Ansible's own modules, could have written one
ELSEWHERE = ("/var/log", "/tmp", "/var/tmp", "/dev/shm", str(Path.home() / ".ansible"))


@pytest.fixture(scope="module")
def swept(platform):
    """Loud runs that replace every secret which a user may set, in check mode first; what was seen during them."""
    started = time.time()
    # an access key names its holder, as a user name does: the secret is the secret key
    old = {name: value for name, value in platform.secrets().items() if not name.endswith("_access_key")}
    before = {"secrets": old, "s3": platform.s3(), "run": platform.new_run("passwords")}
    fresh = given_secrets()
    flat = {f"new {name}": value for name, value in fresh.items() if isinstance(value, str)}
    flat |= {f"new postgresql_{name}_password": value for name, value in fresh["postgresql_account_passwords"].items()}
    wanted = sweep.needles({**old, **flat})
    with sweep.Sampler(wanted, platform.uid) as sampler:
        platform.variables.update(fresh)
        runs = [platform.run("site.yml", "-vvv", diff=True, check=check) for check in (True, False)]
        runs += [platform.run(f"playbooks/{name}.yml", "-vvv") for name in ("verify", "status")]
    return {"wanted": wanted, "sampler": sampler, "runs": runs, "started": started, "before": before}


def test_the_runs_did_what_they_were_to_show(platform, swept):
    for run in swept["runs"]:
        run.ok()
    assert all(run.stats["changed"] > 0 for run in swept["runs"][:2])
    # the loud output is there: modules' arguments and diffs
    assert all("invocation" in run.output for run in swept["runs"])
    assert len(swept["sampler"].commands) > 100
    platform.wait_until_up()


def test_the_old_ones_open_nothing_and_the_data_is_there(platform, swept):
    before = swept["before"]
    assert platform.http().json("GET", f"/api/2.0/mlflow/runs/get?run_id={before['run']}")
    for user in ("mlflow", "seaweedfs", "superuser"):
        login = {"user": "postgres" if user == "superuser" else user, "password": before["secrets"][f"postgresql_{user}_password"]}
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(host="127.0.0.1", port=platform.variables["postgresql_port"], dbname="postgres", **login)
    assert platform.s3().list_buckets()["Buckets"]
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        before["s3"].list_buckets()


def test_output(swept):
    for number, run in enumerate(swept["runs"]):
        assert not sweep.search(run.output.encode(), swept["wanted"]), number


def test_command_lines_and_environments(swept):
    assert not swept["sampler"].hits


def test_logs_and_temporary_files(platform, swept):
    logs = platform.data_dir / "log"
    found = sweep.files([logs, *ELSEWHERE], swept["wanted"], since=swept["started"])
    # the variables file and the runs' outputs are the test's own; an ordinary user's data directory is itself below a temporary one
    own = (f"{platform.scratch}/", f"{platform.data_dir}/")
    assert not {path: names for path, names in found.items() if path.startswith(f"{logs}/") or not path.startswith(own)}


def test_files_that_others_can_read(platform, swept):
    assert not sweep.readable_by_others(platform.data_dir, swept["wanted"])
    assert not sweep.readable_by_others("/etc/systemd/system", swept["wanted"])


def test_previous_secrets_are_gone(platform, swept):
    assert swept["runs"]
    assert not [path for path in (platform.data_dir / "secrets").iterdir() if path.suffix not in ("",)]
    replaced = {name.removeprefix("new ") for name in swept["wanted"].values() if name.startswith("new ")}
    former = {needle: name for needle, name in swept["wanted"].items() if name in replaced}
    assert set(former.values()) == replaced
    assert not sweep.files([platform.data_dir / part for part in ("etc", "secrets", "run", "tls", "bin")], former)


def test_the_sweep_finds_what_is_planted(platform, tmp_path):
    """Positive control for each place."""
    value = platform.secret("object_store_mlflow_secret_key")
    wanted = sweep.needles({"planted": value})
    assert sweep.search(f"a log line with {value!r} in it".encode(), wanted) == ["planted"]
    sleep = [sys.executable, "-c", "import time; time.sleep(3)"]
    with sweep.Sampler(wanted, platform.uid if platform.root else -1) as sampler:
        shown = subprocess.Popen([*sleep, value])
        carried = subprocess.Popen([*sleep, "carries it"], env={"SECRET": value})
        time.sleep(1)
        for process in (shown, carried):
            process.kill()
            process.wait()
    assert {kind for kind, _name, _program in sampler.hits} == {"command line", "environment"}
    (tmp_path / "log").write_text(f"{value}\n")
    assert sweep.files([tmp_path], wanted) == {str(tmp_path / "log"): ["planted"]}
    planted = platform.data_dir / "runtime" / "planted"
    try:
        planted.write_text(value)
        planted.chmod(0o644)
        assert sweep.readable_by_others(platform.data_dir, wanted) == {str(planted): ["planted"]}
    finally:
        planted.unlink()
