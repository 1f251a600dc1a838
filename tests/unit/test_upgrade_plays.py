"""The role upgrade as a play: in which order it calls the other roles, with which image or version, and what it writes down.

The other roles are stand-ins that say that they were called, and the API server is one that keeps objects.
"""

from __future__ import annotations

import json
import re
import sys
import time

import pytest
from lib.api_objects import ObjectServer
from lib.api_server import Refused
from lib.long_tests import LONG
from lib.plays import run_play
from lib.render import ROOT

# each is a run of Ansible with a hundred tasks
pytestmark = LONG

OLD, NEW = "r.example.org/m:old", "r.example.org/m:new"
FROM, TO = {"image": OLD, "version": "3.16.0"}, {"image": NEW, "version": "3.17.2"}
STUBS = {
    "mlflow": ["main", "facts", "look_kubernetes", "stop_kubernetes", "migrate_kubernetes", "forget_migration", "reach", "leave"],
    "backup": ["main", "take", "program", "restore", "said_kubernetes"],
    "postgresql": ["main", "facts", "verify"],
    "object_store": ["main", "facts", "verify"],
    "ingress": ["main", "facts", "verify"],
    "kubernetes_cluster": ["main"],
    "local_host": ["main"],
    "local_runtime": ["main", "path"],
    "local_service": ["stop"],
}
# what a stand-in leaves behind, as the role that it stands for
LEFT = {
    "mlflow look_kubernetes": {"mlflow_looked": "{{ looks[mlflow_look_image] }}"},
    "mlflow reach": {"mlflow_urls": ["{{ serves }}/{{ mlops_mlflow_chosen.version }}"]},
    "backup said_kubernetes": {"backup_said": "{{ backups_said }}"},
    "backup take": {"backup_answer": {"name": "the-backup", "installation": "4711"}},
}


class Server(ObjectServer):
    """An API server that makes objects too; below /mlflow it is an MLflow of any version."""

    def _many(self, asked, version, kind):
        if asked.method != "POST":
            return super()._many(asked, version, kind)
        if asked.body["metadata"]["name"] in self.names(kind):
            raise Refused(409, "already exists", "AlreadyExists")
        more = {key: value for key, value in asked.body.items() if key not in ("apiVersion", "kind", "metadata")}
        made = self.put(version, kind, asked.body["metadata"]["name"], asked.body["metadata"].get("labels"), **more)
        made["metadata"]["resourceVersion"] = "1"
        return made

    def find(self, asked):
        if version := re.match(r"/mlflow/([\d.]+)/version$", asked.path):
            return version[1]
        if asked.path.startswith("/mlflow/"):
            raise Refused(404, "no basic auth")
        return super().find(asked)


@pytest.fixture
def server():
    found = Server("ns")
    yield found
    found.close()


@pytest.fixture
def collection(tmp_path):
    """The collection with stand-ins in the place of the roles that this one calls."""
    place = tmp_path / "collections/ansible_collections/mlops/platform"
    (place / "roles").mkdir(parents=True)
    for name in ("plugins", "meta", "galaxy.yml", "roles/upgrade", "roles/common"):
        (place / name).symlink_to(ROOT / name)
    for role, files in STUBS.items():
        (place / "roles" / role / "tasks").mkdir(parents=True)
        for name in files:
            called = f"{role} {name}"
            image = (
                "{{ mlflow_look_image if '"
                + name
                + "' == 'look_kubernetes' else (mlops_mlflow_chosen | default({})).image | default('-') }}"
            )
            tasks = [
                {"ansible.builtin.debug": {"msg": f"CALLED {called} {image} END"}},
                {
                    "ansible.builtin.fail": {"msg": f"{called} broke"},
                    "when": f"'{called} ' ~ (mlops_mlflow_chosen | default({{}})).image | default('-') in breaks",
                },
                *([{"ansible.builtin.set_fact": LEFT[called]}] if called in LEFT else []),
            ]
            (place / "roles" / role / "tasks" / f"{name}.yml").write_text(json.dumps(tasks))
    # the program that a host is given
    (place / "roles/mlflow/files").symlink_to(ROOT / "roles/mlflow/files")
    return tmp_path / "collections"


