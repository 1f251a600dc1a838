# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Health checks of an MLflow server: one attempt, and waiting for the state that is wanted."""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils.client_rule import is_incompatible
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import API, MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_diagnosis import (
    HEALTH,
    READ,
    SERVER_INFO,
    cause_of,
)
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_remedies import Diagnosis
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_roundtrip import Roundtrip, RoundtripFailure, would_create_experiment

LIVENESS, DATABASE, ROUNDTRIP = DEPTHS = ("liveness", "database", "roundtrip")
# a longer pause between attempts would only make the answer late
MAX_DELAY_SECONDS = 10


class _NotWell(Exception):
    def __init__(self, diagnosis):
        super().__init__(diagnosis.message)
        self.diagnosis = diagnosis


class HealthCheck:
    """One attempt to see whether a server is well. run() fills the attributes that result() returns."""

    def __init__(self, connection, depth, *, client_version=None, experiment_name=None, check_mode=False, client=None):
        """Take an MlflowConnection and how deep to look; check_mode turns a roundtrip into a read."""
        self._connection = connection
        self._client = client or MlflowClient(connection)
        self._depth, self._client_version, self._check_mode = depth, client_version, check_mode
        self._experiment_name = experiment_name
        self.latency_ms, self.server_version, self.depth_reached = {}, None, "none"
        self.changed, self.leftovers, self.notes = False, [], []

    def run(self):
        """Look; return None if the server is well at this depth, else a Diagnosis."""
        try:
            self._liveness()
            if self._depth != LIVENESS:
                self._database()
            if self._depth == ROUNDTRIP:
                self._roundtrip()
        except _NotWell as exc:
            return exc.diagnosis
        finally:
            self._client.close()
        return None

    def _liveness(self):
        answer = self._step(HEALTH, self._client.request, "GET", "/health")
        if answer.text.strip() != "OK":
            raise self._not_well(HEALTH, MlflowError("not_json", f"/health answered {answer.text.strip()[:200]!r} instead of 'OK'"))
        # /health and /version are exempt from the host check; server-info is not, and needs no login. Servers before 3.0 have none.
        self._step(SERVER_INFO, self._client.call, "GET", "/api/3.0/mlflow/server-info", absent_is_fine=True)
        self.depth_reached = LIVENESS
        try:
            self.server_version = self._timed("version", self._client.request, "GET", "/version").text.strip()
        except MlflowError:
            # under basic auth it needs a login: what matters about that is found by the next step
            self.server_version = None

    def _database(self):
        # of the cheap calls, this one cannot be answered without the store
        self._step(READ, self._client.call, "GET", f"{API}/experiments/search", params={"max_results": 1})
        self.depth_reached = DATABASE
        if self._client_version:
            self._compatibility()

    def _compatibility(self):
        has_logged_models = None
        if self.server_version is None:
            has_logged_models = self._timed("logged_models", logged_models_api, self._client)
        if is_incompatible(self._client_version, self.server_version, has_logged_models):
            raise _NotWell(Diagnosis("client_incompatible", f"the server is {self._shown_version()}", "compatibility", self._facts()))

    def _roundtrip(self):
        if self._check_mode:
            self.notes.append("check mode: the roundtrip was not done, the database was read instead")
            self.changed = self._step(READ, would_create_experiment, self._client, self._experiment_name)
            return
        trip = Roundtrip(self._client, self._experiment_name, self._timed)
        try:
            trip.run()
        except RoundtripFailure as exc:
            raise _NotWell(Diagnosis(exc.cause, exc.message, exc.step, self._facts())) from exc
        finally:
            self.changed, self.leftovers = trip.experiment_created, trip.leftovers
            self.notes += trip.notes
        self.depth_reached = ROUNDTRIP

    def _step(self, step, function, *args, absent_is_fine=False, **kwargs):
        try:
            return self._timed(step, function, *args, **kwargs)
        except MlflowError as exc:
            if absent_is_fine and exc.status_code == 404:
                return None
            raise self._not_well(step, exc) from exc

    def _not_well(self, step, error):
        return _NotWell(Diagnosis(cause_of(step, error, self._connection), error.words, step, self._facts()))

    def _timed(self, step, function, *args, **kwargs):
        began = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            spent = (time.monotonic() - began) * 1000
            self.latency_ms[step] = round(self.latency_ms.get(step, 0) + spent, 1)

    def _shown_version(self):
        return f"MLflow {self.server_version}" if self.server_version else "an MLflow without the logged-models API (before 3.0)"

    def _facts(self):
        connection = self._connection
        return {
            "uri": connection.tracking_uri,
            "host": shown_host(connection),
            "user": connection.username or "(none)",
            "experiment": self._experiment_name,
            "client_version": self._client_version,
            "server_version": self._shown_version(),
        }


class Waiter:
    """Repeats a check until its status is one of those expected, or there is nothing to wait for."""

    def __init__(self, expect, wait_timeout, delay, grace, clock=time.monotonic, sleep=time.sleep):
        """Take seconds; clock and sleep are for the tests."""
        self._expect, self._wait_timeout, self._delay, self._grace = expect, wait_timeout, delay, grace
        self._clock, self._sleep = clock, sleep
        self.attempts, self.elapsed, self.seen = 0, 0.0, []

    def run(self, attempt):
        """Call attempt(seconds_left), which returns (status, cause, waiting_helps); return whether the last status is expected.

        Pauses grow by half from delay up to 10 s. A state that waiting cannot mend ends the wait after `grace` seconds of nothing else.
        """
        began, hopeless_since, pause = self._clock(), None, self._delay
        while True:
            left = self._wait_timeout - (self._clock() - began)
            status, cause, waiting_helps = attempt(left)
            self.attempts += 1
            now = self._clock()
            self.elapsed = round(now - began, 1)
            if not self.seen or self.seen[-1]["cause"] != cause or self.seen[-1]["status"] != status:
                self.seen.append({"status": status, "cause": cause, "after": self.elapsed})
            if status in self._expect:
                return True
            if waiting_helps:
                hopeless_since = None
            elif hopeless_since is None:
                hopeless_since = now
            end = began + self._wait_timeout
            if hopeless_since is not None:
                end = min(end, hopeless_since + self._grace)
            if now >= end:
                return False
            self._sleep(min(pause, max(0.0, end - now)))
            pause = min(pause * 1.5, max(self._delay, MAX_DELAY_SECONDS))


def logged_models_api(client):
    """Return whether the server knows logged models (MLflow 3): an old one answers the probe with a 404 that is not MLflow's JSON."""
    try:
        client.call("GET", f"{API}/logged-models/m-00000000000000000000000000000000")
    except MlflowError as exc:
        if exc.status_code == 404:
            return exc.error_code is not None
        return None
    return True


def explain(error, connection, what, step=READ):
    """Return msg, status, cause and remedy for fail_json: what was tried, the server's words, what to do next."""
    facts = {
        "uri": connection.tracking_uri,
        "host": shown_host(connection),
        "user": connection.username or "(none)",
        "experiment": "",
        "client_version": "",
        "server_version": "",
    }
    diagnosis = Diagnosis(cause_of(step, error, connection), error.words, step, facts)
    return {
        "msg": f"{what} at {connection.tracking_uri}: {diagnosis.message}. {diagnosis.remedy}",
        "status": diagnosis.status,
        "cause": diagnosis.cause,
        "remedy": diagnosis.remedy,
    }


def shown_host(connection):
    """Return the Host header as it is sent: without a port where the URI has none."""
    return connection.host_header or connection.host + (f":{connection.port}" if connection.port else "")
