# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waits until workloads are out, and stops early with the reason where they cannot be."""

from __future__ import annotations

import time

from ansible_collections.mlops.platform.plugins.module_utils import cluster_cnpg, cluster_events, cluster_trouble
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.cluster_report import about_failed_job, about_time, about_trouble
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout_watch import Watch

INTERVAL = 1  # seconds between two looks
DETAILS = 5  # seconds for which events and claims are not read again
MISSING = 5  # seconds for which a workload may not be there yet
FORGET = 5  # seconds after which a trouble that is not seen any more counts as mended
OUTAGE = 30  # seconds for which the server may not answer: it may be restarting
RECENT = 60  # seconds before the start from which a workload's events may tell about now
BACKOFF = 30  # seconds of age from which a failing pod counts as left from before: the node will not try again soon


class RolloutError(Exception):
    """A rollout that did not come to its end; its text is the whole report. `trouble` names kind, pod, container and reason."""

    def __init__(self, message, trouble):
        super().__init__(message)
        self.trouble = trouble


class Rollout:
    """Some workloads of a namespace. wait() returns when all are out."""

    def __init__(self, cluster, namespace, workloads, timeout, restart_broken=True):
        self.cluster, self.namespace, self.timeout, self.restart_broken = cluster, namespace, timeout, restart_broken
        self.watches = [Watch(cluster, namespace, entry["kind"], entry["name"]) for entry in workloads]
        self.restarted = []
        self._events, self._claims, self._read_at = [], {}, None
        self._seen = {}  # (watch, kind of trouble, pod, container) -> [first, last] seconds
        self._answered = 0
        self._began = 0.0
        self._server_began = None  # the time of the first answer

    def elapsed(self):
        """Return the seconds since wait() began."""
        return time.monotonic() - self._began

    def results(self):
        """Return what is known of every workload, as the module returns it."""
        return [watch.result for watch in self.watches]

    def wait(self):
        """Return when all workloads are out. Raises RolloutError, and ClusterError where the server cannot be asked."""
        self._began = time.monotonic()
        while True:
            try:
                self._look()
                self._answered = self.elapsed()
            except ClusterError as error:
                if self._server_began is None or error.status in (401, 403, 404) or self.elapsed() - self._answered > OUTAGE:
                    raise
            if all(watch.done for watch in self.watches):
                return
            if self.elapsed() >= self.timeout:
                raise RolloutError(about_time(self, [watch for watch in self.watches if not watch.done]), {"reason": "Timeout"})
            time.sleep(INTERVAL)

    def _look(self):
        for watch in self.watches:
            if watch.done:
                continue
            watch.look(self.elapsed())
            if self._server_began is None:
                self._server_began = self.cluster.time
            if not watch.done:
                self._examine(watch)

    def _examine(self, watch):
        """Raise RolloutError where the workload will not come out by itself."""
        if watch.object is None:
            if self.elapsed() > MISSING:
                remedy = "check the name and the namespace, and whether something deletes it"
                raise ClusterError(f"there is no {watch.kind} {watch.name} in the namespace {self.namespace}", remedy, 404)
            return
        failed = watch.failed_job()
        if failed:
            trouble = {"kind": watch.kind, "name": watch.name, "reason": failed.get("reason") or "Failed", **watch.last_pod()}
            raise RolloutError(about_failed_job(self, watch, failed), trouble)
        if watch.looks == 1 and self.restart_broken:
            self._restart_left_over(watch)
        for trouble in self._troubles(watch):
            key = (watch, trouble.kind, trouble.pod, trouble.container)
            seen = self._seen.setdefault(key, [self.elapsed(), 0])
            if seen[1] and self.elapsed() - seen[1] > FORGET:
                seen[0] = self.elapsed()
            seen[1] = self.elapsed()
            pod = watch.pod(trouble.pod)
            # what is to be replaced anyway gets no second chance
            grace = trouble.grace if pod is None or watch.is_newest(pod) else min(trouble.grace, DETAILS)
            if self.elapsed() - seen[0] >= grace:
                self._act(watch, trouble, pod)

    def _act(self, watch, trouble, pod):
        """End with a trouble that lasts, unless another try is due. Raises RolloutError."""
        if pod and not watch.is_newest(pod) and self.restart_broken and self._delete(watch, pod):
            return
        if self._may_pass(watch, trouble):
            self._seen.pop((watch, trouble.kind, trouble.pod, trouble.container), None)
            return
        if pod and not watch.is_newest(pod):
            command = f"kubectl -n {self.namespace} delete pod {trouble.pod}"
            trouble = trouble._replace(remedy=f"the {watch.kind} waits for this pod of an old revision: delete it ({command})")
        where = {"kind": watch.kind, "name": watch.name, "pod": trouble.pod, "container": trouble.container, "reason": trouble.reason}
        raise RolloutError(about_trouble(self, watch, trouble), where)

    def _may_pass(self, watch, trouble):
        """Return whether a trouble that has lasted may end by itself all the same."""
        if trouble.kind in ("schedule", "create") and watch.leaving():
            return True  # old pods are going, and take their room with them
        if trouble.kind == "schedule":
            return cluster_events.gets_node(cluster_events.of_pod(self.cluster, self.namespace, trouble.pod))
        if trouble.kind == "mount":
            return cluster_events.has_mounted(cluster_events.of_pod(self.cluster, self.namespace, trouble.pod))
        return False

    def _troubles(self, watch):
        """Return the troubles of a workload, those first that explain others."""
        found = []
        pods = [pod for pod in watch.pods if watch.is_newest(pod) or watch.blocks(pod)]
        for pod in pods:
            found += cluster_trouble.in_containers(pod)
        found += cluster_trouble.in_job(watch.failed_pods, cluster_cnpg.FAILED)
        if not found and self.elapsed() >= DETAILS:
            self.read_details()
            found += self._refused(watch)
            for pod in pods:
                if any(container.get("state", {}).get("running") for container in cluster_trouble.statuses(pod)):
                    continue
                born = cluster_events.seconds(pod["metadata"]["creationTimestamp"])
                mine = [event for event in self._recent() if event.kind != "Pod" or event.time >= born]
                found += cluster_trouble.in_events(pod, mine, self._claims)
                found += cluster_trouble.in_scheduling(pod, self._claims)
        return found

    def _refused(self, watch):
        """Return the trouble of a workload that gets fewer pods than it wants because the server refuses them."""
        if not watch.is_short():
            return []
        message = watch.replica_failure()
        if not message:
            # one that was refused before the last pod came is history
            born = max((cluster_events.seconds(pod["metadata"]["creationTimestamp"]) for pod in watch.newest()), default=0)
            owners = watch.owners()
            mine = [event for event in self._recent() if event.reason == "FailedCreate" and (event.kind, event.name) in owners]
            message = next((event.message for event in reversed(mine) if event.time > born), "")
        return [cluster_trouble.refused(message, watch.name)] if message else []

    def read_details(self, force=False):
        """Read events and claims, unless they were read just now."""
        if not force and self._read_at is not None and self.elapsed() - self._read_at < DETAILS:
            return
        self._events = cluster_events.warnings(self.cluster, self.namespace)
        path = namespaced(self.namespace, "persistentvolumeclaims")
        self._claims = {}
        if any(cluster_trouble.claim_names(pod) for watch in self.watches if not watch.done for pod in watch.pods):
            try:
                items = self.cluster.get("read the volume claims", path).get("items") or []
                self._claims = {item["metadata"]["name"]: item for item in items}
            except ClusterError as error:
                if error.status != 403:
                    raise
        self._read_at = self.elapsed()

    def _recent(self):
        return [event for event in self._events if event.time >= self._server_began - RECENT]

    def events_of(self, names):
        """Return the warnings about objects of these names, also older ones: each tells its age."""
        return [event for event in self._events if event.name in names]

    def _restart_left_over(self, watch):
        """Replace pods that failed before this run: what broke them may be mended, and the node would wait for up to five minutes."""
        for pod in watch.pods:
            age = self.cluster.time - cluster_events.seconds(pod["metadata"]["creationTimestamp"])
            waits = any(trouble.reason in ("ImagePullBackOff", "CrashLoopBackOff") for trouble in cluster_trouble.in_containers(pod))
            # a database's pods are its operator's to replace
            if watch.kind not in ("Job", "Cluster") and waits and age > BACKOFF:
                self._delete(watch, pod)

    def _delete(self, watch, pod):
        """Delete a pod that its workload makes anew, once; return whether that was possible."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        if uid in watch.deleted:
            return True
        try:
            body = {"preconditions": {"uid": uid}}
            self.cluster.call(f"delete the pod {name}", "DELETE", namespaced(self.namespace, "pods", name), body=body)
        except ClusterError as error:
            if error.status not in (403, 404, 409):
                raise
            return error.status != 403
        watch.deleted.add(uid)
        watch.pods = [other for other in watch.pods if other["metadata"]["uid"] != uid]
        self.restarted.append(name)
        return True
