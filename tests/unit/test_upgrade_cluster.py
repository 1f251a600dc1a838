"""The role upgrade in a cluster: what it reads there, what it refuses, and when site.yml leaves it at a rolling update."""

from __future__ import annotations

import importlib.util
import json
import sys
import types

import pytest
from lib.render import ROOT, Roles, within
from lib.render_preflight import problems
from test_settled import HERE, refusals

OLD = {"image": "ghcr.io/mlflow/mlflow:v3.16.0-full", "version": "3.16.0"}
NEW = {"image": "ghcr.io/mlflow/mlflow:v3.17.2-full", "version": "3.17.2"}
SAYS = {"rc": 0, "stderr": "", "stderr_lines": [], "version": "", "rows": {}}


def cluster(server=OLD["image"], journal=None, holder=None, bare=False):
    """Return what preflight has found: the Deployment with its image, and the journal."""
    containers = [{"name": "mlflow", "image": server}]
    found = [{"spec": {"template": {"spec": {"containers": containers}}}}] if server else []
    notes = [{"data": {"journal": json.dumps(journal or {}), "holder": json.dumps(holder or {})}}] if journal or holder else []
    return {"bare": bare, "server": "https://c", "apis": {}, "objects": {"mlflow_server": found, "upgrade": notes}}


def half_way(state, **more):
    return cluster(journal={"state": state, "from": OLD, "to": NEW, "updated": "2026-11-29T04:00:00Z", **more})


def value(expression, found=None, **overrides):
    given = {
        "mlops_substrate": "kubernetes",
        "mlops_cluster": found or cluster(),
        "upgrade_from": OLD,
        "upgrade_to": NEW,
        "upgrade_schema": SAYS,
        "upgrade_schema_new": {**SAYS, "rc": 11},
        "upgrade_looked": {"rows": {}, "problems": []},
        "backup_problems": [],
        **overrides,
    }
    return Roles("postgresql", "object_store", "mlflow", "upgrade", **given).value(expression, **within("upgrade"))


@pytest.mark.parametrize(
    "found, given, expected",
    [
        (cluster(), {}, True),
        (cluster(), {"mlflow_image": OLD["image"]}, False),
        (cluster(NEW["image"]), {}, False),
        # neither a namespace alone nor none is an installation
        (cluster(""), {}, False),
        (cluster(bare=True), {}, False),
        (half_way("migrating"), {}, True),
        (half_way("stopped"), {"mlflow_image": OLD["image"]}, True),
        (half_way("done"), {"mlflow_image": OLD["image"]}, False),
        # an image that has no name before it is built
        (cluster(), {"mlops_substrate": "openshift", "mlflow_build": True}, False),
    ],
    ids=str,
)
def test_when_there_is_something_to_look_at(found, given, expected):
    assert value("upgrade_needed", found, **given) is expected


@pytest.mark.parametrize(
    "image, version",
    [
        ("ghcr.io/mlflow/mlflow:v3.17.2-full", "3.17.2"),
        ("r.example.org:5000/mlflow:3.16.0@sha256:ab", ""),
        ("r.example.org:5000/mlflow", ""),
        ("r.example.org/mlflow:latest", ""),
    ],
)
def test_a_tag_says_the_version_until_the_image_does(image, version):
    assert value("upgrade_present", cluster(image)) == {"image": image, "version": version}


@pytest.mark.parametrize(
    "code, given, expected",
    [
        (0, {}, True),
        (11, {}, False),
        (12, {}, False),
        (-1, {}, False),
        # who asks for all steps gets them
        (0, {"mlops_upgrading": True}, False),
    ],
)
def test_site_yml_rolls_out_what_changes_no_schema(code, given, expected):
    assert value("upgrade_rolls", upgrade_schema_new={**SAYS, "rc": code}, **given) is expected


def test_an_upgrade_that_was_begun_is_no_rolling_update():
    assert value("upgrade_rolls", half_way("stopped"), upgrade_schema_new=SAYS) is False


@pytest.mark.parametrize(
    "found, given, expected",
    [
        (cluster(), {}, False),
        (cluster(), {"upgrade_back": True}, True),
        (half_way("returning"), {}, True),
        (half_way("migrating"), {}, False),
        (half_way("stopped"), {}, False),
        (half_way("stopped"), {"mlflow_image": OLD["image"]}, True),
    ],
    ids=str,
)
def test_when_it_goes_back_before_anything_else(found, given, expected):
    assert value("upgrade_returns", found, **given) is expected


def test_nothing_is_wrong():
    assert value("upgrade_problems") == []
    assert value("upgrade_problems", half_way("migrating"), upgrade_schema={}) == []


@pytest.mark.parametrize(
    "found, given, words",
    [
        (
            None,
            {"upgrade_schema_new": {**SAYS, "rc": 12, "stderr": "tracking: newer than this MLflow"}},
            "tracking: newer than this MLflow",
        ),
        (
            None,
            {"upgrade_schema_new": {**SAYS, "rc": -1, "stderr": "ImagePullBackOff"}},
            "v3.17.2-full does not take the databases: ImagePull",
        ),
        (None, {"upgrade_schema": {**SAYS, "rc": 12, "stderr": "auth: newer"}}, "there would be no way back: auth: newer"),
        (None, {"upgrade_from": NEW, "upgrade_to": OLD}, "have no way down"),
        (None, {"upgrade_to": {"image": "m:4", "version": "4.0.0"}}, "the step from MLflow 3.16.0 to 4.0.0"),
        (half_way("migrating"), {"mlflow_image": OLD["image"]}, "was left half-way"),
        (None, {"backup_problems": ["postgresql_engine: cloudnative_pg has no backup"]}, "cloudnative_pg has no backup"),
    ],
)
def test_what_is_refused(found, given, words):
    problems = value("upgrade_problems", found, **given)
    assert [problem for problem in problems if words in problem], problems


