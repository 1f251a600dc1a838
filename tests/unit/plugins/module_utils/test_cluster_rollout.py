"""Waiting for workloads, on a stand-in for the server and with a clock that does not wait."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from lib.api_server import Refused
from lib.rollout_world import APPS, CORE, WAITING, stamp


def test_what_is_out_takes_few_requests(world):
    world.pod(state={"running": {}}, phase="Running", restarts=3)
    world.pod("db-0", "db", state={"running": {}}, phase="Running")
    world.pod("old", "rs", phase="Failed")
    rollout = world.wait("web", "db")
    web, db = rollout.results()
    assert (web["ready"], web["revision"], web["pods"], web["restarts"], web["seconds"]) == (True, "1", ["web-1-a"], 3, 0.0)
    assert (db["ready"], db["revision"], db["pods"]) == (True, "r1", ["db-0"])
    assert len(world.api.asked) == 5 and not rollout.restarted


def test_a_workload_that_comes_up(world, clock):
    world.unready()
    world.pod(state={"waiting": {"reason": "ContainerCreating"}})
    world.api.answers[f"{APPS}/deployments/web"] = lambda _asked: (
        {**world.web, "status": {**world.web["status"], "availableReplicas": 1}} if clock.now > 1040 else world.web
    )
    assert 40 < world.wait("web").results()[0]["seconds"] <= 42


def test_the_clock_ends_it(world):
    world.unready()
    world.pod(state={"running": {}}, phase="Running", restarts=1, last={"exitCode": 1})
    world.event("Pod", "web-1-a", "Unhealthy", "Readiness probe failed: 503")
    world.logs = {("web-1-a", "true"): "the end before", ("web-1-a", "false"): "line one\nwaiting for the database\n"}
    text = str(world.fails("web", timeout=10))
    assert "Deployment web (namespace ns) was not ready within 10 s: 1 of 1 pods are of the newest revision, 0 available" in text
    assert "Pod web-1-a is Running, its container c is running and not ready, restarted 1 times, last end: exit code 1" in text
    assert "Unhealthy: Readiness probe failed: 503" in text
    assert "  the end before" in text and "  waiting for the database" in text
    assert "kubectl -n ns describe deployment web" in text


def test_an_image_that_cannot_be_pulled(world, clock):
    world.unready()
    world.pod(state=WAITING)
    error = world.fails("web")
    assert 20 <= clock.now - 1000 <= 22
    assert "pod web-1-a, container c: ErrImagePull: no such host" in str(error)
    assert error.trouble == {"kind": "Deployment", "name": "web", "pod": "web-1-a", "container": "c", "reason": "ErrImagePull"}


def test_a_failed_pull_that_works_the_second_time(world, clock):
    world.unready()
    states = {10: WAITING, 30: {"waiting": {"reason": "ContainerCreating"}}, 45: WAITING}
    pod = world.pod(state=WAITING)

    def answer(_asked):
        elapsed = clock.now - 1000
        pod["status"]["containerStatuses"][0]["state"] = next(
            (state for until, state in states.items() if elapsed < until), {"running": {}}
        )
        world.web["status"]["availableReplicas"] = int(elapsed >= 45)
        return {"items": [pod]}

    world.api.answers[f"GET {CORE}/pods"] = answer
    assert world.wait("web").results()[0]["ready"]


def test_pods_of_an_old_revision_do_not_matter(world):
    world.unready()
    world.pod("web-0-a", "another replica set", state={"waiting": {"reason": "InvalidImageName"}})
    assert "was not ready within 40 s" in str(world.fails("web", timeout=40))


def test_a_crash_with_its_log(world, clock):
    world.unready()
    world.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, restarts=2, last={"exitCode": 3}, phase="Running")
    world.logs = {("web-1-a", "true"): "I am broken\n"}
    text = str(world.fails("web"))
    assert "CrashLoopBackOff: ended 3 times, last with exit code 3" in text and "  I am broken" in text
    assert clock.now == 1000


@pytest.mark.parametrize("state", [{"waiting": {"reason": "CrashLoopBackOff"}}, {"waiting": {"reason": "ImagePullBackOff"}}])
def test_what_failed_before_is_tried_again_at_once(world, state):
    world.unready()
    world.pod(state=state, restarts=5, age=300)

    def gone(_asked):
        if world.deleted:
            world.web["status"]["availableReplicas"] = 1
        return world.web

    world.api.answers[f"{APPS}/deployments/web"] = gone
    rollout = world.wait("web")
    assert world.deleted == rollout.restarted == ["web-1-a"]


def test_unless_that_is_not_wanted(world):
    world.unready()
    world.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, restarts=5, age=300)
    world.fails("web", restart_broken=False)
    assert world.deleted == []


def test_a_job_s_pods_are_never_deleted(world):
    world.pod("job-a", "job", state={"waiting": {"reason": "ImagePullBackOff", "message": "m"}}, age=300)
    assert "ImagePullBackOff" in str(world.fails("job"))
    assert world.deleted == []


def test_a_pod_that_was_replaced_meanwhile_is_left_alone(world):
    world.unready()
    world.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, restarts=5, age=300)
    bodies = []

    def conflict(asked):
        bodies.append(asked.body)
        raise Refused(409, "the UID in the precondition does not match")

    world.api.answers[f"DELETE {CORE}/pods/web-1-a"] = conflict
    world.fails("web")
    assert bodies == [{"preconditions": {"uid": "uid-web-1-a-0"}}]


def test_an_old_broken_pod_keeps_a_stateful_set_from_going_on(world):
    world.unready()
    world.db["status"]["updateRevision"] = "r2"
    world.pod("db-0", "db", state=WAITING, revision="r1")

    def answer(_asked):
        if world.deleted:
            world.db["status"].update(readyReplicas=1, currentRevision="r2")
        return world.db

    world.api.answers[f"{APPS}/statefulsets/db"] = answer
    assert world.wait("db").restarted == ["db-0"]


def test_and_who_may_not_delete_it_is_told_how(world):
    world.unready()
    world.db["status"]["updateRevision"] = "r2"
    world.pod("db-0", "db", state=WAITING, revision="r1")

    def refuse(_asked):
        raise Refused(403, "forbidden")

    world.api.answers[f"DELETE {CORE}/pods/db-0"] = refuse
    assert "waits for this pod of an old revision: delete it (kubectl -n ns delete pod db-0)" in str(world.fails("db"))


def test_nothing_is_left_of_what_is_scaled_to_zero(world, clock):
    world.web["spec"]["replicas"] = 0
    world.web["status"] = {"observedGeneration": 1}
    pod = world.pod(state={"running": {}})
    pod["metadata"]["deletionTimestamp"] = stamp()
    world.api.answers[f"GET {CORE}/pods"] = lambda _asked: {"items": [pod] if clock.now < 1007 else []}
    assert world.wait("web").results()[0]["seconds"] >= 7


def test_what_does_not_exist(world, clock):
    assert "there is no Deployment other in the namespace ns" in str(world.fails("other", error=ClusterError))
    assert clock.now - 1000 <= 7


def test_a_server_that_is_restarting(world, clock):
    world.unready()
    world.pod(state={"waiting": {"reason": "ContainerCreating"}})

    def answer(_asked):
        if 1003 < clock.now < 1020:
            raise Refused(503, "apiserver is shutting down")
        world.web["status"]["availableReplicas"] = int(clock.now > 1025)
        return world.web

    world.api.answers[f"{APPS}/deployments/web"] = answer
    assert world.wait("web").results()[0]["ready"]


def test_a_server_that_does_not_come_back(world, clock):
    world.unready()

    def answer(_asked):
        if clock.now > 1003:
            raise Refused(503, "apiserver is shutting down")
        return world.web

    world.api.answers[f"{APPS}/deployments/web"] = answer
    assert "apiserver is shutting down" in str(world.fails("web", error=ClusterError))
    assert clock.now - 1000 < 40
