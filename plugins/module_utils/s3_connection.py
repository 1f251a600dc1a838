# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection to an S3 server: client, and one call with an error that says what to do.

Nothing here needs Ansible: the backup program uses it on hosts that have none.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re

from ansible_collections.mlops.platform.plugins.module_utils.s3_read import QUERIES, Reader, Unusual

# a feature that a server lacks: 501 and 405 in the words of AWS, Ceph, MinIO and SeaweedFS
NOT_IMPLEMENTED = {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "UnsupportedOperation", "501", "405"}
# what the server says, and what to look at next
HINTS = {
    "InvalidAccessKeyId": "check access_key: the server does not know it",
    "SignatureDoesNotMatch": "check secret_key, and that no proxy on the way rewrites the host or the path",
    "AccessDenied": "the identity of access_key lacks the permission for this, or the bucket belongs to someone else",
    "Forbidden": "check access_key and secret_key, and whether the bucket belongs to someone else",
    "ExpiredToken": "the session token is too old: get new temporary credentials",
    "RequestTimeTooSkewed": "set the clock of the managed host or of the server",
    "AuthorizationHeaderMalformed": "check region: the server expects another one",
    "BucketAlreadyExists": "bucket names are shared by all users of the server: choose another name",
    "PermanentRedirect": "check endpoint_url and region: the bucket is elsewhere",
}
CONNECT_TIMEOUT = 5  # seconds; a server that is up accepts at once
READ_TIMEOUT = 60  # seconds; botocore's own, enough for the deletion of 1000 keys on slow disks
DEFAULT_REGION = "us-east-1"  # what servers beside AWS expect, and the one that AWS takes for granted
ATTEMPTS = 3  # in all; standard mode waits a second or two in between


class S3Error(Exception):
    """A failed request or a refused wish; its text is for the user. `code` is the server's error code, or an empty string."""

    def __init__(self, message, code=""):
        super().__init__(message)
        self.code = code


class Connection:
    """A way to one server; `call` sends one request. Raises S3Error when the options cannot work."""

    def __init__(self, module):
        self.module = module
        params = module.params
        self.region = params["region"]
        self.endpoint = (params["endpoint_url"] or "").rstrip("/") or None
        self.where = self.endpoint or "AWS"
        if self.endpoint and not re.match(r"https?://[^/\s]+", self.endpoint):
            raise S3Error(f"endpoint_url: {self.endpoint!r} is no address of a server; write it as https://host:port")
        self.bundle = params["ca_bundle"] if params["validate_certs"] else None
        if self.bundle and not os.path.exists(self.bundle):
            raise S3Error(f"ca_bundle: there is no file {self.bundle} on this host")
        if importlib.util.find_spec("botocore") is None:
            from ansible.module_utils.basic import missing_required_lib

            module.fail_json(msg=missing_required_lib("boto3"))
        self.credentials = self._credentials()
        self._client = self._exceptions = self._reader = None
        if self.endpoint and self.credentials[0] and params["addressing_style"] != "virtual":
            with contextlib.suppress(Unusual):
                region = self.region or DEFAULT_REGION
                self._reader = Reader(self.endpoint, region, self.credentials, self.bundle, params["validate_certs"])

    def _load(self):
        """Make the botocore client: without boto3 on top, and only when it is needed, as that takes most of a short run's time."""
        import botocore.config
        import botocore.exceptions
        import botocore.session

        self._exceptions = botocore.exceptions
        try:
            self._client = self._new_client(botocore)
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise S3Error(f"cannot set up the connection to {self.where}: {error}") from None
        self.where = self._client.meta.endpoint_url

    def _new_client(self, botocore):
        """Return a botocore client for the options. Raises botocore's errors."""
        session = botocore.session.Session()
        style = self.module.params["addressing_style"]
        settings = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            "s3": {"addressing_style": style},
            "signature_version": "s3v4",
        }
        try:
            config = botocore.config.Config(
                request_checksum_calculation="when_required", response_checksum_validation="when_required", **settings
            )
        except TypeError:  # botocore < 1.36 has neither the options nor the behaviour
            config = botocore.config.Config(**settings)
        access_key, secret_key, token = self.credentials
        return session.create_client(
            "s3",
            region_name=self.region or session.get_config_variable("region") or DEFAULT_REGION,
            endpoint_url=self.endpoint,
            verify=self.bundle if self.module.params["validate_certs"] else False,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            config=config,
        )

    def listen(self, event, handler):
        """Have botocore call `handler` at `event`, and make the client, so that threads can share it from here on. Raises S3Error."""
        if self._client is None:
            self._load()
        self._client.meta.events.register(event, handler)

    def client_region(self):
        """Return the region that requests are signed for, from wherever it was configured. Raises S3Error."""
        if self._client is None:
            self._load()
        return self._client.meta.region_name

    def _credentials(self):
        """Return access key, secret key and token of one source: the options, else the environment, else None for botocore's chain.

        Never of two: a token in the environment belongs to the keys there. Keys that are known here spare the question to the
        metadata service of a cloud, which takes seconds where there is none.
        """
        params, environ = self.module.params, os.environ
        if params["access_key"]:
            return [params["access_key"], params["secret_key"], params["session_token"]]
        found = [environ.get(f"AWS_{name}") or None for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
        self.module.no_log_values.update(value for value in found[1:] if value)
        return found if found[0] and found[1] else [None, None, None]

    def call(self, what, operation, **kwargs):
        """Send `operation` (a client's method name) and return the answer; `what` names the deed for the error message.

        Raises S3Error with the server's words, its code and the next step.
        """
        if self._reader is not None and operation in QUERIES:
            try:
                answer, code = self._reader.read(operation, kwargs["Bucket"])
                if code:
                    raise S3Error(f"cannot {what} at {self.where}: {code}", code)
                return answer
            except Unusual:
                self._reader = None
        if self._client is None:
            self._load()
        errors = self._exceptions
        try:
            return getattr(self._client, operation)(**kwargs)
        except errors.ClientError as error:
            told = error.response.get("Error", {})
            code, status = str(told.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
            hint = HINTS.get(code) or ("the server does not implement this" if code in NOT_IMPLEMENTED else "")
            raise S3Error(
                f"cannot {what} at {self.where}: {code}: {told.get('Message') or 'no message'} (HTTP {status})"
                + (f"; {hint}" if hint else ""),
                code,
            ) from None
        except errors.NoCredentialsError:
            hint = "set access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the task"
            raise S3Error(f"cannot {what} at {self.where}: no credentials; {hint}") from None
        except errors.SSLError as error:
            hint = "give the authority that signed the server's certificate as ca_bundle, and use a name that is in the certificate"
            raise S3Error(f"cannot {what}: {error}; {hint}") from None
        except (errors.HTTPClientError, errors.ConnectionError) as error:  # connection refused, no such host, time-outs
            raise S3Error(f"cannot {what}: {error}; check endpoint_url, and that the server runs and is reachable from this host") from None
        except errors.BotoCoreError as error:
            raise S3Error(f"cannot {what} at {self.where}: {error}") from None
