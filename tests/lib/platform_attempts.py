"""What a stranger tries over HTTP, without any credential, on each kind of port of a platform: to read, to change, to delete.

A kind is a function that returns attempts (method, path, body, headers), those that destroy last. lib/platform_attack.py makes them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

PPROF = ("/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars")
NONE_JWT = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30."
FORM = '--x\r\nContent-Disposition: form-data; name="file"; filename="evil"\r\n\r\nevil\r\n--x--\r\n'
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


def forged(key, fid):
    """Return a SeaweedFS write token signed with `key`."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = json.dumps({"fid": fid, "exp": int(time.time()) + 3600}).encode()
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(claims)
    return (signed + b"." + part(hmac.new(key, signed, hashlib.sha256).digest())).decode()


def s3_signatures(access_key, host):
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
    common = {"x-amz-date": stamp, "Host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    return {name: {"Authorization": value, **common} for name, value in values.items()}


def reads(*paths):
    return [("GET", path, None, {}) for path in paths]


def master(ask, _port):
    bucket, fid = ask["bucket"], ask["fid"]
    tried = reads("/dir/status", "/vol/status", "/vol/list", "/cluster/status", "/cluster/ps", "/stats/memory", "/metrics")
    tried += reads(
        "/ui/index.html",
        "/raft/stats",
        f"/dir/lookup?fileId={fid}&read=yes",
        f"/dir/assign?collection={bucket}",
        f"/{fid}",
        "/healthz",
        *PPROF,
    )
    tried += [("POST", "/submit", FORM, FORM_TYPE), ("GET", "/vol/grow?count=1&collection=evil", None, {})]
    return [*tried, ("GET", f"/col/delete?collection={bucket}", None, {})]


def volume(ask, _port):
    fid = ask["fid"]
    tried = reads("/status", "/ui/index.html", "/stats/disk", "/metrics", f"/{fid}", f"/{fid}?readDeleted=true", "/healthz", *PPROF)
    tokens = [{}, {"Authorization": f"Bearer {NONE_JWT}"}, {"Authorization": f"Bearer {forged(b'', fid)}"}]
    tried += [("GET", f"/{fid}", None, token) for token in tokens[1:]]
    tried += [(method, f"/{fid}", FORM, {**FORM_TYPE, **token}) for method in ("POST", "PUT") for token in tokens]
    return tried + [("DELETE", f"/{fid}{end}", None, token) for token in tokens for end in ("", "?type=replicate")]


def filer(ask, _port):
    bucket, place = ask["bucket"], f"/{ask['bucket']}/{ask['key']}"
    tried = reads(f"/buckets{place}", f"/buckets/{bucket}/", "/buckets/?pretty=y", "/", "/etc/", "/etc/iam/identity.json", "/metrics")
    tried += reads(*PPROF, "/etc/seaweedfs/filer.conf", f"/buckets{place}?metadata=true", "/healthz")
    tried += [("POST", f"/buckets/{bucket}/evil", FORM, FORM_TYPE), ("PUT", f"/buckets/{bucket}/evil", "evil", {})]
    tried += [("POST", f"/buckets/{bucket}/x?{verb}.from=/buckets{place}", None, {}) for verb in ("cp", "mv")]
    tried += [("PUT", f"/buckets{place}?tagging", None, {"Seaweed-Evil": "1"}), ("DELETE", f"/buckets{place}", None, {})]
    return [*tried, ("DELETE", f"/buckets/{bucket}?recursive=true&ignoreRecursiveError=true", None, {})]


def s3(ask, port):
    bucket, key = ask["bucket"], ask["key"]
    place = f"/{bucket}/{key}"
    tried = reads("/", f"/{bucket}", place, "/metrics", *PPROF)
    tried += reads(*(f"/{bucket}?{what}" for what in ("versions", "policy", "acl", "uploads", "list-type=2")))
    tried += reads("/?Action=ListUsers&Version=2010-05-08", "/healthz", "/status")
    claims = list(s3_signatures(ask["access_key"], f"127.0.0.1:{port}").values())
    tried += [("GET", place, None, headers) for headers in claims]
    tried += [("PUT", f"/{bucket}/evil", "evil", headers) for headers in [{}, *claims]]
    tried += [("POST", f"/{bucket}/evil?uploads", None, {}), ("PUT", "/evilbucket", None, {})]
    tried += [("PUT", f"/{bucket}/evil", None, {"x-amz-copy-source": place})]
    tried += [("PUT", f"/{bucket}?acl", None, {"x-amz-acl": "public-read-write"})]
    policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    tried += [("PUT", f"/{bucket}?policy", json.dumps({"Version": "2012-10-17", "Statement": [policy]}), {})]
    suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    tried += [("PUT", f"/{bucket}?versioning", suspended, {})]
    web = {"Content-Type": "application/x-www-form-urlencoded"}
    for action in ("CreateUser&UserName=evil", "CreateAccessKey&UserName=evil", "ListUsers", "GetFederationToken&Name=x"):
        tried += [("POST", "/", f"Action={action}&Version=2010-05-08", web)]
    tried += [("POST", f"/{bucket}?delete", f"<Delete><Object><Key>{key}</Key></Object></Delete>", {})]
    return tried + [("DELETE", path, None, headers) for path in (place, f"/{bucket}") for headers in [{}, *claims]]


def mlflow(ask, _port):
    api, artifacts = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
    stored = f"{artifacts}/{ask['key'].split('/', 1)[1]}"
    tried = reads("/", "/metrics", "/health", "/version", "/signup", "/openapi.json", "/docs", stored, f"{artifacts}?path=", "/graphql")
    tried += reads(*(f"{api}/{what}" for what in ("experiments/search?max_results=1", "users/get?username=admin", "users/list")))
    tried += reads(f"{api}/registered-models/search", "/ajax-api/2.0/mlflow/experiments/search?max_results=1")
    tried += reads("/get-artifact?path=x&run_uuid=x", "/api/3.0/mlflow/server-info", "/ajax-api/2.0/mlflow/gateway-proxy")
    pairs = ("admin:password1234", "admin:", "admin:admin", ":", "evil:x")
    bad = [f"Basic {base64.b64encode(pair.encode()).decode()}" for pair in pairs] + [f"Bearer {NONE_JWT}"]
    tried += [("GET", f"{api}/experiments/search?max_results=1", None, {"Authorization": value}) for value in bad]
    text = {"Content-Type": "application/json"}
    for path, body in (
        ("runs/create", {"experiment_id": "0", "start_time": 1}),
        ("experiments/create", {"name": "evil"}),
        ("users/create", {"username": "evil", "password": "evil evil evil"}),
        ("users/update-admin", {"username": "evil", "is_admin": True}),
        ("experiments/delete", {"experiment_id": "0"}),
    ):
        tried += [("POST", f"{api}/{path}", json.dumps(body), text)]
    tried += [("POST", "/graphql", json.dumps({"query": '{mlflowSearchRuns(input:{experimentIds:["0"]}){runs{info{runId}}}}'}), text)]
    tried += [("PUT", f"{artifacts}/evil", "evil", {}), ("DELETE", stored, None, {})]
    return [*tried, ("POST", "/v1/traces", "", {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"})]


def internal(ask, _port):
    pages = ["/api/rawdata", "/api/overview", "/dashboard/", "/metrics"]
    tried = reads("/", *pages, "/ping", *PPROF, *(f"/mlflow/{number}/metrics" for number in ask["ports"].get("mlflow", [])))
    guessed = {"Authorization": "Basic " + base64.b64encode(b"mlops:mlops").decode()}
    tried += [("GET", path, None, guessed) for path in pages]
    return [*tried, ("PUT", "/api/providers/rest", "{}", {}), ("POST", "/-/quit", None, {})]


KINDS = {"master": master, "volume": volume, "filer": filer, "s3": s3, "mlflow": mlflow, "public": mlflow, "internal": internal}


def table(role, ask, port):
    """Return the attempts on a port of `role`; `ask` is the request of lib/platform_attack.py."""
    return KINDS[role](ask, port) if role in KINDS else reads("/", "/metrics", "/status", *PPROF)


def tables(ask):
    """Return the attempts on every port that is listened on, but PostgreSQL's: {port: [role, attempts]}. JSON keeps it as it is."""
    roles = {port: role for role, ports in ask["ports"].items() for port in ports}
    found = {port: roles.get(port, "other") for port in ask["listening"]}
    return {str(port): [role, table(role, ask, port)] for port, role in found.items() if role != "postgresql"}
