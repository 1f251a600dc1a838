"""Time of a call that changes nothing: postgresql_role and postgresql_database against community.postgresql, as whole Ansible tasks.

    MLOPS_TEST_CONNECTIONS=connections.json python tests/benchmarks/bench_postgresql.py [--rounds 15]

All tasks are in one play and take turns, so that a busy machine slows each of them alike. Printed are the median of each case, and
the median over the rounds of (ours / theirs). Three pairs per module:

- settings   the same settings on both sides, one task each
- state      the same wanted state, with as many community tasks as that takes
- floor      ansible.builtin.ping, which does nothing: what no module can go below
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLBACK = """
from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "times"

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.start = time.perf_counter()

    def v2_runner_on_ok(self, result):
        seconds = time.perf_counter() - self.start
        with open(os.environ["BENCH_TIMES"], "a", encoding="utf-8") as times:
            times.write(json.dumps([result._task.name, seconds, result._result.get("changed", False)]) + "\\n")
"""


def cases(connection, name, password):
    """Return (setup, measured, cleanup): lists of (case, module, arguments); a case may have several tasks."""
    ours = {key: connection[key] for key in ("login_host", "login_port", "login_user", "login_password", "login_db") if key in connection}
    theirs = {key: value for key, value in ours.items() if key != "login_db"}
    user = {"name": name, "password": password, "comment": "bench"}
    group, database = {"name": f"{name}_group"}, {"name": name, "owner": name, "comment": "bench"}
    lock = {**theirs, "database": name, "state": "absent", "privs": "ALL", "role": "PUBLIC"}
    role = ("mlops.platform.postgresql_role", {**ours, **user, "login": True, "superuser": False, "createdb": False})
    measured = [
        ("ping", "ansible.builtin.ping", {}),
        ("role, settings, ours", *role),
        (
            "role, settings, theirs",
            "community.postgresql.postgresql_user",
            {**theirs, **user, "login_db": connection["login_db"], "role_attr_flags": "LOGIN,NOSUPERUSER,NOCREATEDB"},
        ),
        ("database, settings, ours", "mlops.platform.postgresql_database", {**ours, **database}),
        ("database, settings, theirs", "community.postgresql.postgresql_db", {**theirs, **database}),
        ("role, state, ours", role[0], {**role[1], "member_of": [group["name"]]}),
        (
            "role, state, theirs",
            "community.postgresql.postgresql_user",
            {**theirs, **user, "login_db": connection["login_db"], "role_attr_flags": "LOGIN,NOSUPERUSER,NOCREATEDB"},
        ),
        (
            "role, state, theirs",
            "community.postgresql.postgresql_membership",
            {**theirs, "login_db": connection["login_db"], "source_role": group["name"], "target_roles": [name]},
        ),
        (
            "database, state, ours",
            "mlops.platform.postgresql_database",
            {**ours, **database, "extensions": ["plpgsql"], "lock_public": True},
        ),
        ("database, state, theirs", "community.postgresql.postgresql_db", {**theirs, **database}),
        ("database, state, theirs", "community.postgresql.postgresql_ext", {**theirs, "login_db": name, "name": "plpgsql"}),
        ("database, state, theirs", "community.postgresql.postgresql_privs", {**lock, "type": "database", "objs": name}),
        ("database, state, theirs", "community.postgresql.postgresql_privs", {**lock, "type": "schema", "objs": "public"}),
    ]
    setup = [("setup", "mlops.platform.postgresql_role", {**ours, **group})]
    setup += [("setup", *case[1:]) for case in measured if case[0].endswith("ours")]
    cleanup = [
        ("cleanup", "mlops.platform.postgresql_database", {**ours, "name": name, "state": "absent", "force": True}),
        ("cleanup", "mlops.platform.postgresql_role", {**ours, "name": name, "state": "absent"}),
        ("cleanup", "mlops.platform.postgresql_role", {**ours, **group, "state": "absent"}),
    ]
    return setup, measured, cleanup


def run(connection, rounds):
    """Run the play; return the measured rows (case, seconds, changed) in order."""
    setup, measured, cleanup = cases(connection, f"bench_{secrets.token_hex(4)}", secrets.token_urlsafe(18))
    tasks = [{"name": case, module: arguments} for case, module, arguments in setup + measured * (rounds + 1)]
    always = [{"name": case, module: arguments} for case, module, arguments in cleanup]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"block": tasks, "always": always}]}
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        (base / "plugins").mkdir()
        (base / "plugins" / "times.py").write_text(CALLBACK, encoding="utf-8")
        (base / "play.json").write_text(json.dumps([play]), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(base / "plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "times",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "BENCH_TIMES": str(base / "times"),
        }
        command = ["ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", str(base / "play.json")]
        command[0] = str(Path(sys.executable).parent / command[0])
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        rows = [json.loads(line) for line in (base / "times").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row[0] not in ("setup", "cleanup")]
    changed = {case for case, _seconds, changed in rows if changed}
    assert not changed, f"these calls changed something: {changed}"
    # the first round packs the modules and warms the caches
    return rows[len(measured) :], len(measured)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    connection = json.loads(Path(os.environ["MLOPS_TEST_CONNECTIONS"]).read_text(encoding="utf-8"))["postgresql"]
    rows, per_round = run(connection, rounds)
    totals = collections.defaultdict(list)
    for start in range(0, len(rows), per_round):
        sums = collections.Counter()
        for case, seconds, _changed in rows[start : start + per_round]:
            sums[case] += seconds
        for case, seconds in sums.items():
            totals[case].append(seconds)
    for case, seconds in totals.items():
        print(f"{case:30} {statistics.median(seconds) * 1000:7.1f} ms")
    for pair in ("role, settings", "database, settings", "role, state", "database, state"):
        ours, theirs = totals[f"{pair}, ours"], totals[f"{pair}, theirs"]
        ratio = statistics.median(one / other for one, other in zip(ours, theirs))
        floor = statistics.median(one / other for one, other in zip(totals["ping"], theirs))
        print(f"{pair:30} {ratio:7.2f} of community.postgresql (floor {floor:.2f})")


if __name__ == "__main__":
    main()
