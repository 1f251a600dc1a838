# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run with a parameter, a metric, a tag and an artifact: written, read back, compared, deleted.

MLflow's API removes artifacts for good, but a deleted experiment or run stays in the database until `mlflow gc`. A check that runs every
minute would pile up half a million of them a year. So one experiment is kept, and a run that an earlier check of the same day deleted is
restored and used again: what grows is one run a day (and one more for each check at the same time) and one metric value a check, and
`mlflow gc` takes them away with other deleted runs.
"""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import API, ARTIFACTS
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_diagnosis import ARTIFACT, WRITE, artifact_cause, cause_of, is_proxy_off
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError

MARK = "mlops.platform.health_check"
PARAM = {"key": "purpose", "value": "health check"}
METRIC = "roundtrip"
_NOTE = "Kept for health checks of the platform (mlops.platform.mlflow_health). Its runs are deleted at the end of each check."
_HOUR_MS = 60 * 60 * 1000
_DAY_MS = 24 * _HOUR_MS
_ARTIFACT_BYTES = 4096


class RoundtripFailure(Exception):
    """A step failed: cause is a key of mlflow_remedies.CAUSES."""

    def __init__(self, step, cause, message):
        super().__init__(message)
        self.step, self.cause, self.message = step, cause, message


class Roundtrip:
    """One roundtrip. After run(), leftovers says what could not be deleted, and notes what was not checked."""

    def __init__(self, client, experiment_name, timed):
        """Take the client, the experiment's name, and a function timed(step, function, *args, **kwargs) that calls and measures."""
        self._client, self._experiment_name, self._timed = client, experiment_name, timed
        self._run_id = self._artifact = None
        self._artifact_may_exist = False
        self.experiment_created = False
        self.leftovers, self.notes = [], []

    def run(self):
        """Do it; raise RoundtripFailure for the first step that fails. Everything that was made is deleted either way."""
        try:
            try:
                self._records()
                self._artifacts()
            finally:
                first_cleanup_error = self._clean()
        except MlflowError as exc:
            raise RoundtripFailure(WRITE, cause_of(WRITE, exc, self._client.connection), exc.words) from exc
        except (KeyError, TypeError) as exc:
            raise RoundtripFailure(WRITE, "not_mlflow", f"an answer is not in MLflow's form: {exc!r}") from exc
        if first_cleanup_error is not None:
            raise first_cleanup_error

    def _records(self):
        experiment_id = self._timed("experiment", self._experiment)
        run = self._timed("create_run", self._restored_run, experiment_id) or self._timed("create_run", self._new_run, experiment_id)
        self._run_id, self._artifact_uri = run["info"]["run_id"], run["info"].get("artifact_uri", "")
        value, stamp, nonce = int.from_bytes(os.urandom(3), "big"), int(time.time() * 1000), os.urandom(8).hex()
        mark = f"{stamp}-{nonce}"
        batch = {
            "run_id": self._run_id,
            "params": [PARAM],
            "metrics": [{"key": METRIC, "value": value, "timestamp": stamp, "step": 0}],
            "tags": [{"key": MARK, "value": mark}],
        }
        self._timed("write_run", self._client.call, "POST", f"{API}/runs/log-batch", json=batch)
        answer = self._timed("read_run", self._client.call, "GET", f"{API}/runs/get", params={"run_id": self._run_id})
        data = answer["run"]["data"]
        read = {
            "params": [item for item in data.get("params", []) if item["key"] == PARAM["key"]],
            "metrics": [item["value"] for item in data.get("metrics", []) if item["key"] == METRIC],
            "tags": [item["value"] for item in data.get("tags", []) if item["key"] == MARK],
        }
        if read != {"params": [PARAM], "metrics": [value], "tags": [mark]}:
            raise RoundtripFailure(
                WRITE, "read_back_differs", f"wrote {PARAM}, metric {value} and tag {mark} to run {self._run_id}, read {read}"
            )

    def _experiment(self):
        """Return the id of the kept experiment; make or restore it if need be."""
        try:
            found = self._client.call("GET", f"{API}/experiments/get-by-name", params={"experiment_name": self._experiment_name})[
                "experiment"
            ]
        except MlflowError as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            made = self._client.call(
                "POST",
                f"{API}/experiments/create",
                json={"name": self._experiment_name, "tags": [{"key": "mlflow.note.content", "value": _NOTE}]},
            )
            self.experiment_created = True
            return made["experiment_id"]
        if found.get("lifecycle_stage") == "deleted":
            self._client.call("POST", f"{API}/experiments/restore", json={"experiment_id": found["experiment_id"]})
            self.experiment_created = True
            # restoring an experiment restores all its runs, also those that were deleted before it
            for run in self._marked_runs(found["experiment_id"], "ACTIVE_ONLY"):
                self._delete(run)
        return found["experiment_id"]

    def _restored_run(self, experiment_id):
        """Return a run that a check of the last day deleted, restored; None if there is none, or another check took it first.

        Runs that a check left when it was killed, an hour ago or more, are deleted on the way.
        """
        now, found = int(time.time() * 1000), []
        for run in self._marked_runs(experiment_id, "ALL"):
            if run["info"]["lifecycle_stage"] == "active":
                if _last_used(run) < now - _HOUR_MS:
                    self._delete(run)
            elif int(run["info"]["start_time"]) > now - _DAY_MS:
                found.append(run)
        if not found:
            return None
        run = found[int.from_bytes(os.urandom(2), "big") % len(found)]
        try:
            self._client.call("POST", f"{API}/runs/restore", json={"run_id": run["info"]["run_id"]})
        except MlflowError as exc:
            # restoring a run that is active is INVALID_PARAMETER_VALUE
            if exc.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                raise
            return None
        return run

    def _marked_runs(self, experiment_id, view):
        """Return the latest runs that checks made, at most 50: a day has one, and one for each check at the same time."""
        body = {
            "experiment_ids": [experiment_id],
            "run_view_type": view,
            "filter": f"tags.`{MARK}` != ''",
            "order_by": ["attributes.start_time DESC"],
            "max_results": 50,
        }
        return self._client.call("POST", f"{API}/runs/search", json=body).get("runs", [])

    def _delete(self, run):
        self._client.call("POST", f"{API}/runs/delete", json={"run_id": run["info"]["run_id"]})

    def _new_run(self, experiment_id):
        now = int(time.time() * 1000)
        body = {
            "experiment_id": experiment_id,
            "run_name": "health check",
            "start_time": now,
            "tags": [{"key": MARK, "value": f"{now}-new"}],
        }
        return self._client.call("POST", f"{API}/runs/create", json=body)["run"]

    def _artifacts(self):
        uri = urlsplit(self._artifact_uri)
        if uri.scheme != "mlflow-artifacts":
            self.notes.append(
                f"artifacts were not checked: experiment {self._experiment_name!r} keeps them at {uri.scheme or 'file'}:, "
                "past the server's proxy"
            )
            return
        folder = f"{ARTIFACTS}/{uri.path.strip('/')}/health_check"
        path, content = f"{folder}/{os.urandom(8).hex()}.bin", bytes(range(256)) + os.urandom(_ARTIFACT_BYTES - 256)
        self._artifact, self._artifact_may_exist = path, True
        try:
            self._timed("write_artifact", self._client.request, "PUT", path, body=content, content_type="application/octet-stream")
            read = self._timed("read_artifact", self._client.request, "GET", path).body
        except MlflowError as exc:
            if is_proxy_off(exc):
                self._artifact = None
                self.notes.append("artifacts were not checked: the server runs with --no-serve-artifacts")
                return
            raise self._artifact_failure(exc, folder) from exc
        if read != content:
            raise RoundtripFailure(ARTIFACT, "artifact_differs", f"wrote {len(content)} bytes to {path}, read {len(read)} others")

    def _artifact_failure(self, error, folder):
        """Return why an artifact request failed. A database that went away shows as 401 or 500 there, so that is asked first."""
        # an answer that refuses the upload says that nothing was stored; no answer leaves it open
        self._artifact_may_exist = error.kind != "http"
        try:
            self._client.call("GET", f"{API}/runs/get", params={"run_id": self._run_id})
        except MlflowError as exc:
            return RoundtripFailure(WRITE, cause_of(WRITE, exc, self._client.connection), exc.words)
        list_error = None
        try:
            self._client.call("GET", ARTIFACTS, params={"path": folder[len(ARTIFACTS) + 1 :]})
        except MlflowError as exc:
            list_error = exc
        cause, words = artifact_cause(error, list_error, self._client.connection)
        return RoundtripFailure(ARTIFACT, cause, words)

    def _clean(self):
        """Delete what was made; return a RoundtripFailure for the first thing that could not be, or None."""
        first = None
        if self._artifact:
            try:
                self._timed("delete_artifact", self._client.request, "DELETE", self._artifact)
            except MlflowError as exc:
                if self._artifact_may_exist:
                    self.leftovers.append(f"artifact {self._artifact[len(ARTIFACTS) + 1 :]}")
                first = RoundtripFailure(ARTIFACT, "artifact_not_deleted", exc.words)
        if self._run_id:
            try:
                self._timed("delete_run", self._client.call, "POST", f"{API}/runs/delete", json={"run_id": self._run_id})
            except MlflowError as exc:
                self.leftovers.append(f"run {self._run_id}")
                first = first or RoundtripFailure(WRITE, cause_of(WRITE, exc, self._client.connection), exc.words)
        return first


def _last_used(run):
    """Return when a check last wrote to a run, in milliseconds: its mark says so."""
    marks = [tag["value"] for tag in run["data"].get("tags", []) if tag["key"] == MARK]
    stamp = marks[0].partition("-")[0] if marks else ""
    return int(stamp) if stamp.isdigit() else 0


def would_create_experiment(client, name):
    """Return whether a roundtrip would have to make or restore its experiment; asks, changes nothing."""
    try:
        found = client.call("GET", f"{API}/experiments/get-by-name", params={"experiment_name": name})["experiment"]
    except MlflowError as exc:
        if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
            return True
        raise
    return found.get("lifecycle_stage") == "deleted"
