"""mlflow_user on a running platform. What the server holds is read, and logins are tried, by urllib alone."""

from __future__ import annotations

import base64
import json
import ssl
import string
import urllib.error
import urllib.request
import uuid

import pytest
from lib.modules import run_module

API = "/api/2.0/mlflow"
FIRST, SECOND = "first-Password-1", "second-Password-2"


@pytest.fixture
def server(mlflow_connection):
    """Give a function that sends one request, by default as the administrator, and returns (status, answer)."""
    base = mlflow_connection["tracking_uri"].rstrip("/")
    context = ssl.create_default_context(cafile=mlflow_connection.get("ca_bundle")) if base.startswith("https") else None

    def send(method, action, body=None, user=None, password=None, kind="users"):
        pair = f"{user or mlflow_connection['username']}:{password or mlflow_connection['password']}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode(), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{base}{API}/{kind}/{action}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()

    return send


@pytest.fixture
def name(server):
    """Give a unique user name; delete the user afterwards."""
    unique = f"user-test-{uuid.uuid4().hex[:12]}"
    yield unique
    server("DELETE", "delete", {"username": unique})


def stored(server, name):
    status, answer = server("GET", f"get?username={name}")
    return answer["user"] if status == 200 else None


def logs_in(server, name, password):
    return server("GET", "current", user=name, password=password)[0] == 200


def run(connection, check=False, **options):
    result = run_module("mlflow_user", {**connection, **options}, check=check, diff=True)
    assert FIRST not in str(result)
    assert SECOND not in str(result)
    return result


def test_life_of_a_user(mlflow_connection, server, name):
    wanted = {"name": name, "user_password": FIRST, "admin": True}
    predicted = run(mlflow_connection, check=True, **wanted)
    assert (predicted["changed"], predicted["changes"]) == (True, ["create", "grant admin"])
    assert stored(server, name) is None

    made = run(mlflow_connection, **wanted)
    assert (made["changed"], made["changes"], made["diff"]) == (True, predicted["changes"], predicted["diff"])
    assert made["user"] == {"id": stored(server, name)["id"], "name": name, "admin": True}
    assert stored(server, name)["is_admin"] is True
    assert logs_in(server, name, FIRST)

    again = run(mlflow_connection, **wanted)
    assert (again["changed"], again["changes"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]

    predicted = run(mlflow_connection, check=True, name=name, user_password=SECOND, admin=False)
    assert predicted["changes"] == ["update password", "revoke admin"]
    assert logs_in(server, name, FIRST)
    assert stored(server, name)["is_admin"] is True
    changed = run(mlflow_connection, name=name, user_password=SECOND, admin=False)
    assert (changed["changes"], changed["diff"]) == (predicted["changes"], predicted["diff"])
    assert logs_in(server, name, SECOND)
    assert stored(server, name)["is_admin"] is False

    predicted = run(mlflow_connection, check=True, name=name, state="absent")
    assert (predicted["changed"], predicted["user"]) == (True, None)
    assert stored(server, name) is not None
    assert run(mlflow_connection, name=name, state="absent")["changes"] == ["delete"]
    assert stored(server, name) is None
    assert run(mlflow_connection, name=name, state="absent")["changed"] is False


def test_unset_is_untouched_and_on_create_sets_no_password(mlflow_connection, server, name):
    run(mlflow_connection, name=name, user_password=FIRST, admin=True)
    assert run(mlflow_connection, name=name)["changed"] is False
    kept = run(mlflow_connection, name=name, user_password=SECOND, update_password="on_create")
    assert kept["changed"] is False
    assert logs_in(server, name, FIRST)
    assert stored(server, name)["is_admin"] is True


def test_an_administrator_rotates_its_own_password(mlflow_connection, server, name):
    run(mlflow_connection, name=name, user_password=FIRST, admin=True)
    own = {**mlflow_connection, "username": name, "password": FIRST}
    predicted = run(own, check=True, name=name, user_password=SECOND)
    assert predicted["changes"] == ["update password"]
    assert logs_in(server, name, FIRST)
    assert run(own, name=name, user_password=SECOND)["changes"] == ["update password"]
    assert logs_in(server, name, SECOND)
    # the same play again: it still knows the old password only as the connection's
    assert run(own, name=name, user_password=SECOND)["changed"] is False
    assert run(own, check=True, name=name, user_password=SECOND)["changed"] is False
    for refused in ({"admin": False, "user_password": SECOND}, {"state": "absent", "password": SECOND}):
        assert run({**own, "name": name, **refused}).get("failed") is True
    assert stored(server, name)["is_admin"] is True


@pytest.mark.parametrize("password", [string.printable.strip() + " ", ":" * 12, "Пароль-ñ-漢字-🔑"])
def test_any_printable_password(mlflow_connection, server, name, password):
    made = run(mlflow_connection, name=name, user_password=password)
    assert made["changed"] is True, made
    assert logs_in(server, name, password)
    assert run(mlflow_connection, name=name, user_password=password)["changed"] is False
    assert password not in str(made)
    # artifacts are behind another reader of the credentials, which is what the warning is about
    health = {**mlflow_connection, "username": name, "password": password, "wait_timeout": 0}
    assert run_module("mlflow_health", health)["status"] == "ok"
    assert bool(made.get("warnings")) is not password.isascii()


def test_non_ascii_password_and_artifacts(mlflow_connection, server, name):
    run(mlflow_connection, name=name, user_password="Пароль-ñ-漢字-🔑", admin=True)
    experiment = f"health-{name}"
    health = {**mlflow_connection, "username": name, "password": "Пароль-ñ-漢字-🔑", "wait_timeout": 0}
    result = run_module("mlflow_health", {**health, "depth": "roundtrip", "experiment_name": experiment})
    try:
        assert (result["status"], result["cause"], result["leftovers"]) == ("auth_failed", "non_ascii_credentials", []), result
    finally:
        made = server("GET", f"get-by-name?experiment_name={experiment}", kind="experiments")[1]["experiment"]
        server("POST", "delete", {"experiment_id": made["experiment_id"]}, kind="experiments")


def test_bad_input(mlflow_connection, server, name):
    for check in (True, False):
        assert "user_password is required" in run(mlflow_connection, check=check, name=name)["msg"]
        assert "at least 12 characters" in run(mlflow_connection, check=check, name=name, user_password="short")["msg"]
    assert stored(server, name) is None


def test_a_user_that_is_no_administrator_manages_nobody(mlflow_connection, server, name):
    run(mlflow_connection, name=name, user_password=FIRST)
    own = {**mlflow_connection, "username": name, "password": FIRST}
    result = run(own, name="someone-else", user_password=SECOND)
    assert f"{name} is not an administrator" in result["msg"]
    wrong = run({**own, "password": SECOND}, name="someone-else", user_password=FIRST)
    assert (wrong["failed"], wrong["status"], wrong["changes"]) == (True, "auth_failed", [])
