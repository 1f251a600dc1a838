"""What the user manager sends, against a scripted user store."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_user import UserManager

OLD, NEW = "old-password-1", "new-password-2"


class Store:
    """The users of a server, and clients on it."""

    def __init__(self, **passwords):
        self.users = {name: {"id": number, "username": name, "is_admin": name == "admin"} for number, name in enumerate(passwords, 1)}
        self.passwords = dict(passwords)
        self.writes = []

    def client(self, connection):
        store = self

        class Client:
            def call(self, method, path, json=None, params=None):
                if store.passwords.get(connection.username) != connection.password:
                    raise MlflowError("http", "You are not authenticated", status_code=401)
                action = path.rsplit("/", 1)[1]
                if action == "current":
                    return {"user": store.users[connection.username]}
                if action == "get":
                    if params["username"] not in store.users:
                        raise MlflowError("http", "not found", status_code=404, error_code="RESOURCE_DOES_NOT_EXIST")
                    return {"user": store.users[params["username"]]}
                store.writes.append((connection.username, method, action, dict(json)))
                name = json["username"]
                if action == "create":
                    store.users[name] = {"id": 9, "username": name, "is_admin": False}
                    store.passwords[name] = json["password"]
                elif action == "update-password":
                    store.passwords[name] = json["password"]
                elif action == "update-admin":
                    store.users[name]["is_admin"] = json["is_admin"]
                elif action == "delete":
                    del store.users[name], store.passwords[name]
                return {}

            def close(self):
                pass

        return Client()


def manager(store, name, username="admin", password=OLD, check_mode=False):
    connection = MlflowConnection({"tracking_uri": "http://h", "username": username, "password": password})
    return UserManager(connection, name, check_mode=check_mode, client_factory=store.client)


@pytest.mark.parametrize("check_mode", [True, False])
def test_create(check_mode):
    store = Store(admin=OLD)
    made = manager(store, "bob", check_mode=check_mode)
    made.ensure_present(made.find(), NEW, True)
    assert made.changes == ["create", "grant admin"]
    assert [action for dummy, dummy, action, dummy in store.writes] == ([] if check_mode else ["create", "update-admin"])


def test_unset_is_untouched():
    store = Store(admin=OLD, bob=OLD)
    same = manager(store, "bob")
    same.ensure_present(same.find(), None, None)
    assert (same.changes, store.writes) == ([], [])


def test_password_that_is_in_force_is_left_alone():
    store = Store(admin=OLD, bob=NEW)
    same = manager(store, "bob")
    same.ensure_present(same.find(), NEW, False)
    assert (same.changes, store.writes) == ([], [])


def test_password_that_differs():
    store = Store(admin=OLD, bob=OLD)
    changed = manager(store, "bob")
    changed.ensure_present(changed.find(), NEW, None)
    assert changed.changes == ["update password"]
    assert store.writes == [("admin", "PATCH", "update-password", {"username": "bob", "password": NEW})]
    kept = manager(Store(admin=OLD, bob=OLD), "bob")
    kept.ensure_present(kept.find(), NEW, None, on_create_only=True)
    assert kept.changes == []


def test_own_password_is_rotated_with_the_old_one_and_then_left_alone():
    store = Store(admin=OLD)
    first = manager(store, "admin")
    first.adopt_new_password(NEW)
    first.ensure_present(first.find(), NEW, True)
    assert first.changes == ["update password"]
    assert store.writes[0][3] == {"username": "admin", "password": NEW, "current_password": OLD}
    assert first.find()["admin"] is True
    second = manager(store, "admin")
    second.adopt_new_password(NEW)
    second.ensure_present(second.find(), NEW, True)
    assert second.changes == []


def test_a_server_that_does_not_take_the_new_password_is_found_out():
    store = Store(admin=OLD, bob=OLD)
    changed = manager(store, "bob")
    user = changed.find()
    changed._write = lambda *args: None
    with pytest.raises(ValueError, match="does not let the user in"):
        changed.ensure_present(user, NEW, None)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda m: m.ensure_present(m.find(), None, False), "admin right"),
        (lambda m: m.ensure_absent(m.find()), "lets no user delete itself"),
    ],
)
def test_nobody_locks_itself_out(action, said):
    store = Store(admin=OLD)
    with pytest.raises(ValueError, match=said):
        action(manager(store, "admin"))
    assert store.writes == []


@pytest.mark.parametrize(("password", "said"), [(None, "user_password is required"), ("short", "at least 12 characters")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_bad_passwords_are_refused_in_check_mode_too(password, said, check_mode):
    store = Store(admin=OLD)
    with pytest.raises(ValueError, match=said):
        manager(store, "bob", check_mode=check_mode).ensure_present(None, password, None)
    assert store.writes == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_delete(check_mode):
    store = Store(admin=OLD, bob=OLD)
    gone = manager(store, "bob", check_mode=check_mode)
    gone.ensure_absent(gone.find())
    assert gone.changes == ["delete"]
    assert ("bob" in store.users) is check_mode
    absent = manager(Store(admin=OLD), "bob")
    absent.ensure_absent(absent.find())
    assert absent.changes == []


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [(404, "Not Found", "does not run with --app-name basic-auth"), (403, "Permission denied", "admin is not an administrator")],
)
def test_servers_and_users_that_cannot(status, words, said):
    class Client:
        def call(self, *args, **kwargs):
            raise MlflowError("http", words, status_code=status)

    connection = MlflowConnection({"tracking_uri": "http://h", "username": "admin", "password": OLD})
    with pytest.raises(ValueError, match=said):
        UserManager(connection, "bob", client_factory=lambda connection: Client()).find()
