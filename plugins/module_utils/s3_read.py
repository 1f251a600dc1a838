# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A quick look at a bucket: plain signed GET requests, for the run in which nothing has to change.

Loading botocore takes most of the time of such a run, so it is left out as long as the answers are ordinary ones. Whatever is not
ordinary - an error, a redirect, a broken connection, an element that is not known here - is no answer, and botocore is asked instead.
Tests hold both to the same answers.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import os
import ssl
import urllib.parse
import xml.etree.ElementTree as ET

# operation -> query of its request; "" is a HEAD of the bucket itself
QUERIES = {
    "head_bucket": "",
    "get_bucket_versioning": "versioning",
    "get_bucket_tagging": "tagging",
    "get_bucket_policy": "policy",
    "get_bucket_lifecycle_configuration": "lifecycle",
    "get_object_lock_configuration": "object-lock",
}
# error codes that are ordinary answers: there is none
ORDINARY = {"NoSuchTagSet", "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"}
NUMBERS = {"Days", "Years", "NoncurrentDays", "NewerNoncurrentVersions", "DaysAfterInitiation"}
TEXTS = {"Status", "ID", "Prefix", "Key", "Value", "Mode", "ObjectLockEnabled"}
GROUPS = {"Filter", "And", "Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "DefaultRetention"}
# (element, within) -> the name under which botocore gives the list of them
LISTS = {("Rule", "LifecycleConfiguration"): "Rules", ("Tag", "And"): "Tags", ("Tag", "TagSet"): "TagSet"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
TIMEOUT = 5  # seconds; botocore, which is asked next, has more patience
EMPTY_HASH = hashlib.sha256(b"").hexdigest()


class Unusual(Exception):
    """Something that botocore has to look at."""


class Reader:
    """Reads from one server, addressed by path, with known keys. Raises Unusual where botocore is needed from the start."""

    def __init__(self, endpoint, region, credentials, ca_bundle, validate_certs):
        parts = urllib.parse.urlsplit(endpoint)
        if parts.path or parts.query or parts.username or any(os.environ.get(p) or os.environ.get(p.upper()) for p in PROXIES):
            raise Unusual("an address or a way that needs more than a plain request")
        self.host, self.region, self.credentials = parts.netloc, region, credentials
        if parts.scheme == "http":
            self.connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
            return
        if validate_certs and not ca_bundle:
            raise Unusual("botocore's own bundle of authorities is needed")
        try:
            context = ssl.create_default_context(cafile=ca_bundle if validate_certs else None)
        except OSError:
            raise Unusual("ca_bundle is no file of certificates") from None
        if not validate_certs:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=context)

    def read(self, operation, bucket):
        """Return (answer, "") with a dict as botocore's client gives it, or (None, code) for an ordinary "there is none".

        Raises Unusual for everything else.
        """
        query = QUERIES[operation]
        method, path = "GET" if query else "HEAD", f"/{bucket}"
        now = datetime.datetime.now(datetime.timezone.utc)
        headers = signed_headers(method, self.host, path, query and f"{query}=", self.region, self.credentials, now)
        try:
            self.connection.request(method, f"{path}?{query}" if query else path, headers=headers)
            response = self.connection.getresponse()
            body = response.read()
            if response.status == 200:
                return ({"Policy": body.decode()} if query == "policy" else answer(body) if query else {}), ""
            code = str(response.status) if not query else ET.fromstring(body).findtext("{*}Code") or ""  # noqa: S314
        except (OSError, http.client.HTTPException, ET.ParseError, ValueError, LookupError) as error:
            raise Unusual(str(error)) from None
        if response.status == 404 and (not query or code in ORDINARY):
            return None, code
        raise Unusual(f"HTTP {response.status}")


def answer(body):
    """Return the XML `body` as a dict with the names that botocore gives. Raises Unusual and ParseError."""
    if not body.strip():
        raise Unusual("an empty answer")
    root = ET.fromstring(body)  # noqa: S314 - from the server that the user trusts with the data; expat bounds entities
    return _group(root, _name(root))


def _name(element):
    return element.tag.rpartition("}")[2]


def _group(element, kind):
    """Return the children of `element` as a dict."""
    result = {}
    for child in element:
        name = _name(child)
        if name in TEXTS and not len(child):
            result[name] = child.text or ""
        elif name in NUMBERS:
            result[name] = int(child.text)
        elif name == "ExpiredObjectDeleteMarker":
            result[name] = child.text == "true"
        elif (name, kind) in LISTS:
            result.setdefault(LISTS[name, kind], []).append(_group(child, name))
        elif name == "TagSet":
            result[name] = _group(child, name).get("TagSet", [])
        elif name in GROUPS or (name, kind) in (("Rule", "ObjectLockConfiguration"), ("Tag", "Filter")):
            result[name] = _group(child, name)
        else:
            raise Unusual(f"unknown element {name}")
    return {"ObjectLockConfiguration": result} if kind == "ObjectLockConfiguration" else result


def signed_headers(method, host, path, query, region, credentials, now):
    """Return the headers of a request without a body, signed with signature version 4.

    `query` is in the canonical form, `credentials` are access key, secret key and token (or None), `now` is in UTC.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    access_key, secret_key, token = credentials
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": EMPTY_HASH, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, path, query, lines, names, EMPTY_HASH))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={key.hex()}"
    return headers