@pytest.fixture
def upgrade(server, collection, tmp_path):
    """Return a function that runs the role; it returns (exit code, the calls in order, output in one line, the journal)."""

    def run(journal=None, code=11, playbook=True, **more):
        if journal:
            server.put("v1", "ConfigMap", "mlops-upgrade", data={"journal": json.dumps(journal)}, metadata={"resourceVersion": "1"})
        containers = [{"name": "mlflow", "image": NEW if journal and journal["state"] == "done" else OLD}]
        found = {
            "mlflow_server": [{"spec": {"template": {"spec": {"containers": containers}}}}],
            "upgrade": [{"data": {"journal": json.dumps(journal)}}] if journal else [],
        }
        given = {
            "mlops_substrate": "kubernetes",
            "mlops_namespace": "ns",
            "mlops_kube": server.params,
            "mlops_cluster": {"bare": False, "server": "https://c", "apis": {}, "objects": found},
            "mlops_upgrading": playbook,
            "ansible_python_interpreter": sys.executable,
            "mlflow_image": NEW,
            "mlflow_build": False,
            "mlflow_expose": "cluster",
            "mlflow_cluster_secret": {},
            "mlflow_admin": {"username": "admin", "password": "a password of an admin"},
            "mlflow_service_names": ["a", "b", "c"],
            "ingress_endpoint": {"ca": "", "url": ""},
            "postgresql_has_login": False,
            "object_store_engine": "external",
            "backup_problems": [],
            "backup_restore_confirm": "",
            "serves": f"{server.params['host']}/mlflow",
            "breaks": [],
            "looks": {
                OLD: {"version": "3.16.0", "code": 0, "words": [], "rows": {"tracking.runs": 5}},
                NEW: {"version": "3.17.2", "code": code, "words": ["tracking: behind"], "rows": {"tracking.runs": 5}},
            },
            **more,
        }
        begin, site, leave = (
            {"ansible.builtin.import_role": {"name": "mlops.platform.upgrade", "tasks_from": name}} for name in ("begin", "site", "leave")
        )
        play = {"tasks": [{"block": [begin, site] if playbook else [site], "always": [leave]}]}
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(collection), "TMPDIR": str(tmp_path)}
        ended, output = run_play(tmp_path, play, given, **environment)
        output = re.sub(r"\s+", " ", output)
        calls = [f"{name} {image.rpartition(':')[2]}" for name, image in re.findall(r"CALLED (\w+ \w+) (\S+) END", output)]
        data = server.get("ConfigMap", "mlops-upgrade")["data"] if "mlops-upgrade" in server.names("ConfigMap") else {}
        assert json.loads(data.get("holder", "{}")) == {}, "it let nobody else in"
        return ended, calls, output, json.loads(data.get("journal", "{}"))

    return run


ASKED = ["mlflow look_kubernetes new", "mlflow look_kubernetes old"]
SAVED = ["backup main old", "backup take old"]
STOPPED = [*SAVED, "mlflow stop_kubernetes old", *SAVED, "mlflow look_kubernetes old"]
MIGRATED = ["mlflow migrate_kubernetes new", "mlflow look_kubernetes new"]
VERIFIED = ["mlflow reach new", "mlflow leave new"]
BACK = ["mlflow forget_migration old", "backup main old", "backup restore old", "mlflow reach old", "mlflow leave old"]
PREPARED = [
    f"{name} old" for name in ("kubernetes_cluster main", "postgresql facts", "object_store facts", "mlflow facts", "backup program")
]


def test_all_goes_well(upgrade):
    code, calls, output, journal = upgrade()
    assert code == 0, output
    assert calls == [*ASKED, *STOPPED, *MIGRATED, "mlflow main new", *VERIFIED]
    assert "upgraded MLflow from 3.16.0 to 3.17.2" in output
    assert (journal["state"], journal["backup"], journal["from"], journal["to"]) == ("done", "the-backup", FROM, TO)
    assert journal["rows"] == {"tracking.runs": 5}


def test_site_yml_leaves_an_image_that_changes_no_schema_to_the_rolling_update(upgrade):
    code, calls, output, journal = upgrade(code=0, playbook=False)
    assert code == 0, output
    assert calls == ASKED[:1] and journal == {}
    assert "changes neither schema" in output


@pytest.mark.parametrize(
    "breaks, before, restored",
    [
        ("backup take old", [*ASKED, *SAVED], False),
        ("mlflow migrate_kubernetes new", [*ASKED, *STOPPED, *MIGRATED[:1]], True),
        ("mlflow main new", [*ASKED, *STOPPED, *MIGRATED, "mlflow main new"], True),
    ],
)
def test_what_fails_goes_back_by_itself(upgrade, breaks, before, restored):
    code, calls, output, journal = upgrade(breaks=[f"{breaks[:-3]}{OLD if breaks.endswith('old') else NEW}"])
    assert code == 2
    assert calls == [*before, *(BACK if restored else ["mlflow main old", *BACK[-2:]])]
    assert f"{breaks[:-4]} broke. MLflow 3.16.0 runs again" in output
    assert ("with databases and objects of the backup the-backup" in output) is restored
    assert f"set mlflow_image to {OLD}" in output
    assert journal["state"] == "returned" and f"{breaks[:-4]} broke" in journal["failure"]


