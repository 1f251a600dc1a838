"""Clients of a running platform that share no code with the collection: HTTP, S3, PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import select
import ssl
import threading
import time
import urllib.parse


class Http:
    """One keep-alive connection to an address, with or without TLS, with or without a login."""

    def __init__(self, url, login=None, ca=None, timeout=60):
        self.parts = urllib.parse.urlsplit(url)
        self.timeout = timeout
        self.context = ssl.create_default_context(cafile=ca) if self.parts.scheme == "https" else None
        self.headers = {}
        # whether a kept connection is looked at before it is used again, as urllib3 and with it MLflow's own client does
        self.looks_first = False
        if login:
            self.headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self.connection = None

    def __call__(self, method, path, body=None, headers=None):
        """Send one request; return (status, headers, bytes). No retry. Raises OSError and http.client.HTTPException."""
        # between two answers there is nothing to read but the end
        if self.looks_first and self.connection and self.connection.sock and select.select([self.connection.sock], [], [], 0)[0]:
            self.close()
        if self.connection is None:
            host, port = self.parts.hostname, self.parts.port
            if self.context:
                self.connection = http.client.HTTPSConnection(host, port, timeout=self.timeout, context=self.context)
            else:
                self.connection = http.client.HTTPConnection(host, port, timeout=self.timeout)
        send = {**self.headers, **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            send.setdefault("Content-Type", "application/json")
        try:
            self.connection.request(method, path, body, send)
            answer = self.connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def json(self, method, path, body=None):
        """Send one request whose answer must be 200 and JSON; return it. Raises AssertionError."""
        status, _headers, answer = self(method, path, body)
        assert status == 200, f"{method} {path}: {status} {answer[:500]!r}"
        return json.loads(answer)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def s3(connection, **config):
    """Return a boto3 client without retries for the connection options of this collection's S3 modules. `config`: more of botocore's."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=connection["endpoint_url"],
        aws_access_key_id=connection["access_key"],
        aws_secret_access_key=connection["secret_key"],
        region_name=connection.get("region") or "us-east-1",
        verify=connection.get("ca_bundle") or connection.get("validate_certs", True),
        config=Config(
            **{
                # presigned URLs for endpoints other than AWS would still be version 2
                "signature_version": "s3v4",
                "s3": {"addressing_style": connection.get("addressing_style") or "path"},
                "proxies": {},
                "retries": {"max_attempts": 1},
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
                **config,
            }
        ),
    )


@contextlib.contextmanager
def postgresql(port, user, password, database, host="127.0.0.1"):
    """Give an autocommit psycopg2 cursor."""
    import psycopg2

    connection = psycopg2.connect(host=host, port=port, user=user, password=password, dbname=database, connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


class Load:
    """Bare HTTP clients, without any retry, that read and write through the public address until they are stopped.

    `failures` holds what did not succeed, `written` the (key, step) of each metric that was acknowledged.
    """

    def __init__(self, platform, clients=4, pause=0.3, ca=None, login=True):
        """Take the number of clients, the seconds between two requests of one (a run needs the processor too), their CA and login."""
        self.platform, self.pause = platform, pause
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.failures, self.written, self.done = [], [], 0
        self.run_id = platform.new_run("load")
        # made here: what fails in a thread fails without a word
        made = [(number, platform.http(login, ca=ca)) for number in range(clients)]
        self.threads = [threading.Thread(target=self.client, args=arguments, daemon=True) for arguments in made]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_unused):
        self.stop.set()
        for thread in self.threads:
            thread.join(120)
        with self.lock:
            self.failures += [f"{thread.name} has not ended" for thread in self.threads if thread.is_alive()]

    def client(self, number, client):
        step, began = 0, time.monotonic()
        while not self.stop.wait(self.pause):
            step += 1
            if number % 2:
                client.close()  # every other client makes a new connection for each request
            if step % 3:
                body = {"run_id": self.run_id, "key": f"m{number}", "value": step, "timestamp": step, "step": step}
                request = ("POST", "/api/2.0/mlflow/runs/log-metric", body)
            else:
                request = ("GET", "/api/2.0/mlflow/experiments/search?max_results=1", None)
            try:
                status, _headers, answer = client(*request)
                problem = None if status == 200 else f"{status} {answer[:200]!r}"
            except Exception as error:  # a client that ended without a word would prove nothing from then on
                problem = repr(error)
                client.close()
            with self.lock:
                self.done += 1
                if problem:
                    self.failures.append(f"{time.monotonic() - began:.1f} s: {request[0]}: {problem}")
                elif request[2]:
                    self.written.append((request[2]["key"], step))

    def lost(self):
        """Return the acknowledged metrics that are not in the database."""
        with self.platform.database("mlflow") as cursor:
            cursor.execute("SELECT key, step FROM metrics WHERE run_uuid = %s", (self.run_id,))
            return sorted(set(self.written) - set(cursor.fetchall()))
