"""Workloads in a cluster that a test changes while they are waited for, on a stand-in for the server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout import Rollout, RolloutError

APPS, CORE, BATCH = "/apis/apps/v1/namespaces/ns", "/api/v1/namespaces/ns", "/apis/batch/v1/namespaces/ns"


def stamp(age=0):
    return (datetime.now(timezone.utc) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")


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


WAITING = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