def test_rows_that_are_missing_after_the_migration_are_no_success(upgrade):
    looks = {
        OLD: {"version": "3.16.0", "code": 0, "words": [], "rows": {"tracking.runs": 5}},
        NEW: {"version": "3.17.2", "code": 11, "words": [], "rows": {"tracking.runs": 4}},
    }
    code, calls, output, journal = upgrade(looks=looks)
    assert code == 2 and calls[-len(BACK) :] == BACK
    assert "how many rows there are: tracking.runs" in output and journal["state"] == "returned"


def test_without_rollback_it_stands_where_it_failed(upgrade):
    code, calls, output, journal = upgrade(upgrade_fail_at="migrate", upgrade_rollback=False)
    assert code == 2 and calls == [*ASKED, *STOPPED, *MIGRATED[:1]]
    assert 'It stands at "migrating"' in output and journal["state"] == "migrating"


def left(state):
    return {
        "state": state,
        "from": FROM,
        "to": TO,
        "touched": True,
        "backup": "the-backup",
        "installation": "4711",
        "rows": {"tracking.runs": 5},
    }


def test_one_that_was_killed_in_the_migration_is_gone_on_with(upgrade):
    code, calls, output, journal = upgrade(left("migrating"))
    assert code == 0, output
    assert calls == [*ASKED[:1], "mlflow stop_kubernetes new", *MIGRATED, "mlflow main new", *VERIFIED]
    assert (journal["state"], journal["backup"]) == ("done", "the-backup")


def test_one_that_was_killed_on_its_way_back_goes_back(upgrade):
    code, calls, output, journal = upgrade({**left("returning"), "failure": "it was broken"})
    assert code == 2
    assert calls == [*PREPARED, *BACK]
    assert "had failed: it was broken" in output and journal["state"] == "returned"


def test_by_hand_it_goes_back_once_the_namespace_was_typed(upgrade):
    code, calls, output, journal = upgrade(left("done"), upgrade_back=True, backup_restore_confirm="yes")
    assert (code, calls, journal["state"]) == (2, [], "done") and "not confirmed" in output


def test_by_hand_it_goes_back(upgrade):
    code, calls, output, journal = upgrade(left("done"), upgrade_back=True, backup_restore_confirm="ns")
    assert code == 0, output
    assert calls == [*PREPARED, *BACK]
    assert journal["state"] == "returned" and f"Set mlflow_image to {OLD}" in output


def test_an_image_that_cannot_be_asked_is_told_before_anything_is_touched(upgrade):
    looks = {NEW: {"version": "", "code": 12, "words": ["tracking: newer than this MLflow"], "rows": {}}}
    looks[OLD] = {"version": "3.16.0", "code": 0, "words": [], "rows": {}}
    code, calls, output, journal = upgrade(looks=looks)
    assert (code, calls, journal) == (2, ASKED, {})
    assert f"{NEW} does not take the databases: tracking: newer than this MLflow" in output


# --- on a host ---------------------------------------------------------------------------------------------------------------------------

# says how many rows there are, in place of the tools' Python
COUNTS = """#!/bin/sh
cat >/dev/null
echo '{"verified": [], "rows": {"mlflow.runs": 5}, "megabytes": {}, "problems": []}'
"""
# in place of an environment's Python, which gets a program and its word
SCHEMA = """#!/bin/sh
echo "$3" >>"$(dirname "$0")/words"
exit 0
"""


