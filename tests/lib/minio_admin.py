"""A stand-in for a MinIO server: its admin API for users and policies, and the one S3 call with which a secret key is tried.

It speaks MinIO's wire format by way of the SDK's own functions: every signature is computed anew and compared, and bodies are encrypted
with the administrator's secret key. What it answers follows MinIO's source (cmd/admin-handlers-users.go, cmd/api-errors.go).
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import namedtuple
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from minio.credentials import Credentials
from minio.crypto import decrypt, encrypt
from minio.signer import sign_v4_s3

ROOT_USER, ROOT_PASSWORD = "root-access-key", "root-secret-key-of-the-tests"
BUILT_IN = ("readonly", "readwrite", "writeonly", "consoleAdmin", "diagnostics")
Answer = namedtuple("Answer", ["status", "body"])


class Refusal(Exception):
    """An error as MinIO gives it: HTTP status, code and message."""


class Body(io.BytesIO):
    """Bytes that the SDK's decrypt() takes for a response."""

    def release_conn(self):
        """Do nothing: there is no connection."""


class MinioServer:
    """Users and policies, and an HTTP server in a thread that answers for them. `requests` are the calls that were made, without S3's."""

    def __init__(self):
        self.users, self.requests = {}, []
        self.policies = {name: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"]}]} for name in BUILT_IN}
        self.fail = {}  # command: an Answer to give instead
        self.lists_buckets = True  # else its identities may not, as with a policy that names one bucket
        self.forgets = set()  # commands that are answered and not done
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        """Stop the server."""
        self._http.shutdown()
        self._http.server_close()

    def _handler(self):
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = standin.answer(self.command, self.path, self.headers, body)
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                # the SDK reads an error of S3 only where it says that it is XML
                self.send_header("Content-Type", "application/json" if self.path.startswith("/minio/admin/") else "application/xml")
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, *_arguments):
                """Keep the tests' output free of requests."""

        return Handler

    def answer(self, method, path, headers, body):
        """Return the Answer to a request."""
        url = urlsplit(self.url + path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        is_admin = url.path.startswith("/minio/admin/v3/")
        if url.path == "/minio/health/cluster":
            return Answer(200, b"")
        try:
            identity = self._identity(method, url, headers)
            if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
                raise Refusal(
                    400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
                )
            if not is_admin:
                if not self.lists_buckets:
                    raise Refusal(403, "AccessDenied", "Access Denied.")
                return Answer(200, b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>")
            if identity != ROOT_USER:
                raise Refusal(403, "AccessDenied", "Access Denied.")
            command = url.path.removeprefix("/minio/admin/v3/")
            self.requests.append(command)
            if command in self.fail:
                return self.fail[command]
            return getattr(self, "do_" + command.replace("/", "_").replace("-", "_"))(query, body, command in self.forgets)
        except Refusal as refusal:
            status, code, message = refusal.args
            if is_admin:
                told = {"Code": code, "Message": message, "Resource": url.path, "RequestId": "1", "HostId": "1"}
                return Answer(status, json.dumps(told).encode())
            return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message><Resource>/</Resource></Error>".encode())

    def _identity(self, method, url, headers):
        """Return the access key that has signed the request. Raises Refusal where the signature is not its secret key's."""
        scope, signed = headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 Credential=").split(", ")[:2]
        access_key, _day, region, _service, _end = scope.rsplit("/", 4)
        user = {"secret": ROOT_PASSWORD, "enabled": True} if access_key == ROOT_USER else self.users.get(access_key)
        if user is None:
            raise Refusal(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
        if not user["enabled"]:
            raise Refusal(403, "InvalidAccessKeyId", "Your account is disabled; please contact your administrator.")
        names = signed.removeprefix("SignedHeaders=").split(";")
        again = sign_v4_s3(
            method=method,
            url=url,
            region=region,
            headers={name: headers[name] for name in names},
            credentials=Credentials(access_key, user["secret"]),
            content_sha256=headers["x-amz-content-sha256"],
            date=datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc),
        )
        if again["Authorization"] != headers["Authorization"]:
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        return access_key

    def _user(self, name):
        if name not in self.users:
            raise Refusal(404, "XMinioAdminNoSuchUser", "The specified user does not exist.")
        return self.users[name]

    def do_user_info(self, query, _body, _forget):
        """GET user-info."""
        user = self._user(query["accessKey"])
        told = {"policyName": ",".join(sorted(user["policies"])), "status": "enabled" if user["enabled"] else "disabled"}
        return Answer(200, json.dumps({**told, "memberOf": user["groups"], "updatedAt": "2026-01-01T00:00:00Z"}).encode())

    def do_add_user(self, query, body, forget):
        """PUT add-user: makes a user, or gives one another secret key and enables it."""
        name, wanted = query["accessKey"], json.loads(decrypt(Body(body), ROOT_PASSWORD))
        if name == ROOT_USER:
            raise Refusal(403, "XMinioAddUserInvalidArgument", "User is not allowed to be same as admin access key")
        if len(name) < 3 or "=" in name or "," in name:
            raise Refusal(400, "XMinioAdminInvalidAccessKey", "The access key is invalid.")
        if len(wanted["secretKey"]) < 8:
            raise Refusal(400, "XMinioAdminInvalidSecretKey", "The secret key is invalid.")
        if not forget:
            user = self.users.setdefault(name, {"policies": set(), "groups": []})
            user.update(secret=wanted["secretKey"], enabled=wanted["status"] == "enabled")
        return Answer(200, b"")

    def do_set_user_status(self, query, _body, forget):
        """PUT set-user-status."""
        user = self._user(query["accessKey"])
        if not forget:
            user["enabled"] = query["status"] == "enabled"
        return Answer(200, b"")

    def do_remove_user(self, query, _body, _forget):
        """DELETE remove-user."""
        self._user(query["accessKey"])
        del self.users[query["accessKey"]]
        return Answer(200, b"")

    def _associate(self, body, attach, forget):
        wanted = json.loads(decrypt(Body(body), ROOT_PASSWORD))
        user, names = self._user(wanted["user"]), set(wanted["policies"])
        if attach and not names <= set(self.policies):
            raise Refusal(404, "XMinioAdminNoSuchPolicy", "The canned policy does not exist.")
        done = names - user["policies"] if attach else names & user["policies"]
        if not done:
            raise Refusal(400, "XMinioAdminPolicyChangeAlreadyApplied", "The specified policy change is already in effect.")
        if not forget:
            user["policies"] = user["policies"] | names if attach else user["policies"] - names
        return Answer(
            200, encrypt(json.dumps({"policiesAttached" if attach else "policiesDetached": sorted(done)}).encode(), ROOT_PASSWORD)
        )

    def do_idp_builtin_policy_attach(self, _query, body, forget):
        """POST idp/builtin/policy/attach."""
        return self._associate(body, True, forget)

    def do_idp_builtin_policy_detach(self, _query, body, forget):
        """POST idp/builtin/policy/detach."""
        return self._associate(body, False, forget)

    def do_info_canned_policy(self, query, _body, _forget):
        """GET info-canned-policy."""
        if query["name"] not in self.policies:
            raise Refusal(404, "XMinioAdminNoSuchPolicy", "The canned policy does not exist.")
        return Answer(200, json.dumps(self.policies[query["name"]]).encode())

    def do_add_canned_policy(self, query, body, forget):
        """PUT add-canned-policy: MinIO writes actions and resources as sorted lists."""
        policy = json.loads(body)
        for statement in policy["Statement"]:
            for key in ("Action", "Resource"):
                statement[key] = sorted([statement[key]] if isinstance(statement[key], str) else statement[key], reverse=True)
        if not forget:
            self.policies[query["name"]] = policy
        return Answer(200, b"")

    def do_remove_canned_policy(self, query, _body, _forget):
        """DELETE remove-canned-policy."""
        if any(query["name"] in user["policies"] for user in self.users.values()):
            raise Refusal(400, "XMinioIAMPolicyInUse", "The policy cannot be removed, as it is in use")
        self.policies.pop(query["name"], None)
        return Answer(200, b"")
