"""Time of an unchanged s3_bucket against amazon.aws.s3_bucket, with equal settings on the same server.

    MLOPS_TEST_CONNECTIONS=connections.json python tests/benchmarks/bench_s3_bucket.py [loops]

Two measures, each interleaved so that other load on the machine meets both sides: the whole process of a module, and a whole Ansible
task (packing, transfer and result included) within one playbook run. Prints medians in milliseconds and the ratio of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import datetime
from pathlib import Path

import botocore.session

ROOT = Path(__file__).resolve().parents[2]
OURS, THEIRS = "mlops.platform.s3_bucket", "amazon.aws.s3_bucket"
RUNNER = """
import json, runpy, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=json.loads(sys.argv[1]))._install()
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    runpy.run_module("ansible_collections." + sys.argv[2], run_name="__main__", alter_sys=True)
"""


def module_arguments(connection, bucket):
    """Return the arguments of both modules by name: the same connection, versioning and tags."""
    tags = {"purpose": "benchmark", "platform": "mlops"}
    common = {key: connection[key] for key in ("endpoint_url", "access_key", "secret_key", "region")}
    return {
        OURS: {**common, "name": bucket, "versioning": "enabled", "tags": tags},
        THEIRS: {**common, "name": bucket, "versioning": True, "tags": tags},
    }


def run_process(name, arguments):
    """Run module `name` once in a process of its own; return seconds and the result."""
    namespace, collection, module = name.split(".")
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps([str(ROOT / "collections")]), f"{namespace}.{collection}.plugins.modules.{module}"],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds, json.loads(done.stdout.strip().splitlines()[-1])


def time_processes(arguments, loops):
    """Return {module: [seconds, ...]} of whole processes."""
    times = {name: [] for name in arguments}
    for _unused in range(loops):
        for name, given in arguments.items():
            seconds, result = run_process(name, given)
            assert result["changed"] is False, result
            times[name].append(seconds)
    return times


def time_tasks(arguments, loops):
    """Return {module: [seconds, ...]} of whole tasks in one ansible-playbook run."""
    tasks = [{"name": name, name: given} for _unused in range(loops) for name, given in arguments.items()]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "play.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(play), encoding="utf-8")
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,",
                "-e",
                f"ansible_python_interpreter={sys.executable}",
                str(path),
            ],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    times = {name: [] for name in arguments}
    for task in json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]:
        assert task["hosts"]["localhost"]["changed"] is False, task
        start, end = (datetime.fromisoformat(task["task"]["duration"][edge].rstrip("Z")) for edge in ("start", "end"))
        times[task["task"]["name"]].append((end - start).total_seconds())
    return times


def report(measure, times):
    """Print the medians of both modules and their ratio."""
    ours, theirs = (statistics.median(times[name]) * 1000 for name in (OURS, THEIRS))
    print(f"{measure:<10} {OURS} {ours:6.0f} ms   {THEIRS} {theirs:6.0f} ms   ratio {ours / theirs:.2f}   n={len(times[OURS])}")


def main():
    """Run both measures against a bucket made for it."""
    loops = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    connection = json.loads(Path(os.environ["MLOPS_TEST_CONNECTIONS"]).read_text(encoding="utf-8"))["s3"]
    bucket = f"bench-{uuid.uuid4().hex[:12]}"
    arguments = module_arguments(connection, bucket)
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=connection["endpoint_url"],
        region_name=connection["region"],
        aws_access_key_id=connection["access_key"],
        aws_secret_access_key=connection["secret_key"],
        verify=connection.get("ca_bundle"),
    )
    try:
        for name, given in arguments.items():  # create it, and warm the caches of both sides
            run_process(name, given)
        report("processes", time_processes(arguments, loops))
        report("tasks", time_tasks(arguments, loops))
    finally:
        client.delete_bucket(Bucket=bucket)


if __name__ == "__main__":
    main()
