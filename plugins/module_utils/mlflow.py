# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How to reach an MLflow server: the options that every MLflow module shares, checked."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

# the values that MLflow's own client takes for true (mlflow.environment_variables._BooleanEnvironmentVariable)
_TRUE_WORDS = ("true", "1")


def _insecure_tls_fallback(*names, **dummy):
    """Turn MLFLOW_TRACKING_INSECURE_TLS into validate_certs, its opposite."""
    for name in names:
        if name in os.environ:
            return os.environ[name].lower() not in _TRUE_WORDS
    raise AnsibleFallbackNotFound


def mlflow_argument_spec(**options):
    """Return the connection's argument spec with a module's own options added."""
    spec = {
        "tracking_uri": {"type": "str", "required": True, "fallback": (env_fallback, ["MLFLOW_TRACKING_URI"])},
        "username": {"type": "str", "fallback": (env_fallback, ["MLFLOW_TRACKING_USERNAME"])},
        "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["MLFLOW_TRACKING_PASSWORD"])},
        "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["MLFLOW_TRACKING_TOKEN"])},
        "static_prefix": {"type": "str"},
        "host_header": {"type": "str"},
        "ca_bundle": {"type": "path", "fallback": (env_fallback, ["MLFLOW_TRACKING_SERVER_CERT_PATH"])},
        "validate_certs": {"type": "bool", "default": True, "fallback": (_insecure_tls_fallback, ["MLFLOW_TRACKING_INSECURE_TLS"])},
        "client_cert": {"type": "path", "fallback": (env_fallback, ["MLFLOW_TRACKING_CLIENT_CERT_PATH"])},
        "client_key": {"type": "path", "no_log": False},
        "timeout": {"type": "int", "default": 30},
    }
    spec.update(options)
    return spec


class MlflowConnection:
    """A checked set of connection options. Its repr holds no secret."""

    def __init__(self, params):
        """Take a module's params (or a dict with the same keys); raise ValueError that names every wrong option."""
        get = params.get
        self.username, self.password, self.token = get("username") or None, get("password") or None, get("token") or None
        self.host_header = get("host_header") or None
        self.timeout = get("timeout") or 30
        problems = []
        parts = _split(get("tracking_uri") or "", problems)
        self.scheme, self.host, self.port, path = parts
        prefix = (get("static_prefix") or "").strip("/")
        self.root_path = path.rstrip("/")
        self.base_path = self.root_path + (f"/{prefix}" if prefix else "")
        self.tracking_uri = _without_userinfo(get("tracking_uri") or "")
        if self.username and ":" in self.username:
            problems.append("username: a colon ends the name in HTTP basic auth, so no user whose name has one can log in")
        if bool(self.username) != bool(self.password):
            problems.append("username and password: give both or neither")
        for name in ("token", "host_header"):
            value = getattr(self, name) or ""
            if not (value.isascii() and value.isprintable()) or " " in value:
                problems.append(f"{name}: may hold printable ASCII characters only, and no space")
        self.context = self._ssl_context(params, problems) if self.scheme == "https" else None
        if problems:
            raise ValueError("; ".join(problems))

    def __repr__(self):
        """Show the address and how requests are authenticated, never with what."""
        return f"MlflowConnection({self.tracking_uri!r}, {self.authentication})"

    @property
    def authentication(self):
        """Return "basic", "token" or "none": what a request carries. A name and password win over a token, as in MLflow's client."""
        if self.username:
            return "basic"
        return "token" if self.token else "none"

    @property
    def ascii_credentials(self):
        """Return False where MLflow's artifact routes cannot read the name or the password (see the fragment's notes)."""
        return not self.username or (self.username + self.password).isascii()

    @property
    def secrets(self):
        """Return the values that must not show anywhere."""
        return [value for value in (self.password, self.token) if value]

    @staticmethod
    def _ssl_context(params, problems):
        context = ssl.create_default_context()
        try:
            if params.get("ca_bundle"):
                # this file alone is trusted, as with MLFLOW_TRACKING_SERVER_CERT_PATH
                context = ssl.create_default_context(cafile=params["ca_bundle"])
        except (OSError, ValueError) as exc:
            problems.append(f"ca_bundle: {params['ca_bundle']} is not a readable file of PEM certificates ({exc})")
        if params.get("validate_certs") is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if params.get("client_cert"):
                context.load_cert_chain(params["client_cert"], params.get("client_key"))
        except (OSError, ValueError) as exc:
            problems.append(f"client_cert, client_key: {params['client_cert']} cannot be used ({exc})")
        return context


def _without_userinfo(uri):
    scheme, separator, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}".rstrip("/")


def _split(uri, problems):
    """Return scheme, host, port and path of a tracking URI; add what is wrong with it to problems."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        problems.append("tracking_uri: its port is not a number, or its IPv6 address is not in brackets")
        return "", "", None, ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        problems.append("tracking_uri: must be http://host[:port][/path] or https://host[:port][/path]")
        return "", "", None, ""
    if parts.username is not None or parts.password is not None:
        problems.append("tracking_uri: must not hold a name or password; use the options username and password")
    if parts.query or parts.fragment:
        problems.append("tracking_uri: must not have a query or a fragment")
    return parts.scheme, parts.hostname, port, parts.path
