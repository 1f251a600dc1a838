# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users of an MLflow server's basic authentication."""

from __future__ import annotations

import copy

from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import API, MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError

# mlflow.utils.validation._validate_password, since 3.0; older servers ask for nothing
MIN_PASSWORD_LENGTH = 12


class UserManager:
    """Brings one user to the state that is wanted. changes says what was done, or would be in check mode."""

    def __init__(self, connection, name, check_mode=False, client_factory=MlflowClient):
        """Take an administrator's connection (or the user's own) and the name of the user to manage."""
        self._connection, self._name, self._check_mode, self._factory = connection, name, check_mode, client_factory
        self._client = client_factory(connection)
        self.changes = []

    def adopt_new_password(self, password):
        """When the user manages itself and its new password is in force already, go on with that one.

        So a rotation is idempotent: its second run still connects with the old password, which the server no longer takes.
        """
        if self._connection.username == self._name and password and self.can_log_in(password):
            self._connection = self._as_user(password)
            self._client.close()
            self._client = self._factory(self._connection)

    def find(self):
        """Return {id, name, admin} of the user, or None; raise MlflowError, or ValueError where this cannot be asked at all."""
        try:
            user = self._client.call("GET", f"{API}/users/get", params={"username": self._name})["user"]
        except MlflowError as exc:
            if exc.status_code == 404 and exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            if exc.status_code == 404:
                raise ValueError("the server has no users: it does not run with --app-name basic-auth, or static_prefix is wrong") from exc
            if exc.status_code == 403 and "Permission denied" in exc.message:
                raise ValueError(f"{self._connection.username} is not an administrator, so it may manage no user but itself") from exc
            raise
        return {"id": user["id"], "name": user["username"], "admin": user["is_admin"]}

    def can_log_in(self, password):
        """Return whether the server takes this password for the user; raise MlflowError when it cannot say."""
        client = self._factory(self._as_user(password))
        try:
            client.call("GET", f"{API}/users/current")
        except MlflowError as exc:
            if exc.status_code == 401:
                return False
            raise
        finally:
            client.close()
        return True

    def ensure_present(self, user, password, admin, on_create_only=False):
        """Create or correct the user that find() returned; None leaves its password or admin flag alone.

        Raises MlflowError, or ValueError for what cannot be done.
        """
        if user is None:
            self._create(password)
            user = {"id": None, "name": self._name, "admin": False}
        elif password and not on_create_only and not self.can_log_in(password):
            self._check_length(password)
            self.changes.append("update password")
            self._write("PATCH", "update-password", self._password_body(password))
            if not self._check_mode and not self.can_log_in(password):
                raise ValueError(f"the server accepted the new password of {self._name} but does not let the user in with it")
            if self._connection.username == self._name and not self._check_mode:
                self._connection = self._as_user(password)
                self._client.close()
                self._client = self._factory(self._connection)
        if admin is not None and user["admin"] != admin:
            if not admin and self._connection.username == self._name:
                raise ValueError(
                    f"{self._name} is the user that this module logs in as: let another administrator take its admin right away"
                )
            self.changes.append("grant admin" if admin else "revoke admin")
            self._write("PATCH", "update-admin", {"username": self._name, "is_admin": admin})

    def ensure_absent(self, user):
        """Delete the user that find() returned, if any; raise MlflowError, or ValueError for the user that is logged in."""
        if user is None:
            return
        if self._connection.username == self._name:
            raise ValueError(f"{self._name} is the user that this module logs in as: MLflow lets no user delete itself")
        self.changes.append("delete")
        self._write("DELETE", "delete", {"username": self._name})

    def close(self):
        """Close the connection."""
        self._client.close()

    def _create(self, password):
        if not password:
            raise ValueError(f"user {self._name} does not exist: user_password is required to create it")
        self._check_length(password)
        self.changes.append("create")
        self._write("POST", "create", {"username": self._name, "password": password})

    def _password_body(self, password):
        body = {"username": self._name, "password": password}
        if self._connection.username == self._name:
            # MLflow asks a user who changes its own password for the old one
            body["current_password"] = self._connection.password
        return body

    @staticmethod
    def _check_length(password):
        if len(password) < MIN_PASSWORD_LENGTH:
            raise ValueError(f"user_password: MLflow wants at least {MIN_PASSWORD_LENGTH} characters")

    def _write(self, method, action, body):
        if not self._check_mode:
            self._client.call(method, f"{API}/users/{action}", json=body)

    def _as_user(self, password):
        connection = copy.copy(self._connection)
        connection.username, connection.password, connection.token = self._name, password, None
        return connection
