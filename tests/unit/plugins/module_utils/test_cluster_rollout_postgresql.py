"""Waiting for a Cluster of CloudNativePG, on a stand-in for the server and with a clock that does not wait."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout import Rollout, RolloutError
from lib.rollout_world import WAITING


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