def test_versions_that_no_image_has_said_are_not_compared():
    assert value("upgrade_problems", upgrade_from={"image": "m:a", "version": ""}, upgrade_to={"image": "m:b", "version": "unknown"}) == []


def test_a_backup_of_ones_own_needs_none_of_ours():
    assert value("upgrade_problems", upgrade_backup=False, backup_problems=["postgresql_engine: external has no backup"]) == []


def test_the_image_that_is_meant_is_what_the_roles_use():
    """While it goes back, a user's -e mlflow_image still names the new one."""
    roles = Roles("mlflow", mlops_substrate="kubernetes", mlflow_image=NEW["image"])
    roles.variables |= roles.load(ROOT / "roles/mlflow/vars/kubernetes.yml")
    for chosen, image in (({}, NEW["image"]), (OLD, OLD["image"])):
        assert roles.value("mlflow_image_used", mlops_mlflow_chosen=chosen) == image
    assert roles.value("[mlflow_image_version, mlflow_password_in_file]", mlops_mlflow_chosen=OLD) == ["3.16.0-full", True]
    assert roles.value("mlflow_password_in_file", mlops_mlflow_chosen=NEW) is False
    assert roles.value("mlflow_password_in_file", mlflow_image="r.example.org/mlflow:latest") is False


@pytest.mark.parametrize("state, words", [("migrating", "was left half-way"), ("done", "")])
def test_site_yml_does_not_meet_one_that_is_half_way(state, words):
    found = [what for what, _remedy in problems("kubernetes", cluster=half_way(state)) if "upgrade of MLflow" in what]
    assert [words in what for what in found] == ([True] if words else [])
    assert problems("kubernetes", cluster=half_way(state), mlops_upgrading=True) == problems("kubernetes", cluster=cluster())


@pytest.mark.parametrize(
    "found, words", [(half_way("returning"), "was left half-way in the namespace mlops (returning"), (half_way("done"), "")]
)
def test_a_restore_does_not_meet_one_that_is_half_way(found, words):
    told = refusals(mlops_substrate="kubernetes", mlops_cluster=found)
    assert [words in message for message in told] == ([True] if words else [])


def test_nor_one_that_is_under_way():
    (message,) = refusals(mlops_substrate="kubernetes", mlops_cluster=cluster(holder=HERE))
    assert f"{HERE['user']} on {HERE['host']}, process {HERE['pid']}, upgrades MLflow in the namespace mlops since" in message


@pytest.fixture
def look(monkeypatch):
    """The program of the pod, with the two that are beside it there."""
    loaded = {}
    for name, role in (("mlflow_schema", "mlflow"), ("upgrade_look", "upgrade"), ("upgrade_look_pod", "upgrade")):
        spec = importlib.util.spec_from_file_location(name, ROOT / "roles" / role / "files" / f"{name}.py")
        loaded[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded[name])
        spec.loader.exec_module(loaded[name])
    return loaded["upgrade_look_pod"]


class Cursor:
    """One of a database with three tables, of which one is not a user's."""

    def execute(self, query):
        self.found = [("runs",), ("experiments",), ("alembic_version",)] if "pg_tables" in query else [(7,)]

    def fetchall(self):
        return self.found

    def fetchone(self):
        return self.found[0]


def test_a_pod_says_what_its_image_thinks_of_the_databases(look, monkeypatch, tmp_path):
    schema = sys.modules["mlflow_schema"]
    here = types.SimpleNamespace(name="tracking")
    away = types.SimpleNamespace(name="auth")
    states = {
        "tracking": schema.State(schema.BEHIND, ["a"], "tracking: behind"),
        "auth": schema.State(schema.UNREACHABLE, [], "auth: refused"),
    }
    monkeypatch.setattr(schema, "databases", lambda environ: [here, away])
    monkeypatch.setattr(schema, "read_state", lambda database: states[database.name])

    class Connected:
        def __init__(self, database):
            assert database is here

        def __enter__(self):
            return Cursor()

        def __exit__(self, *_unused):
            return None

    monkeypatch.setattr(schema, "connect", Connected)
    monkeypatch.setattr(look.importlib.metadata, "version", lambda name: "3.17.2")
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "log"))
    assert look.main() == 0
    assert json.loads((tmp_path / "log").read_text()) == {
        "version": "3.17.2",
        "code": schema.UNREACHABLE,
        "words": ["tracking: behind", "auth: refused"],
        "rows": {"tracking.experiments": 7, "tracking.runs": 7},
    }


def test_a_pod_without_the_servers_environment_says_so(look, monkeypatch, tmp_path):
    def refuse(environ):
        raise sys.modules["mlflow_schema"].SchemaError(16, "_MLFLOW_SERVER_FILE_STORE is not set")

    monkeypatch.setattr(sys.modules["mlflow_schema"], "databases", refuse)
    monkeypatch.setattr(look.importlib.metadata, "version", lambda name: "3.17.2")
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "log"))
    assert look.main() == 0
    answer = json.loads((tmp_path / "log").read_text())
    assert (answer["code"], answer["words"], answer["rows"]) == (16, ["_MLFLOW_SERVER_FILE_STORE is not set"], {})