@pytest.fixture
def on_host(server, collection, tmp_path):
    """Return a function that runs the role on a host; it returns (exit code, the calls in order, output in one line, the journal)."""
    data = tmp_path / "data"
    for folder in ("etc", "runtime/old/bin", "runtime/new/bin", "tools/bin"):
        (data / folder).mkdir(parents=True)
    for name in ("mlflow.env", "mlflow-bootstrap.env", "mlflow-15001.env"):
        (data / "etc" / name).touch()
    for name, text in (("runtime/old", SCHEMA), ("runtime/new", SCHEMA), ("tools", COUNTS)):
        program = data / name / "bin/python"
        program.write_text(text)
        program.chmod(0o755)
    host = {
        "data_dir": str(data),
        "bare": False,
        "run_as": [],
        "mlflow": {"version": "3.16.0", "environment": "old"},
        "environments": ["old", "new"],
    }

    def run(**more):
        given = {
            "mlops_host": {**host, "upgrade": {}, "upgrade_pending": False},
            "mlops_runtime": {"mlflow": "/runtime/new", "tools": str(data / "tools")},
            "postgresql_endpoint": {"host": "h", "port": 1, "passwords": {"mlflow": "a-secret"}},
            "mlops_upgrading": True,
            "ansible_python_interpreter": sys.executable,
            "object_store_engine": "seaweedfs",
            "mlops_mlflow_version": "3.17.2",
            "mlflow_admin": {"username": "admin", "password": "a password of an admin"},
            "mlflow_urls": [f"{server.params['host']}/mlflow/3.17.2"],
            "backup_problems": [],
            "breaks": [],
            **more,
        }
        begin, site, leave = (
            {"ansible.builtin.import_role": {"name": "mlops.platform.upgrade", "tasks_from": name}} for name in ("begin", "site", "leave")
        )
        ended, output = run_play(
            tmp_path, {"tasks": [{"block": [begin, site], "always": [leave]}]}, given, ANSIBLE_COLLECTIONS_PATH=str(collection)
        )
        output = re.sub(r"\s+", " ", output)
        calls = re.findall(r"CALLED (\w+ \w+) ", output)
        assert not (data / "upgrade/holder.json").exists()
        words = {name: (data / "runtime" / name / "bin/words") for name in ("old", "new")}
        said = {name: path.read_text().split() if path.exists() else [] for name, path in words.items()}
        journal = data / "upgrade/journal.json"
        return ended, calls, output, json.loads(journal.read_text()) if journal.exists() else {}, said

    return run


def test_on_a_host_the_steps_are_the_same(on_host):
    code, calls, output, journal, words = on_host()
    assert code == 0, output
    saved = ["backup main", "backup take"]
    installed = ["local_runtime path", "local_runtime main", "local_runtime path"]
    before = [*installed, *saved, "local_service stop", *saved, "local_runtime path"]
    assert calls == [*before, "mlflow main", "postgresql verify", "object_store verify", "ingress verify"]
    assert words == {"old": ["check"], "new": ["check", "upgrade"]}
    assert (journal["state"], journal["backup"], journal["rows"]) == ("done", "the-backup", {"mlflow.runs": 5})


def test_on_a_host_an_upgrade_without_a_backup_of_its_own_wants_one_that_is_new(on_host, tmp_path):
    code, calls, output, journal, words = on_host(upgrade_backup=False)
    assert (code, calls, journal, words["new"]) == (2, [], {}, [])
    assert "no backup of this platform is known here" in output
    metrics = tmp_path / "data/backup/mlops_backup.prom"
    metrics.parent.mkdir()
    # as the program writes it
    metrics.write_text(f"# TYPE a gauge\na 1\nmlops_backup_last_success_timestamp_seconds {time.time() - 30 * 3600!r}\nb 2.0\n")
    code, _calls, output, journal, _words = on_host(upgrade_backup=False)
    assert (code, journal) == (2, {}) and "taken 30 hours ago, and upgrade_backup_hours is 24" in output
    code, calls, output, journal, _words = on_host(upgrade_backup=False, upgrade_backup_hours=31)
    assert (code, journal["state"], journal["backup"]) == (0, "done", ""), output
    assert not [call for call in calls if call.startswith("backup")]


def test_in_a_cluster_the_newest_backup_is_the_one_that_a_job_has_told_of(upgrade):
    failed = {"ended": time.time(), "problem": "the destination is full"}
    told = [{"ended": time.time() - 30 * 3600, "size_bytes": 1}, {"ended": time.time() - 90 * 3600, "size_bytes": 1}, failed]
    code, _calls, output, journal = upgrade(upgrade_backup=False, backups_said=told)
    assert (code, journal) == (2, {}) and "taken 30 hours ago, and upgrade_backup_hours is 24" in output
    code, _calls, output, journal = upgrade(upgrade_backup=False, upgrade_backup_hours=31, backups_said=told)
    assert (code, journal["state"]) == (0, "done"), output


def test_of_backups_by_other_means_is_told_that_nobody_knows_their_age(upgrade):
    code, _calls, output, journal = upgrade(upgrade_backup=False, backups_said=[], backup_problems=["postgresql_external_user: ..."])
    assert (code, journal["state"]) == (0, "done") and "nobody here knows how old the newest one is" in output
