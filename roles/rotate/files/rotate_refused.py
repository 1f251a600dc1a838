"""Prove that the secrets of before a rotation are refused by whatever they opened.

Reads one JSON object from standard input, so that no secret is on a command line:

    postgresql {host, port, sslmode, logins [{username, database, password}]}
    s3 {endpoint_url, region, bucket, keys [{name, access_key, secret_key}]}
    mlflow {urls: of each process, ca: a file or "", username, password ("": not rotated), seconds: for how long the old one may still be
            remembered}
    scraper {url, password ("": not rotated)}

Prints one JSON object: {"verified": [...], "problem": null or a line}. Exit code 1 where an old secret opens something, or where what it
opened does not answer. Needs boto3 and psycopg2.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import time
import urllib.parse

import boto3
import psycopg2
from botocore.config import Config
from botocore.exceptions import ClientError

REFUSALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}


class VerificationError(Exception):
    """An old secret that is not refused as one; the text says which."""


def postgresql(request, verified):
    """Try each login. Raises VerificationError."""
    for login in request["logins"]:
        name = login["username"]
        try:
            psycopg2.connect(
                host=request["host"],
                port=request["port"],
                user=name,
                password=login["password"],
                dbname=login["database"],
                sslmode=request["sslmode"],
                connect_timeout=10,
                application_name="mlops-verify",
            ).close()
        except psycopg2.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise VerificationError(f"PostgreSQL answers to the old password of {name}: {error}") from None
            verified.append(f"PostgreSQL: the old password of {name}")
        else:
            raise VerificationError(f"PostgreSQL still accepts the old password of {name}. Run site.yml, then rotate it again")


def s3(request, verified):
    """Try each pair of keys. Raises VerificationError."""
    for pair in request["keys"]:
        client = boto3.client(
            "s3",
            endpoint_url=request["endpoint_url"],
            region_name=request["region"],
            aws_access_key_id=pair["access_key"],
            aws_secret_access_key=pair["secret_key"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3, "mode": "standard"}),
        )
        try:
            client.list_objects_v2(Bucket=request["bucket"], MaxKeys=1)
        except ClientError as error:
            if error.response["Error"]["Code"] not in REFUSALS:
                raise VerificationError(f"the object store answers to the old keys of {pair['name']}: {error}") from None
            verified.append(f"the object store: the old keys of {pair['name']}")
        else:
            raise VerificationError(f"the object store still accepts the old keys of {pair['name']}. Run site.yml, then rotate them again")


def status(url, username, password, ca=""):
    """Return the HTTP status of a GET with basic authentication; `ca` vouches for HTTPS. Raises OSError where nothing answers."""
    words = base64.b64encode(f"{username}:{password}".encode()).decode()
    parts = urllib.parse.urlsplit(url)
    # on loopback, past any proxy
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca or None)
        if not ca:
            # one that users gave names its public address, and not this way through the API server
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Authorization": f"Basic {words}"})
        return connection.getresponse().status
    finally:
        connection.close()


def login(what, urls, username, password, seconds, verified, ca=""):
    """Ask with the old password at each of `urls` until it is refused, for `seconds`. Raises VerificationError and OSError."""
    deadline = time.monotonic() + seconds
    for url in urls:
        while (code := status(url, username, password, ca)) != 401:
            if time.monotonic() > deadline:
                raise VerificationError(f"{what} answers {code} to the old password of {username} after {seconds} s, and not 401")
            time.sleep(1)
    verified.append(f"{what}: the old password of {username}")


def verify(request, verified):
    """Take all steps; add a line to `verified` for each. Raises VerificationError and what the clients raise."""
    postgresql(request["postgresql"], verified)
    s3(request["s3"], verified)
    mlflow, scraper = request["mlflow"], request["scraper"]
    if mlflow["password"]:
        urls = [f"{url}/api/2.0/mlflow/experiments/search?max_results=1" for url in mlflow["urls"]]
        login("MLflow", urls, mlflow["username"], mlflow["password"], mlflow["seconds"], verified, mlflow["ca"])
    if scraper["password"]:
        # Traefik takes a changed file within seconds
        login("the entry point", [scraper["url"]], "metrics", scraper["password"], 10, verified)


def main():
    """Run all steps and print the result; return the exit code."""
    request, verified, problem = json.load(sys.stdin), [], None
    try:
        verify(request, verified)
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())
    print(json.dumps({"verified": verified, "problem": problem}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
