"""Prove the whole path from a user to the object version in the bucket, with MLflow's own client, and leave nothing behind.

Reads one JSON object from standard input, so that no secret is on a command line:

    tracking_uri, ca (path or "": the operating system's authorities),
    admin {username, password}, user {username, password} (made and removed here),
    hosts (Host headers that must be accepted),
    s3 {endpoint_url, access_key, secret_key, region, bucket, ca (path or "")} (an identity that may list versions),
    backend_store_uri (optional: deleted runs are then removed for good from it)

Prints one JSON object: {"verified": [what was proven, in order], "problem": null or a line, "seconds": ...}. Exit code 1 where something is
not as it should be. Run it with the Python of the MLflow environment.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path


class VerificationError(Exception):
    """A step that did not do what it should; the text says which and what was seen."""


def system_authorities():
    """Return the file, else the directory, of the authorities that the operating system knows, or None."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath


class Verification:
    """The steps, in order; each adds a line to `verified` or raises VerificationError."""

    def __init__(self, request):
        """Keep the request (see the module's text); import MLflow's client with the user's credentials in its environment."""
        self.request, self.verified, self.experiment, self.run, self.model, self.bucket = request, [], None, None, None, None
        self.name = f"mlops-verify-{secrets.token_hex(4)}"
        os.environ.update(
            MLFLOW_TRACKING_URI=request["tracking_uri"],
            MLFLOW_TRACKING_USERNAME=request["user"]["username"],
            MLFLOW_TRACKING_PASSWORD=request["user"]["password"],
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
            # a restart of a process may be under way; a refused login must not be repeated for minutes
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="4",
        )
        # left alone, MLflow's client would know the authorities that its own packages bring, and none of a company's
        if authorities := request["ca"] or system_authorities():
            os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = authorities
        import mlflow

        self.mlflow = mlflow

    @contextlib.contextmanager
    def as_admin(self):
        """Use the administrator's credentials within the block."""
        mine = {key: os.environ[key] for key in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")}
        os.environ.update(
            MLFLOW_TRACKING_USERNAME=self.request["admin"]["username"], MLFLOW_TRACKING_PASSWORD=self.request["admin"]["password"]
        )
        try:
            yield
        finally:
            os.environ.update(mine)

    def status_of(self, username=None, password="", host=None):
        """Return the HTTP status of a call that reads the database, with the given login and Host header."""
        request = urllib.request.Request(f"{self.request['tracking_uri']}/api/2.0/mlflow/experiments/search?max_results=1")  # noqa: S310
        if username is not None:
            request.add_header("Authorization", "Basic " + b64encode(f"{username}:{password}".encode()).decode())
        if host:
            request.add_header("Host", host)
        context = ssl.create_default_context(cafile=self.request["ca"] or None)
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ssl.SSLCertVerificationError):
                raise
            trusted = self.request["ca"] or "the system's authorities alone"
            raise VerificationError(
                f"the certificate is refused ({error.reason.verify_message}): the client trusts {trusted}; "
                "name the certificate's own (on a host: ingress_tls_ca)"
            ) from error

    def refusals(self):
        """Prove that a wrong password, no password and a wrong Host header are refused, and every public name accepted."""
        admin = self.request["admin"]
        for what, status, wanted in (
            ("no password", self.status_of(), (401,)),
            ("wrong password", self.status_of(admin["username"], "wrong-" + secrets.token_hex(8)), (401,)),
            ("wrong Host header", self.status_of(admin["username"], admin["password"], host="attacker.example"), (400, 403)),
        ):
            if status not in wanted:
                raise VerificationError(f"{what}: the server answered {status} instead of {wanted[0]}: it is open to others")
            self.verified.append(f"{what} is refused ({status})")
        for host in self.request["hosts"]:
            status = self.status_of(admin["username"], admin["password"], host=host)
            if status != 200:
                raise VerificationError(f"Host header {host}: answered {status} instead of 200: add it to mlops_public_names")
        self.verified.append(f"{len(self.request['hosts'])} Host headers are accepted: {', '.join(self.request['hosts'])}")

    def call_users(self, method, endpoint, **fields):
        """Call MLflow's API of users as the administrator, as MLflow's own client of it does.

        Importing that client (mlflow.server.auth.client) imports the whole server, which takes longer than all that is proven here.
        """
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        with self.as_admin():
            answer = http_request(get_default_host_creds(self.request["tracking_uri"]), endpoint, method, json=fields)
        verify_rest_response(answer, endpoint)

    def make_user(self):
        """Create the user, who is no administrator, and as that user an experiment of its own."""
        user = self.request["user"]
        self.call_users("POST", "/api/2.0/mlflow/users/create", username=user["username"], password=user["password"])
        self.experiment = self.mlflow.create_experiment(self.name)
        self.verified.append("a user without special rights was made, and made an experiment")

    def remove_user(self):
        """Remove the user, with the rights that hang on it."""
        self.call_users("DELETE", "/api/2.0/mlflow/users/delete", username=self.request["user"]["username"])

    def log_run(self):
        """Log a run with a param, a metric and an artifact, register its model, point an alias at it."""
        client, self.content = self.mlflow.MlflowClient(), secrets.token_bytes(100_000)
        self.run = client.create_run(self.experiment, run_name=self.name)
        run_id = self.run.info.run_id
        client.log_param(run_id, "purpose", "verify")
        client.log_metric(run_id, "value", 0.25, step=1)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.bin").write_bytes(self.content)
            client.log_artifact(run_id, str(Path(folder, "model.bin")), "model")
        client.set_terminated(run_id)
        read = client.get_run(run_id)
        if read.data.params != {"purpose": "verify"} or read.data.metrics != {"value": 0.25}:
            raise VerificationError(f"the run came back as {read.data.params} {read.data.metrics}")
        self.verified.append("a run with a param, a metric and an artifact was logged and read back")
        self.model = client.create_registered_model(self.name)
        version = client.create_model_version(self.name, f"{self.run.info.artifact_uri}/model", run_id)
        client.set_registered_model_alias(self.name, "champion", version.version)
        self.verified.append("a model was registered, with an alias")

    def load_back(self):
        """Load the artifact through the alias and compare it byte by byte."""
        with tempfile.TemporaryDirectory() as folder:
            place = self.mlflow.artifacts.download_artifacts(f"models:/{self.name}@champion", dst_path=folder)
            if Path(place, "model.bin").read_bytes() != self.content:
                raise VerificationError("the artifact that came back through the alias differs from what was logged")
        self.verified.append("the artifact came back through the alias, byte for byte")

    def look_into_bucket(self):
        """Find the artifact's object in the bucket, with a version of its own."""
        import boto3
        from botocore.config import Config

        s3 = self.request["s3"]
        self.bucket = boto3.client(
            "s3",
            endpoint_url=s3["endpoint_url"],
            aws_access_key_id=s3["access_key"],
            aws_secret_access_key=s3["secret_key"],
            region_name=s3["region"],
            verify=s3.get("ca") or None,
            config=Config(
                s3={"addressing_style": "path"},
                proxies={},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self.versions = self.find_versions()
        if not [v for v in self.versions if v.get("VersionId") not in (None, "null") and v["Key"].endswith("/model.bin")]:
            raise VerificationError(f"bucket {s3['bucket']}: the artifact has no object version: is versioning enabled?")
        self.verified.append(f"the bucket {s3['bucket']} holds it as an object version")

    def find_versions(self):
        """Return the versions and delete markers of this run's objects."""
        run_id, found = self.run.info.run_id, []
        pages = self.bucket.get_paginator("list_object_versions").paginate(
            Bucket=self.request["s3"]["bucket"], Prefix=f"artifacts/{self.experiment}/{run_id}/"
        )
        for page in pages:
            found += page.get("Versions", []) + page.get("DeleteMarkers", [])
        return found

    def clean_up(self):
        """Remove the model, the run, its objects with all their versions, and the user; raise for what could not be removed."""
        client, problems = self.mlflow.MlflowClient(), []
        run_id = self.run.info.run_id if self.run else None

        def attempt(what, action):
            try:
                action()
            except Exception as error:  # every part is tried, whatever happened to the others
                problems.append(f"{what}: {error}")

        if self.model:
            attempt("model", lambda: client.delete_registered_model(self.name))
        if run_id:
            attempt("run", lambda: client.delete_run(run_id))
        if self.experiment:
            attempt("experiment", lambda: client.delete_experiment(self.experiment))
        if self.bucket and run_id:
            for version in self.find_versions():
                attempt(
                    f"object {version['Key']}",
                    lambda v=version: self.bucket.delete_object(
                        Bucket=self.request["s3"]["bucket"], Key=v["Key"], VersionId=v["VersionId"]
                    ),
                )
        if self.experiment and self.request.get("backend_store_uri"):
            attempt("deleted experiment", lambda: self.purge(run_id))
        attempt("user", self.remove_user)
        if problems:
            raise VerificationError("could not clean up: " + "; ".join(problems))

    def purge(self, run_id):
        """Remove the deleted run and experiment for good, which the API cannot do: as `mlflow gc` does."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = SqlAlchemyStore(self.request["backend_store_uri"], "mlflow-artifacts:/")
        if run_id:
            store._hard_delete_run(run_id)
        store._hard_delete_experiment(self.experiment)


def main():
    """Run all steps and print the result; return the exit code."""
    started = time.monotonic()
    # MLflow's modules are 150,000 objects that live until the end: looking for garbage among them takes a fifth of their import
    gc.disable()
    # MLflow's client prints addresses of runs: standard output is for the result alone
    with contextlib.redirect_stdout(sys.stderr):
        verification = Verification(json.load(sys.stdin))
        problem = run(verification)
    print(json.dumps({"verified": verification.verified, "problem": problem, "seconds": round(time.monotonic() - started, 1)}))
    return 1 if problem else 0


def run(verification):
    """Take all steps; return the problem that ended them, or None."""
    try:
        verification.refusals()
        try:
            verification.make_user()
            verification.log_run()
            verification.load_back()
            verification.look_into_bucket()
        finally:
            verification.clean_up()
        verification.verified.append("all of it was removed again")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
