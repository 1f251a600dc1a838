"""Waiting, and the steps of a check on a scripted server."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import ARTIFACTS, MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import HealthCheck, Waiter
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError, Response

OK = ("ok", None, True)
DOWN = ("unreachable", "refused", True)
WRONG = ("auth_failed", "auth_failed", False)


class Clock:
    def __init__(self):
        self.now, self.pauses = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(round(seconds, 2))
        self.now += seconds


def wait(states, expect=("ok",), wait_timeout=60, delay=1, grace=10):
    clock = Clock()
    waiter = Waiter(list(expect), wait_timeout, delay, grace, clock=clock, sleep=clock.sleep)
    states = iter(states)
    last = [None]

    def attempt(seconds_left):
        last[0] = next(states, last[0])
        return last[0]

    return waiter.run(attempt), waiter, clock


def test_well_at_once():
    reached, waiter, clock = wait([OK])
    assert (reached, waiter.attempts, clock.pauses) == (True, 1, [])


def test_pauses_grow_to_ten_seconds_and_end_at_the_timeout():
    reached, waiter, clock = wait([DOWN])
    assert reached is False
    assert clock.pauses[:4] == [1, 1.5, 2.25, 3.38]
    assert max(clock.pauses) == 10
    assert clock.now == 60


def test_zero_looks_once():
    reached, waiter, clock = wait([DOWN], wait_timeout=0)
    assert (reached, waiter.attempts, clock.pauses) == (False, 1, [])


def test_what_waiting_cannot_mend_ends_after_the_grace():
    reached, waiter, clock = wait([DOWN, DOWN, WRONG])
    assert reached is False
    assert clock.now == 1 + 1.5 + 10
    assert [item["status"] for item in waiter.seen] == ["unreachable", "auth_failed"]


def test_grace_starts_anew_after_another_state():
    reached, waiter, dummy = wait([WRONG, WRONG, DOWN, WRONG, WRONG, OK], grace=8)
    assert reached is True
    assert [item["status"] for item in waiter.seen] == ["auth_failed", "unreachable", "auth_failed", "ok"]


def test_grace_never_outlives_the_timeout():
    dummy, dummy, clock = wait([WRONG], wait_timeout=5, grace=100)
    assert clock.now == 5


def test_another_state_can_be_wanted():
    reached, waiter, dummy = wait([OK, OK, DOWN], expect=("unreachable", "auth_failed"))
    assert (reached, waiter.attempts) == (True, 3)


def test_ok_that_is_not_wanted_waits_to_the_end():
    reached, dummy, clock = wait([OK], expect=("unreachable",), wait_timeout=20)
    assert (reached, clock.now) == (False, 20)


class Script:
    """A server by table: (method, path up to '?') -> (status, body), or an exception, or a function of the request's body."""

    def __init__(self, **overrides):
        self.sent = []
        self.stored = {}
        self.table = {
            ("GET", "/health"): (200, "OK"),
            ("GET", "/api/3.0/mlflow/server-info"): (200, {}),
            ("GET", "/version"): (200, "3.17.2"),
            ("GET", "/api/2.0/mlflow/experiments/search"): (200, {"experiments": []}),
            ("GET", "/api/2.0/mlflow/experiments/get-by-name"): (200, {"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}),
            ("POST", "/api/2.0/mlflow/experiments/restore"): (200, {}),
            ("POST", "/api/2.0/mlflow/experiments/create"): (200, {"experiment_id": "7"}),
            ("POST", "/api/2.0/mlflow/runs/search"): (200, {}),
            ("POST", "/api/2.0/mlflow/runs/restore"): (200, {}),
            ("POST", "/api/2.0/mlflow/runs/create"): (200, {"run": RUN}),
            ("POST", "/api/2.0/mlflow/runs/log-batch"): self._log,
            ("GET", "/api/2.0/mlflow/runs/get"): lambda body: (200, {"run": {**RUN, "data": self.stored["batch"]}}),
            ("POST", "/api/2.0/mlflow/runs/delete"): (200, {}),
            ("PUT", "artifact"): self._put,
            ("GET", "artifact"): lambda body: (200, self.stored["artifact"]),
            ("DELETE", "artifact"): (200, {}),
            ("GET", ARTIFACTS): (200, {}),
        }
        self.table.update({tuple(key.split(" ")): value for key, value in overrides.items()})

    def _log(self, body):
        self.stored["batch"] = json.loads(body)
        return 200, {}

    def _put(self, body):
        self.stored["artifact"] = body
        return 200, b""

    def request(self, method, target, headers, body=None):
        path = target.partition("?")[0]
        if path.startswith(ARTIFACTS + "/"):
            path = "artifact"
        self.sent.append(f"{method} {path}")
        entry = self.table[(method, path)]
        if isinstance(entry, Exception):
            raise entry
        status, content = entry(body) if callable(entry) else entry
        if not isinstance(content, (bytes, str)):
            content = json.dumps(content)
        return Response(status, [], content.encode() if isinstance(content, str) else content)

    def close(self):
        pass


NOW = int(time.time() * 1000)


def marked(run_id, stage, hours_ago):
    """Return a run as runs/search gives it, made and last used so long ago."""
    stamp = NOW - int(hours_ago * 3600 * 1000)
    info = {"run_id": run_id, "artifact_uri": f"mlflow-artifacts:/7/{run_id}/artifacts", "lifecycle_stage": stage, "start_time": stamp}
    return {"info": info, "data": {"tags": [{"key": "mlops.platform.health_check", "value": f"{stamp}-abc"}]}}


RUN = marked("r1", "deleted", 2)


def look(script, depth="roundtrip", **options):
    connection = MlflowConnection({"tracking_uri": "http://h", "username": "u", "password": "p"})
    options.setdefault("experiment_name", "checks")
    check = HealthCheck(connection, depth, client=MlflowClient(connection, script), **options)
    return check.run(), check


@pytest.mark.parametrize(
    ("depth", "requests"),
    [("liveness", 3), ("database", 4), ("roundtrip", 13)],
)
def test_requests_of_each_depth(depth, requests):
    script = Script()
    diagnosis, check = look(script, depth)
    assert (diagnosis, check.depth_reached, len(script.sent)) == (None, depth, requests)
    assert script.sent[:3] == ["GET /health", "GET /api/3.0/mlflow/server-info", "GET /version"]


def test_roundtrip_deletes_artifact_and_run():
    script = Script()
    look(script)
    assert script.sent[-2:] == ["DELETE artifact", "POST /api/2.0/mlflow/runs/delete"]


def test_a_deleted_run_is_used_again():
    script = Script(**{"POST /api/2.0/mlflow/runs/search": (200, {"runs": [RUN]})})
    diagnosis, dummy = look(script)
    assert diagnosis is None
    assert "POST /api/2.0/mlflow/runs/restore" in script.sent
    assert "POST /api/2.0/mlflow/runs/create" not in script.sent


def test_runs_of_killed_checks_are_deleted_and_those_of_running_ones_are_not():
    found = [marked("running", "active", 0.01), marked("killed", "active", 3), marked("old", "deleted", 30)]
    script = Script(**{"POST /api/2.0/mlflow/runs/search": (200, {"runs": found})})
    deleted = []
    script.table[("POST", "/api/2.0/mlflow/runs/delete")] = lambda body: deleted.append(json.loads(body)["run_id"]) or (200, {})
    assert look(script)[0] is None
    # a run of yesterday is not used again, so that `mlflow gc` can take it away
    assert deleted == ["killed", "r1"]
    assert "POST /api/2.0/mlflow/runs/create" in script.sent


def test_a_run_that_another_check_took_is_left_to_it():
    taken = (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "must be in the 'deleted' state"})
    script = Script(**{"POST /api/2.0/mlflow/runs/search": (200, {"runs": [RUN]}), "POST /api/2.0/mlflow/runs/restore": taken})
    diagnosis, dummy = look(script)
    assert diagnosis is None
    assert "POST /api/2.0/mlflow/runs/create" in script.sent


def test_missing_experiment_is_made_and_that_is_a_change():
    absent = (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"})
    script = Script(**{"GET /api/2.0/mlflow/experiments/get-by-name": absent})
    diagnosis, check = look(script)
    assert (diagnosis, check.changed) == (None, True)
    script = Script(**{"GET /api/2.0/mlflow/experiments/get-by-name": absent})
    diagnosis, check = look(script, check_mode=True)
    assert (diagnosis, check.changed, check.depth_reached) == (None, True, "database")
    assert not [line for line in script.sent if not line.startswith("GET ")]


def test_deleted_experiment_is_restored():
    deleted = (200, {"experiment": {"experiment_id": "7", "lifecycle_stage": "deleted"}})
    script = Script(**{"GET /api/2.0/mlflow/experiments/get-by-name": deleted})
    diagnosis, check = look(script)
    assert (diagnosis, check.changed) == (None, True)
    restored = script.sent.index("POST /api/2.0/mlflow/experiments/restore")
    assert script.sent[restored + 1] == "POST /api/2.0/mlflow/runs/search"


def test_failed_upload_still_deletes_the_run():
    script = Script(**{"PUT artifact": (500, "Internal Server Error")})
    diagnosis, check = look(script)
    assert (diagnosis.status, diagnosis.cause, check.depth_reached) == ("artifact_store_unwritable", "artifact_refused", "database")
    assert script.sent[-1] == "POST /api/2.0/mlflow/runs/delete"
    assert check.leftovers == []


def test_database_that_went_away_is_not_taken_for_a_wrong_password():
    # recorded: with its user database away, MLflow answers 401 on its artifact routes
    gone = (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "(psycopg2.OperationalError) refused"})
    reads = iter([None, gone])
    script = Script(**{"PUT artifact": (401, "You are not authenticated.")})
    first = script.table[("GET", "/api/2.0/mlflow/runs/get")]
    script.table[("GET", "/api/2.0/mlflow/runs/get")] = lambda body: next(reads) or first(body)
    diagnosis, dummy = look(script)
    assert diagnosis.status == "db_unavailable"


def test_other_bytes_than_written():
    script = Script(**{"GET artifact": (200, b"other")})
    assert look(script)[0].cause == "artifact_differs"


def test_other_values_than_written():
    data = {"params": [], "metrics": [], "tags": []}
    script = Script(**{"GET /api/2.0/mlflow/runs/get": (200, {"run": {**RUN, "data": data}})})
    diagnosis, dummy = look(script)
    assert diagnosis.cause == "read_back_differs"
    assert script.sent[-1] == "POST /api/2.0/mlflow/runs/delete"


def test_artifact_that_cannot_be_deleted_is_named():
    script = Script(**{"DELETE artifact": (500, "Internal Server Error")})
    diagnosis, check = look(script)
    assert diagnosis.cause == "artifact_not_deleted"
    assert check.leftovers[0].startswith("artifact 7/r1/artifacts/health_check/")
    assert script.sent[-1] == "POST /api/2.0/mlflow/runs/delete"


def test_upload_without_an_answer_may_have_been_stored():
    script = Script(
        **{"PUT artifact": MlflowError("timeout_read", "timed out"), "DELETE artifact": MlflowError("timeout_read", "timed out")}
    )
    diagnosis, check = look(script)
    assert diagnosis.status == "artifact_store_unwritable"
    assert len(check.leftovers) == 1


def test_server_without_artifact_proxy_is_well_and_says_what_was_not_checked():
    script = Script(
        **{"PUT artifact": (503, {"detail": "Artifact serving is disabled. Run `mlflow server` with `--serve-artifacts` to enable."})}
    )
    diagnosis, check = look(script)
    assert diagnosis is None
    assert check.notes == ["artifacts were not checked: the server runs with --no-serve-artifacts"]
    direct = {"info": {"run_id": "r1", "artifact_uri": "s3://bucket/7/r1/artifacts"}}
    script = Script(**{"POST /api/2.0/mlflow/runs/create": (200, {"run": direct})})
    diagnosis, check = look(script)
    assert diagnosis is None
    assert "keeps them at s3:" in check.notes[0]


def test_an_answer_in_another_form():
    script = Script(**{"GET /api/2.0/mlflow/experiments/get-by-name": (200, {"hello": "world"})})
    assert look(script)[0].cause == "not_mlflow"


def test_old_server_without_server_info_and_with_an_old_version():
    old = {"GET /api/3.0/mlflow/server-info": (404, "Not Found"), "GET /version": (200, "2.22.0")}
    assert look(Script(**old), "database")[0] is None
    diagnosis, check = look(Script(**old), "database", client_version="3.17.2")
    assert (diagnosis.status, check.depth_reached, check.server_version) == ("client_incompatible", "database", "2.22.0")
    assert "MLflow 3.17.2 need a server" in diagnosis.remedy


def test_login_page_in_place_of_health():
    diagnosis, check = look(Script(**{"GET /health": (200, "<html><title>Sign in</title></html>")}))
    assert (diagnosis.status, diagnosis.step, check.depth_reached) == ("not_mlflow", "health", "none")
