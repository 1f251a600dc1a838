from __future__ import annotations

import datetime
import http.server
import threading

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import s3_read
from ansible_collections.mlops.platform.plugins.module_utils.s3_read import Reader, Unusual, answer, signed_headers

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in s3_read.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_signature_of_the_example_in_the_reference():
    """GET Bucket Lifecycle in "Signature Calculations for the Authorization Header" of the S3 API reference."""
    now = datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
    headers = signed_headers("GET", "examplebucket.s3.amazonaws.com", "/", "lifecycle=", "us-east-1", KEYS, now)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


@pytest.mark.parametrize("query", ["", "versioning="])
@pytest.mark.parametrize("token", [None, "a/token+="])
def test_signature_is_botocores(query, token, monkeypatch):
    auth, awsrequest = pytest.importorskip("botocore.auth"), pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials").Credentials(KEYS[0], 'ü"\\ {{ x }}', token)
    now = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.timezone.utc)
    method = "GET" if query else "HEAD"
    ours = signed_headers(method, "127.0.0.1:9000", "/b.c-d", query, "eu-x", (KEYS[0], 'ü"\\ {{ x }}', token), now)
    request = awsrequest.AWSRequest(method, "http://127.0.0.1:9000/b.c-d" + (f"?{query}" if query else ""))
    request.context["timestamp"] = ours["x-amz-date"]
    signer = auth.S3SigV4Auth(credentials, "s3", "eu-x")
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = s3_read.EMPTY_HASH
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<VersioningConfiguration {XMLNS}/>", {}),
        (f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>", {"Status": "Enabled"}),
        (
            "<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag><Tag><Key> ü</Key><Value>1 &amp; 2</Value></Tag></TagSet></Tagging>",
            {"TagSet": [{"Key": "a", "Value": ""}, {"Key": " ü", "Value": "1 & 2"}]},
        ),
        ("<Tagging><TagSet/></Tagging>", {"TagSet": []}),
        (
            f"<ObjectLockConfiguration {XMLNS}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
            "<Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
            {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}}},
        ),
        (
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value>"
            "</Tag><Tag><Key>l</Key><Value>w</Value></Tag></And></Filter><Expiration><Days>3</Days></Expiration></Rule><Rule><ID>b</ID>"
            "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
            "</Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
            "</LifecycleConfiguration>",
            {
                "Rules": [
                    {
                        "ID": "a",
                        "Status": "Enabled",
                        "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]}},
                        "Expiration": {"Days": 3},
                    },
                    {
                        "ID": "b",
                        "Filter": {"Tag": {"Key": "k", "Value": "v"}},
                        "Expiration": {"ExpiredObjectDeleteMarker": True},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    },
                ]
            },
        ),
    ],
)
def test_answers(body, expected):
    assert answer(body.encode()) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "<LifecycleConfiguration><Rule><ID>a</ID><Transition><Days>3</Days></Transition></Rule></LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><Expiration><Date>2030-01-01</Date></Expiration></Rule></LifecycleConfiguration>",
        "<html><body>a proxy's login page</body></html>",
    ],
)
def test_unknown_answers_are_left_to_botocore(body):
    with pytest.raises(Unusual):
        answer(body.encode())


@pytest.mark.parametrize(
    ("endpoint", "bundle", "checked"),
    [
        ("http://h/prefix", None, True),
        ("http://h/?a=b", None, True),
        ("http://user@h", None, True),
        ("https://h", None, True),
        ("https://h", __file__, True),
        ("https://h", "/", True),
    ],
)
def test_endpoints_for_botocore(endpoint, bundle, checked):
    with pytest.raises(Unusual):
        Reader(endpoint, "us-east-1", KEYS, bundle, checked)


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_proxies_are_for_botocore(name, monkeypatch):
    monkeypatch.setenv(name, "http://proxy:3128")
    with pytest.raises(Unusual):
        Reader("http://h", "us-east-1", KEYS, None, True)


@pytest.fixture
def server():
    """A server that answers what the test puts into `replies`: path -> (status, body)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, body = self.server.replies.get(self.path, (500, "<Error><Code>InternalError</Code></Error>"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    instance = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    instance.replies = {}
    thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield instance
    instance.shutdown()
    instance.server_close()
    thread.join()


def reader_of(server):
    return Reader(f"http://127.0.0.1:{server.server_port}", "us-east-1", KEYS, None, True)


def test_ordinary_answers(server):
    server.replies = {
        "/b": (200, ""),
        "/b?versioning": (200, "<V><Status>Enabled</Status></V>"),
        "/b?policy": (200, '{"Version": "x"}\n'),
        "/b?tagging": (404, f"<Error {XMLNS}><Code>NoSuchTagSet</Code></Error>"),
    }
    reader = reader_of(server)
    assert reader.read("head_bucket", "b") == ({}, "")
    assert reader.read("get_bucket_versioning", "b") == ({"Status": "Enabled"}, "")
    assert reader.read("get_bucket_policy", "b") == ({"Policy": '{"Version": "x"}\n'}, "")
    assert reader.read("get_bucket_tagging", "b") == (None, "NoSuchTagSet")


def test_a_missing_bucket(server):
    server.replies = {"/b": (404, "")}
    assert reader_of(server).read("head_bucket", "b") == (None, "404")


@pytest.mark.parametrize(
    "reply",
    [
        (403, "<Error><Code>AccessDenied</Code></Error>"),
        (307, ""),
        (500, "<Error><Code>NoSuchTagSet</Code></Error>"),
        (404, "<Error><Code>NoSuchBucket</Code></Error>"),
        (404, "not found"),
        (404, "<Error/>"),
        (501, "<Error><Code>NotImplemented</Code></Error>"),
        (200, "<cut"),
        (200, "<Tagging><TagSet><Tag><Days>x</Days></Tag></TagSet></Tagging>"),
    ],
)
def test_everything_else_is_left_to_botocore(server, reply):
    server.replies = {"/b?tagging": reply}
    with pytest.raises(Unusual):
        reader_of(server).read("get_bucket_tagging", "b")


def test_nobody_there(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(Unusual):
        reader_of(server).read("head_bucket", "b")
