"""Waiting for workloads, on a stand-in for the server and with a clock that does not wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_rollout
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout import Rollout, RolloutError
from lib.api_server import Refused

APPS, CORE, BATCH = "/apis/apps/v1/namespaces/ns", "/api/v1/namespaces/ns", "/apis/batch/v1/namespaces/ns"


def stamp(age=0):
    return (datetime.now(timezone.utc) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    found = Clock()
    monkeypatch.setattr(cluster_rollout, "time", found)
    return found


class World:
    """A Deployment `web` and a StatefulSet `db` of one pod each, and a Job `job`, as a test changes them."""

    def __init__(self, api):
        self.api = api
        self.pods, self.events, self.claims, self.logs, self.deleted = [], [], [], {}, []
        labels = {"selector": {"matchLabels": {"app": "x"}}, "replicas": 1}
        self.web = {
            "kind": "Deployment",
            "metadata": {"name": "web", "uid": "web", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": dict(labels),
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        }
        self.db = {
            "kind": "StatefulSet",
            "metadata": {"name": "db", "uid": "db", "generation": 1},
            "spec": dict(labels),
            "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "r1", "updateRevision": "r1"},
        }
        self.job = {"kind": "Job", "metadata": {"name": "job", "uid": "job"}, "spec": dict(labels), "status": {"active": 1}}
        sets = {
            "metadata": {
                "name": "web-1",
                "uid": "rs",
                "ownerReferences": [{"uid": "web"}],
                **{"annotations": self.web["metadata"]["annotations"]},
            }
        }
        api.answers[f"{APPS}/deployments/web"] = lambda _asked: self.web
        api.answers[f"{APPS}/statefulsets/db"] = lambda _asked: self.db
        api.answers[f"{BATCH}/jobs/job"] = lambda _asked: self.job
        api.answers[f"{APPS}/replicasets"] = {"items": [sets]}
        api.answers[f"GET {CORE}/pods"] = lambda _asked: {"items": self.pods}
        api.answers[f"{CORE}/events"] = self._events
        api.answers[f"{CORE}/persistentvolumeclaims"] = lambda _asked: {"items": self.claims}

    def _events(self, asked):
        fields = dict(term.split("=") for term in asked.query["fieldSelector"].split(","))
        about = fields.get("involvedObject.name")
        return {
            "items": [
                event
                for event in self.events
                if event["type"] == fields.get("type", event["type"]) and about in (None, event["involvedObject"]["name"])
            ]
        }

    def event(self, kind, name, reason, message="", age=0, sort="Warning"):
        about = {"kind": kind, "name": name}
        self.events.append(
            {"type": sort, "involvedObject": about, "reason": reason, "message": message, "count": 1, "lastTimestamp": stamp(age)}
        )

    def pod(self, name="web-1-a", owner="rs", age=0, state=None, restarts=0, last=None, phase="Pending", revision="r1", **more):
        status = {"phase": phase, "conditions": more.pop("conditions", [])}
        if state:
            status["containerStatuses"] = [
                {"name": "c", "ready": False, "restartCount": restarts, "state": state, "lastState": {"terminated": last} if last else {}}
            ]
        metadata = {
            "name": name,
            "uid": f"uid-{name}-{len(self.deleted)}",
            "creationTimestamp": stamp(age),
            "ownerReferences": [{"uid": owner}],
        }
        pod = {"metadata": {**metadata, "labels": {"controller-revision-hash": revision}}, "spec": more.pop("spec", {}), "status": status}
        self.pods.append(pod)

        def delete(_asked):
            self.deleted.append(name)
            self.pods.remove(pod)
            return {}

        self.api.answers[f"DELETE {CORE}/pods/{name}"] = delete
        self.api.answers[f"{CORE}/pods/{name}/log"] = lambda asked: self.logs.get((name, asked.query["previous"]), "")
        return pod

    def unready(self):
        self.web["status"].update(availableReplicas=0)
        self.db["status"].update(readyReplicas=0)

    def wait(self, *names, timeout=120, **options):
        kinds = {"web": "Deployment", "db": "StatefulSet", "job": "Job"}
        wanted = [{"kind": kinds.get(name, "Deployment"), "name": name} for name in names]
        rollout = Rollout(Cluster(self.api.params), "ns", wanted, timeout, **options)
        rollout.wait()
        return rollout

    def fails(self, *names, error=RolloutError, **options):
        with pytest.raises(error) as caught:
            self.wait(*names, **options)
        return caught.value


@pytest.fixture
def world(api, clock):
    return World(api)


WAITING = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}


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


def unschedulable():
    return [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu."}]


class TestScheduling:
    def test_no_room(self, world, clock):
        world.unready()
        world.pod(conditions=unschedulable())
        assert "pod web-1-a: Unschedulable: 0/1 nodes: Insufficient cpu." in str(world.fails("web"))
        assert clock.now - 1000 <= 40

    def test_an_autoscaler_makes_room(self, world):
        world.unready()
        world.pod(conditions=unschedulable())
        world.event("Pod", "web-1-a", "TriggeredScaleUp", sort="Normal")
        assert "was not ready within 120 s" in str(world.fails("web"))

    def test_old_pods_are_making_room(self, world):
        world.unready()
        world.pod(conditions=unschedulable())
        world.pod("web-0-a")["metadata"]["deletionTimestamp"] = stamp()
        assert "was not ready within 120 s" in str(world.fails("web"))


class TestRefusedPods:
    QUOTA = 'pods "db-0" is forbidden: exceeded quota: q'

    def test_of_a_deployment(self, world):
        world.unready()
        world.web["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": self.QUOTA}]
        assert "cannot become ready: FailedCreate: " + self.QUOTA in str(world.fails("web"))

    @pytest.mark.parametrize("name", ["db", "job"])
    def test_of_what_has_no_such_condition(self, world, name):
        world.unready()
        world.job["status"] = {}
        world.event({"db": "StatefulSet", "job": "Job"}[name], name, "FailedCreate", self.QUOTA)
        assert self.QUOTA in str(world.fails(name))

    def test_one_that_is_history(self, world):
        """A pod was refused, then taken, and another one waits for it."""
        world.unready()
        world.db["spec"]["replicas"] = 2
        world.event("StatefulSet", "db", "FailedCreate", self.QUOTA, age=20)
        world.pod("db-0", "db", state={"running": {}}, age=5)
        assert "was not ready within 120 s" in str(world.fails("db"))

    def test_of_a_name_that_is_taken_until_the_garbage_collector_comes(self, world, clock):
        words = "create Pod db-0 failed error: The POST operation against Pod could not be completed at this time, please try again."
        world.unready()
        world.event("StatefulSet", "db", "FailedCreate", words)
        world.api.answers[f"{APPS}/statefulsets/db"] = lambda _asked: (
            {**world.db, "status": {**world.db["status"], "readyReplicas": 1}} if clock.now > 1060 else world.db
        )
        assert 60 < world.wait("db").results()[0]["seconds"] <= 62

    def test_of_a_name_that_stays_taken(self, world, clock):
        world.unready()
        world.event("StatefulSet", "db", "FailedCreate", "could not be completed at this time, please try again.")
        assert "a pod of this name that does not end" in str(world.fails("db", timeout=600)) and clock.now < 1150

    def test_one_from_another_day(self, world):
        world.unready()
        world.event("StatefulSet", "db", "FailedCreate", self.QUOTA, age=3600)
        text = str(world.fails("db"))
        assert "was not ready within 120 s" in text and self.QUOTA in text


class TestVolumes:
    SPEC = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}

    def test_that_nothing_provides(self, world):
        world.unready()
        world.claims = [{"metadata": {"name": "data"}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}]
        world.pod("db-0", "db", spec=self.SPEC)
        world.event("PersistentVolumeClaim", "data", "ProvisioningFailed", 'storageclass "fast" not found')
        assert 'the claim data gets no volume: storageclass "fast" not found' in str(world.fails("db"))

    def test_that_cannot_be_mounted(self, world, clock):
        world.unready()
        world.pod(age=1)
        world.event("Pod", "web-1-a", "FailedMount", 'secret "x" not found')
        assert 'pod web-1-a: FailedMount: secret "x" not found' in str(world.fails("web")) and clock.now - 1000 <= 30

    def test_that_were_mounted_at_last(self, world):
        world.unready()
        world.pod(age=1)
        world.event("Pod", "web-1-a", "FailedMount", 'secret "x" not found', age=1)
        world.event("Pod", "web-1-a", "Pulling", sort="Normal")
        assert "was not ready within 120 s" in str(world.fails("web"))

    def test_of_an_earlier_pod_of_the_same_name(self, world):
        world.unready()
        world.pod("db-0", "db", age=5)
        world.event("Pod", "db-0", "FailedMount", 'secret "x" not found', age=30)
        assert "was not ready within 120 s" in str(world.fails("db"))


class TestJobs:
    def test_done(self, world):
        world.job["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
        world.pod("job-a", "job", state={"terminated": {"exitCode": 0, "message": "made 3 tables\n"}}, phase="Succeeded")
        (found,) = world.wait("job").results()
        assert (found["ready"], found["exit_code"], found["termination_message"]) == (True, 0, "made 3 tables")

    def test_failed(self, world):
        reason = {
            "type": "Failed",
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit",
        }
        world.job["status"] = {"failed": 2, "conditions": [reason]}
        world.pod("job-a", "job", state={"terminated": {"exitCode": 1}}, phase="Failed", age=20)
        world.pod("job-b", "job", state={"terminated": {"exitCode": 11, "reason": "Error"}}, phase="Failed", age=5)
        world.logs = {("job-b", "false"): "the schema is behind\n"}
        with pytest.raises(RolloutError) as caught:
            rollout = Rollout(Cluster(world.api.params), "ns", [{"kind": "Job", "name": "job"}], 60)
            rollout.wait()
        assert "pod job-b, container c ended with exit code 11" in str(caught.value) and "  the schema is behind" in str(caught.value)
        assert rollout.results()[0]["exit_code"] == 11
        assert caught.value.trouble["reason"] == "BackoffLimitExceeded"


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


@pytest.mark.parametrize("path", ["events", "persistentvolumeclaims"])
def test_who_may_not_read_details_gets_less(world, path):
    def refuse(_asked):
        raise Refused(403, "forbidden")

    world.api.answers[f"{CORE}/{path}"] = refuse
    world.unready()
    world.pod(conditions=unschedulable(), spec=TestVolumes.SPEC)
    assert "Unschedulable" in str(world.fails("web"))


class TestCloudNativePG:
    """A Cluster: the operator's word and the pods decide, and both tell what is wrong."""

    IMAGE = "postgres:18"

    @pytest.fixture
    def pg(self, world):
        cluster = {
            "kind": "Cluster",
            "metadata": {"name": "pg", "uid": "pg", "generation": 2, "annotations": {"cnpg.io/hibernation": "off"}},
            "spec": {"instances": 1, "imageName": self.IMAGE},
            "status": {},
        }
        world.cluster = cluster
        world.api.answers["/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters/pg"] = lambda _asked: cluster
        return world

    def healthy(self, pg, **status):
        said = {"instances": 1, "readyInstances": 1, "phase": "Cluster in healthy state", "currentPrimary": "pg-1", "targetPrimary": "pg-1"}
        pg.cluster["status"] = {**said, "image": self.IMAGE, **status}

    def server(self, pg, ready=True, image=IMAGE, **more):
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        return pg.pod("pg-1", "pg", conditions=conditions, spec={"containers": [{"image": image}]}, **{"phase": "Running", **more})

    def job(self, pg, number, **more):
        pod = pg.pod(f"pg-1-initdb-{number}", "a-job", **more)
        pod["metadata"]["labels"]["cnpg.io/jobRole"] = "initdb"
        return pod

    def wait(self, pg, timeout=120):
        rollout = Rollout(Cluster(pg.api.params), "ns", [{"kind": "Cluster", "name": "pg"}], timeout)
        rollout.wait()
        return rollout

    def fails(self, pg, **options):
        with pytest.raises(RolloutError) as caught:
            self.wait(pg, **options)
        return caught.value

    def test_one_that_is_out_takes_two_requests(self, pg):
        self.healthy(pg)
        self.server(pg)
        # what made the server's data has done its work
        self.job(pg, 0, phase="Succeeded", age=60)
        found = self.wait(pg).results()[0]
        assert (found["ready"], found["pods"]) == (True, ["pg-1"])
        assert len(pg.api.asked) == 2
        assert pg.api.asked[-1].query["labelSelector"] == "cnpg.io/cluster=pg"

    @pytest.mark.parametrize(
        "status",
        [
            {"readyInstances": 0},
            {"instances": 2, "readyInstances": 2},
            {"phase": "Failing over"},
            {"targetPrimary": "pg-2"},
            {"image": "postgres:17"},
            {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]},
        ],
        ids=str,
    )
    def test_the_operators_word_is_waited_for(self, pg, status):
        self.healthy(pg, **status)
        self.server(pg)
        assert "Cluster pg (namespace ns) was not ready within 5 s" in str(self.fails(pg, timeout=5))

    @pytest.mark.parametrize("server", [None, {"ready": False}, {"image": "postgres:17"}], ids=str)
    def test_its_word_of_before_the_last_change_is_not_enough(self, pg, server):
        self.healthy(pg, conditions=[{"type": "Ready", "status": "True"}])
        if server:
            self.server(pg, **server)
        assert "its pods are not what it is to have yet" in str(self.fails(pg, timeout=5))

    def test_hibernation_ends_with_the_last_pod(self, pg):
        pg.cluster["metadata"]["annotations"]["cnpg.io/hibernation"] = "on"
        self.healthy(pg)
        pod = self.server(pg)
        assert "1 pods are still ending" in str(self.fails(pg, timeout=5))
        pg.pods.remove(pod)
        assert self.wait(pg).results()[0]["ready"]

    def test_an_image_that_cannot_be_pulled_is_told_within_a_minute(self, pg, clock):
        pg.cluster["status"] = {"phase": "Setting up primary"}
        self.job(pg, 0, state=WAITING, age=300)
        pg.event("Pod", "pg-1-initdb-0", "Failed", "no such host")
        error = self.fails(pg)
        assert "pod pg-1-initdb-0, container c: ErrImagePull: no such host" in str(error) and "Failed: no such host" in str(error)
        assert clock.now - 1000 < 60 and not pg.deleted

    def test_a_job_whose_pods_fail_is_told_with_its_log(self, pg):
        pg.cluster["status"] = {"phase": "Setting up primary"}
        end = {"terminated": {"exitCode": 1}}
        self.job(pg, 0, state=end, phase="Failed", age=20)
        self.job(pg, 1, state=end, phase="Failed", age=10)
        pg.logs = {("pg-1-initdb-1", "false"): "initdb: error: no space left on device"}
        pg.event("Job", "pg-1-initdb", "BackoffLimitExceeded", "too many")
        error = self.fails(pg)
        assert "pod pg-1-initdb-1, container c: JobFailed: 2 pods failed, the last with exit code 1" in str(error)
        assert "initdb: error: no space left on device" in str(error) and "BackoffLimitExceeded: too many" in str(error)
        assert error.trouble["reason"] == "JobFailed"

    def test_a_job_that_works_the_second_time_is_none(self, pg):
        self.healthy(pg, phase="Setting up primary")
        self.job(pg, 0, state={"terminated": {"exitCode": 1}}, phase="Failed", age=30)
        self.job(pg, 1, state={"terminated": {"exitCode": 1}}, phase="Failed", age=20)
        self.job(pg, 2, phase="Succeeded", age=10)
        self.server(pg)
        assert "Setting up primary" in str(self.fails(pg, timeout=20))

    @pytest.mark.parametrize("by", ["phase", "event"])
    def test_a_quota_that_refuses_it(self, pg, by):
        words = 'pods "pg-1" is forbidden: exceeded quota: q'
        if by == "phase":
            self.healthy(pg, phase="Unable to create required cluster objects", phaseReason=words)
        else:
            pg.cluster["status"] = {"phase": "Setting up primary"}
            pg.event("Job", "pg-1-initdb", "FailedCreate", words)
        error = self.fails(pg)
        assert words in str(error) and "raise the namespace's ResourceQuota" in str(error)

    def test_a_server_that_crashes_is_told_with_its_log(self, pg):
        self.healthy(pg, readyInstances=0)
        self.server(pg, ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, restarts=3, last={"exitCode": 1}, age=300)
        pg.logs = {("pg-1", "true"): "FATAL: data directory has wrong ownership"}
        error = self.fails(pg)
        assert "pod pg-1, container c: CrashLoopBackOff" in str(error) and "FATAL: data directory has wrong ownership" in str(error)
        assert not pg.deleted

    def test_without_an_operator_nobody_says_anything(self, pg):
        assert "nothing, does CloudNativePG run?" in str(self.fails(pg, timeout=5))
