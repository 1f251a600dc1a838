"""The minio_* modules against a stand-in for MinIO's admin API (lib.minio_admin) that speaks its wire format; not against MinIO itself."""

from __future__ import annotations

import importlib
import json
import socket

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.doc_fragments.minio import ModuleDocFragment
from ansible_collections.mlops.platform.plugins.module_utils import minio
from lib.minio_admin import ROOT_PASSWORD, ROOT_USER, Answer, MinioServer
from lib.modules import run_in_process, run_module

MODULES = ["minio_policy", "minio_user"]
SECRET, OTHER = "the-first-secret-key", "another-secret-key-of-it"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::bkt/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObjectVersion", "Resource": ["arn:aws:s3:::bkt/*"]},
    ],
}


@pytest.fixture
def server():
    found = MinioServer()
    yield found
    found.close()


def run(server, module, check=False, diff=False, runner=run_in_process, **options):
    """Run a module against the stand-in; its result must show no secret."""
    connection = {"endpoint_url": server.url, "access_key": ROOT_USER, "secret_key": ROOT_PASSWORD}
    result = runner(module, {**connection, **options}, check=check, diff=diff)
    shown = json.dumps(result)
    for secret in (ROOT_PASSWORD, SECRET, OTHER):
        assert secret not in shown
    return result


def writes(server):
    """Return the calls since the last look that may change something."""
    found = [name for name in server.requests if name not in ("user-info", "info-canned-policy")]
    server.requests.clear()
    return found


def does(server, expected, module="minio_user", **options):
    """Run in check mode, for real and again: the prediction is true and the second run changes nothing. Return the real run's result."""
    server.requests.clear()
    predicted = run(server, module, check=True, diff=True, **options)
    assert writes(server) == []
    done = run(server, module, diff=True, **options)
    assert not done.get("failed"), done
    again = run(server, module, **options)
    assert predicted["changes"] == done["changes"] == expected
    assert (predicted["changed"], done["changed"]) == (bool(expected), bool(expected))
    assert predicted["diff"] == done["diff"]
    assert (again["changes"], again["changed"]) == ([], False)
    return done


# --- users -------------------------------------------------------------------------------------------------------------------------------


def test_a_user_from_its_creation_to_its_end(server):
    server.policies |= {"one": {}, "two": {}}
    done = does(server, ["create", "attach policies one, two"], **user(user_secret_key=SECRET, policies=["two", "one"]))
    assert done["user"] == {"name": "mlflow-key", "enabled": True, "policies": ["one", "two"], "groups": []}
    assert done["diff"]["before"] == {"state": "absent"}
    assert (server.users["mlflow-key"]["secret"], server.users["mlflow-key"]["policies"]) == (SECRET, {"one", "two"})

    done = does(server, ["update secret key"], **user(user_secret_key=OTHER))
    assert (done["diff"]["before"]["secret_key"], done["diff"]["after"]["secret_key"]) == ("set", "changed")
    assert (server.users["mlflow-key"]["secret"], server.users["mlflow-key"]["policies"]) == (OTHER, {"one", "two"})

    does(server, ["attach policies readonly", "detach policies one, two"], **user(policies=["readonly"]))
    does(server, ["disable"], **user(enabled=False))
    does(server, ["enable", "detach policies readonly"], **user(enabled=True, policies=[]))
    does(server, ["delete"], **user(state="absent"))
    assert server.users == {}


def user(**options):
    return {"name": "mlflow-key", **options}


def made(server, **options):
    """Make a user as the stand-in keeps it."""
    server.users["mlflow-key"] = {"secret": SECRET, "enabled": True, "policies": {"readonly"}, "groups": ["team"], **options}
    return server.users["mlflow-key"]


def test_what_is_not_set_is_not_touched(server):
    for enabled in (True, False):
        before = made(server, enabled=enabled)
        kept = dict(before)
        does(server, [], **user())
        assert before == kept


def test_the_policies_of_groups_are_not_the_users(server):
    made(server)
    assert run(server, "minio_user", **user(policies=["readonly"]))["user"]["groups"] == ["team"]


def test_a_secret_key_is_tried_by_an_identity_that_may_list_nothing(server):
    made(server)
    server.lists_buckets = False
    does(server, [], **user(user_secret_key=SECRET))
    does(server, ["update secret key"], **user(user_secret_key=OTHER))


def test_a_secret_key_for_new_users_only(server):
    made(server)
    does(server, [], **user(user_secret_key=OTHER, update_secret_key="on_create"))
    assert server.users["mlflow-key"]["secret"] == SECRET


def test_the_secret_key_of_a_disabled_user_cannot_be_known(server):
    made(server, enabled=False)
    # warnings are in the result of a module that runs by itself
    result = run(server, "minio_user", runner=run_module, **user(user_secret_key=OTHER))
    assert not result["changed"] and "cannot be known" in str(result["warnings"])
    assert server.users["mlflow-key"] == {"secret": SECRET, "enabled": False, "policies": {"readonly"}, "groups": ["team"]}
    # once it is enabled, it is tried; a check cannot
    predicted = run(server, "minio_user", check=True, runner=run_module, **user(user_secret_key=OTHER, enabled=True))
    assert predicted["changes"] == ["enable"] and "cannot be known" in str(predicted["warnings"])
    assert run(server, "minio_user", **user(user_secret_key=OTHER, enabled=True))["changes"] == ["enable", "update secret key"]


def test_a_user_that_is_disabled_with_another_secret_key(server):
    made(server)
    does_not_know = run(server, "minio_user", **user(user_secret_key=OTHER, enabled=False))
    assert does_not_know["changes"] == ["update secret key", "disable"]
    assert (server.users["mlflow-key"]["secret"], server.users["mlflow-key"]["enabled"]) == (OTHER, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "user_secret_key is required to create it"),
        ({"user_secret_key": "short"}, "at least 8 characters"),
        ({"user_secret_key": SECRET, "name": "a=b"}, "neither = nor a comma"),
        ({"user_secret_key": SECRET, "name": ROOT_USER}, "administrator's own"),
        ({"user_secret_key": SECRET, "policies": ["none-such"]}, "make the policy first"),
    ],
)
def test_what_the_server_refuses_of_a_user(server, options, words):
    result = run(server, "minio_user", **user(**options))
    assert result["failed"] and words in result["msg"], result["msg"]


def test_what_was_done_before_a_failure_is_told(server):
    result = run(server, "minio_user", **user(user_secret_key=SECRET, policies=["none-such"]))
    assert result["changed"] and result["changes"] == ["create", "attach policies none-such"]


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("set-user-status", {"enabled": False}, "shows another enabled"),
        ("idp/builtin/policy/attach", {"policies": ["readonly", "writeonly"]}, "shows another policies"),
        ("add-user", {"user_secret_key": OTHER}, "does not let the user in with it"),
    ],
)
def test_a_change_that_did_not_happen_is_an_error(server, command, options, words):
    made(server)
    server.forgets.add(command)
    result = run(server, "minio_user", **user(**options))
    assert result["failed"] and words in result["msg"]


def test_an_older_servers_answer_to_attach(server):
    """201 without a body, which the SDK takes for an error."""
    made(server)["policies"] = set()
    server.fail["idp/builtin/policy/attach"] = Answer(201, b"")
    result = run(server, "minio_user", **user(policies=["readonly"]))
    # it did nothing here, and that is what is told: not the answer
    assert "shows another policies" in result["msg"]


# --- policies ----------------------------------------------------------------------------------------------------------------------------


def test_a_policy_from_its_creation_to_its_end(server):
    done = does(server, ["create"], "minio_policy", name="mlflow", policy=POLICY)
    # the server writes it down in its own way, which is the same policy
    assert done["policy"] == POLICY != server.policies["mlflow"]
    narrower = {**POLICY, "Statement": POLICY["Statement"][:1]}
    done = does(server, ["update"], "minio_policy", name="mlflow", policy=narrower)
    assert len(done["diff"]["before"]["Statement"]) == 2 and len(done["policy"]["Statement"]) == 1
    does(server, ["delete"], "minio_policy", name="mlflow", state="absent")
    assert "mlflow" not in server.policies


def test_a_policy_in_use_is_not_removed(server):
    server.policies["mlflow"] = POLICY
    made(server)["policies"] = {"mlflow"}
    result = run(server, "minio_policy", name="mlflow", state="absent")
    assert result["failed"] and "detach it" in result["msg"]


def test_a_policy_that_was_not_taken_is_an_error(server):
    server.forgets.add("add-canned-policy")
    result = run(server, "minio_policy", name="mlflow", policy=POLICY)
    assert result["failed"] and "shows another one" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "policy"),
        ({"policy": "no json"}, "it is not JSON"),
        ({"policy": {}}, "set state to absent"),
        ({"policy": {"Version": "x"}}, "Statement"),
    ],
)
def test_a_policy_is_checked_before_any_request(server, options, words):
    result = run(server, "minio_policy", name="mlflow", **options)
    assert result["failed"] and words in result["msg"] and server.requests == []


# --- the connection ----------------------------------------------------------------------------------------------------------------------


def attempt(name, url, **options):
    given = {"endpoint_url": url, "access_key": ROOT_USER, "secret_key": ROOT_PASSWORD, "name": "mlflow-key", "state": "absent"}
    return run_in_process(name, {**given, **options})


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access_key": "no-such-key"}, "check access_key"),
        ({"secret_key": "not-the-right-one"}, "check secret_key"),
        ({"access_key": "mlflow-key", "secret_key": SECRET}, "access_key must be the administrator's"),
    ],
)
def test_credentials_that_do_not_do(server, name, options, words):
    made(server)
    result = attempt(name, server.url, **options)
    assert result["failed"] and words in result["msg"], result["msg"]
    assert "not-the-right-one" not in json.dumps(result)


@pytest.mark.parametrize("name", MODULES)
def test_a_trailing_slash(server, name):
    assert not attempt(name, server.url + "/").get("failed")


@pytest.mark.parametrize("name", MODULES)
def test_a_server_that_is_not_minio(server, name):
    for answer in (Answer(404, b"<html>not here</html>"), Answer(405, b"<Error><Code>MethodNotAllowed</Code></Error>")):
        server.fail = {"user-info": answer, "info-canned-policy": answer}
        result = attempt(name, server.url)
        assert result["failed"] and "does not have MinIO's admin API" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_an_answer_that_is_no_json(server, name):
    server.fail = {"user-info": Answer(200, b"hello"), "info-canned-policy": Answer(200, b"hello")}
    result = attempt(name, server.url)
    assert result["failed"] and "no JSON" in result["msg"]


def test_an_answer_that_is_not_encrypted(server):
    made(server)
    server.fail["idp/builtin/policy/detach"] = Answer(200, b"{}")
    result = run(server, "minio_user", **user(policies=[]))
    assert result["failed"] and "is this a MinIO server" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_nobody_answers(name):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    result = attempt(name, f"http://127.0.0.1:{port}")
    assert result["failed"] and "check endpoint_url" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_tls_to_a_plain_port(server, name):
    result = attempt(name, server.url.replace("http:", "https:"))
    assert result["failed"] and "cannot read the" in result["msg"]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint_url": "minio.example.com"}, "no address of a server"),
        ({"endpoint_url": "https://minio.example.com/path"}, "no address of a server"),
        ({"ca_bundle": "/does/not/exist"}, "there is no file /does/not/exist"),
        ({"secret_key": None}, "secret_key"),
    ],
)
def test_refused_before_any_request(name, options, words):
    given = {
        "endpoint_url": "http://127.0.0.1:1",
        "access_key": ROOT_USER,
        "secret_key": ROOT_PASSWORD,
        "name": "a-name",
        "state": "absent",
    }
    result = run_in_process(name, {key: value for key, value in {**given, **options}.items() if value is not None})
    assert result["failed"] and words in result["msg"]


@pytest.mark.parametrize("name", MODULES)
def test_the_sdk_is_missing(name, tmp_path):
    """A finder that hides the real one stands for none."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n_find = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'minio' else _find(n, *a)\n",
        encoding="utf-8",
    )
    given = {
        "endpoint_url": "http://127.0.0.1:1",
        "access_key": ROOT_USER,
        "secret_key": ROOT_PASSWORD,
        "name": "a-name",
        "state": "absent",
    }
    result = run_module(name, given, env={"PYTHONPATH": str(tmp_path)})
    assert result["failed"] and "Failed to import the required Python library (minio)" in result["msg"]


# --- documentation -----------------------------------------------------------------------------------------------------------------------


def load(name):
    return importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_options_are_documented_as_they_are(name):
    module = load(name)
    documented = {**yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"], **yaml.safe_load(module.DOCUMENTATION)["options"]}
    spec = minio.argument_spec(**module.OPTIONS)
    assert set(documented) == set(spec)
    for option, given in spec.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert documented[option].get(key) == given.get(key), f"{option}: {key}"


@pytest.mark.parametrize("name", MODULES)
def test_no_option_changes_the_server_by_default(name):
    assert {key for key, option in load(name).OPTIONS.items() if "default" in option} <= {"state", "update_secret_key"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(server, name):
    """As they stand, one after the other, with the variables filled in."""
    given = {
        "minio_endpoint_url": server.url,
        "minio_access_key": ROOT_USER,
        "minio_secret_key": ROOT_PASSWORD,
        "minio_user_secret_key": SECRET,
    }
    text = load(name).EXAMPLES
    for key, value in given.items():
        text = text.replace('"{{ ' + key + ' }}"', json.dumps(value))
    (task,) = yaml.safe_load(text)
    defaults = (task.get("module_defaults") or {}).get("group/mlops.platform.minio", {})
    for one in task.get("block", [task]):
        result = run_in_process(name, {**defaults, **one[f"mlops.platform.{name}"]})
        assert result.get("changed") and not result.get("failed"), result
    assert isinstance(yaml.safe_load(load(name).RETURN), dict)
