# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection to a MinIO server's admin API: options, client, and one call with an error that says what to do."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.mlops.platform.plugins.module_utils.s3 import CONNECT_TIMEOUT, DEFAULT_REGION, HINTS, READ_TIMEOUT

RETRIES = 2
BACKOFF = 0.2  # seconds, doubled from try to try
BUSY = (500, 502, 503, 504)
NO_SUCH = ("XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy")
# an S3 call that names no bucket, by an identity that may not make it: its signature was right
LOGGED_IN = ("AccessDenied",)
NOT_LOGGED_IN = ("SignatureDoesNotMatch", "InvalidAccessKeyId")
ADMIN_HINTS = {
    **HINTS,
    "AccessDenied": "access_key must be the administrator's, or an identity whose policy allows admin:*",
    "XMinioIAMPolicyInUse": "detach it from its users and groups first",
    "XMinioAdminNoSuchPolicy": "make the policy first, with mlops.platform.minio_policy",
    "XMinioAdminInvalidAccessKey": "an access key has at least 3 characters, and neither = nor a comma",
    "XMinioAdminInvalidSecretKey": "a secret key has at least 8 characters",
    "XMinioAddUserInvalidArgument": "the administrator's own access key cannot be a user's",
}


class MinioError(Exception):
    """A failed request or a refused wish; its text is for the user. `code` is the server's error code, or an empty string."""

    def __init__(self, message, code=""):
        super().__init__(message)
        self.code = code


def argument_spec(**options):
    """Return the argument spec of the connection options together with those in `options`."""
    spec = {
        "endpoint_url": {"type": "str", "required": True},
        "access_key": {"type": "str", "required": True, "no_log": False},
        "secret_key": {"type": "str", "required": True, "no_log": True},
        "region": {"type": "str", "default": DEFAULT_REGION},
        "ca_bundle": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
    }
    spec.update(options)
    return spec


def new_module(options, **kwargs):
    """Return the AnsibleModule for `options` (an argument spec) and the connection options."""
    return AnsibleModule(argument_spec=argument_spec(**options), supports_check_mode=True, **kwargs)


def told(body):
    """Return (code, message) of an error's body, as JSON (the admin API) or XML (S3); empty texts for what it does not say."""
    with contextlib.suppress(ValueError):
        answer = json.loads(body)
        if isinstance(answer, dict):
            return str(answer.get("Code", "")), str(answer.get("Message", ""))
    found = [re.search(f"<{name}>([^<]*)</{name}>", body) for name in ("Code", "Message")]
    return tuple(match[1] if match else "" for match in found)


class Connection:
    """A way to one server; `admin` sends one request to the admin API. Raises MinioError when the options cannot work."""

    def __init__(self, module):
        params = module.params
        self.where = params["endpoint_url"].rstrip("/")
        match = re.fullmatch(r"(https?)://([^/\s@?#]+)", self.where)
        if not match:
            raise MinioError(f"endpoint_url: {self.where!r} is no address of a server; write it as https://host:port")
        self._secure, self._host = match[1] == "https", match[2]
        self._region, self._check = params["region"], params["validate_certs"]
        bundle = params["ca_bundle"] if self._check else None
        if bundle and not os.path.exists(bundle):
            raise MinioError(f"ca_bundle: there is no file {bundle} on this host")
        if importlib.util.find_spec("minio") is None:
            module.fail_json(msg=missing_required_lib("minio"))
        self._load(bundle, params)

    def _load(self, bundle, params):
        """Import the SDK and make its client. Raises MinioError where it refuses the options."""
        import minio
        import minio.credentials
        import minio.error
        import urllib3

        self._sdk, self._urllib3 = minio, urllib3
        self.access_key = params["access_key"]
        # the SDK's own waits five minutes for each of six attempts
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=urllib3.Retry(total=RETRIES, backoff_factor=BACKOFF, status_forcelist=BUSY, raise_on_status=False),
            cert_reqs="CERT_REQUIRED" if self._check else "CERT_NONE",
            **({"ca_certs": bundle} if bundle else {}),
        )
        try:
            self._admin = minio.MinioAdmin(
                endpoint=self._host,
                credentials=minio.credentials.StaticProvider(params["access_key"], params["secret_key"]),
                secure=self._secure,
                cert_check=self._check,
                http_client=self._pool,
            )
        except ValueError as error:
            raise MinioError(f"cannot set up the connection to {self.where}: {error}") from None

    def admin(self, what, method, *args, **kwargs):
        """Call `method` of the SDK's MinioAdmin and return its text; `what` names the deed for the error message. Raises MinioError."""
        try:
            return getattr(self._admin, method)(*args, **kwargs)
        except self._sdk.error.MinioAdminException as error:
            self._refused(what, error)
        except self._urllib3.exceptions.HTTPError as error:
            self._unreachable(what, error)
        except (OSError, ValueError) as error:  # an answer that is too short, or that the secret key does not decrypt
            raise MinioError(f"cannot {what} at {self.where}: {error}; is this a MinIO server, and its answer whole?") from None
        return ""

    def _refused(self, what, error):
        """Raise MinioError with the server's words, its code and the next step. An answer 201 is none: older servers give it."""
        match = re.match(r"admin request failed; Status: (\d+), Body: (.*)", str(error), re.DOTALL)
        status, body = match.groups() if match else ("?", str(error))
        if status == "201":
            return
        code, message = told(body)
        hint = ADMIN_HINTS.get(code, "")
        if not code or (status in ("404", "405", "501") and code not in NO_SUCH):
            hint = "the server does not have MinIO's admin API: check endpoint_url"
        words = f"cannot {what} at {self.where}: {code or 'no code'}: {message or 'no message'} (HTTP {status})"
        raise MinioError(words + (f"; {hint}" if hint else ""), code) from None

    def _unreachable(self, what, error):
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, self._urllib3.exceptions.SSLError):
            hint = "give the authority that signed the server's certificate as ca_bundle, and use a name that is in the certificate"
        else:
            hint = "check endpoint_url, and that the server runs and is reachable from this host"
        raise MinioError(f"cannot {what} at {self.where}: {reason}; {hint}") from None

    def can_log_in(self, access_key, secret_key):
        """Return whether the server takes these keys, by an S3 call that any identity may sign. Raises MinioError when it cannot say."""
        what = f"try the secret key of {access_key}"
        client = self._sdk.Minio(
            self._host, access_key=access_key, secret_key=secret_key, secure=self._secure, region=self._region, http_client=self._pool
        )
        try:
            client.list_buckets()
        except self._sdk.error.S3Error as error:
            if error.code in (*LOGGED_IN, *NOT_LOGGED_IN):
                return error.code in LOGGED_IN
            hint = f"; {HINTS[error.code]}" if error.code in HINTS else ""
            raise MinioError(f"cannot {what} at {self.where}: {error.code}: {error.message}{hint}", error.code or "") from None
        except self._sdk.error.MinioException as error:
            raise MinioError(f"cannot {what} at {self.where}: {error}") from None
        except self._urllib3.exceptions.HTTPError as error:
            self._unreachable(what, error)
        return True
