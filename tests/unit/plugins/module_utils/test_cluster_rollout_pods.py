"""What is told of a workload whose pods find no place, are refused or get no volume, and of Jobs, when they are waited for."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout import Rollout, RolloutError
from lib.api_server import Refused
from lib.rollout_world import APPS, CORE, stamp


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


@pytest.mark.parametrize("path", ["events", "persistentvolumeclaims"])
def test_who_may_not_read_details_gets_less(world, path):
    def refuse(_asked):
        raise Refused(403, "forbidden")

    world.api.answers[f"{CORE}/{path}"] = refuse
    world.unready()
    world.pod(conditions=unschedulable(), spec=TestVolumes.SPEC)
    assert "Unschedulable" in str(world.fails("web"))
