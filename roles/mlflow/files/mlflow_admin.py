"""Give MLflow's administrator the password in MLFLOW_AUTH_ADMIN_PASSWORD, past the server, in the database of users.

For a password that nobody has any more. Run it with the server's own environment (MLFLOW_AUTH_CONFIG_PATH, MLFLOW_AUTH_ADMIN_USERNAME).
An administrator who is not there is made.
"""

from __future__ import annotations

from mlflow.server.auth import auth_config, store


def main() -> None:
    """Write the password."""
    store.init_db(auth_config.database_uri)
    if store.has_user(auth_config.admin_username):
        store.update_user(auth_config.admin_username, password=auth_config.admin_password, is_admin=True)
    else:
        store.create_user(auth_config.admin_username, auth_config.admin_password, is_admin=True)


if __name__ == "__main__":
    main()
