"""The EXAMPLES of the S3 modules, run as they stand as one playbook on the test server."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Unsafe(str):
    """A text that Ansible must not take for a template."""


yaml.SafeDumper.add_representer(Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value), style='"'))


def examples(name):
    return yaml.safe_load(importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").EXAMPLES)


def play(tmp_path, connection, tasks):
    """Run `tasks` as a playbook; return the finished process."""
    variables = yaml.safe_load((ROOT / "tests/integration/examples_vars_s3.yml").read_text(encoding="utf-8"))
    variables.update({f"s3_{key}": Unsafe(connection[key]) for key in ("endpoint_url", "access_key", "secret_key")})
    given = tmp_path / "vars.yml"
    given.touch(mode=0o600)
    given.write_text(yaml.safe_dump(variables), encoding="utf-8")
    book = tmp_path / "play.yml"
    book.write_text(
        yaml.safe_dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    if connection.get("ca_bundle"):
        env["AWS_CA_BUNDLE"] = connection["ca_bundle"]
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", f"@{given}"]
    return subprocess.run(
        [*command, "-e", f"ansible_python_interpreter={sys.executable}", str(book)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_examples(tmp_path, s3_connection):
    """Info is asked while the bucket of the examples is there: before the task that removes it."""
    tasks = examples("s3_bucket")
    tasks[1]["block"][-2:-2] = examples("s3_bucket_info")
    done = play(tmp_path, s3_connection, tasks)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert s3_connection["secret_key"] not in done.stdout + done.stderr
    results = {}
    for task in json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]:
        results[task["task"]["name"]] = task["hosts"]["localhost"]
    changed = {name for name, result in results.items() if result["changed"]}
    assert changed == set(results) - {
        "The names of all buckets, in one request",
        "All that the server says of one bucket",
        "Which buckets keep versions, with the connection given in full",
    }
    assert results["All that the server says of one bucket"]["buckets"][0]["versioning"] == "enabled"
    assert results["A bucket whose new objects stay for 30 days"]["bucket"]["object_lock"]["days"] == 30
