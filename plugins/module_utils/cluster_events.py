# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Events and log lines: a cluster's own words about what happened."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced

LOG_LINES = 15
LINE_LENGTH = 400


class Event(NamedTuple):
    """One event, whichever API wrote it. `time` is seconds since the epoch by the cluster's clock."""

    kind: str
    name: str
    reason: str
    message: str
    count: int
    time: float


def seconds(text):
    """Return the seconds since the epoch of a time as the server writes it; 0 for none."""
    if not text:
        return 0.0
    shape = "%Y-%m-%dT%H:%M:%S.%f%z" if "." in text else "%Y-%m-%dT%H:%M:%S%z"
    return datetime.strptime(text.replace("Z", "+0000"), shape).replace(tzinfo=timezone.utc).timestamp()


def read(item):
    """Return the Event of an event object."""
    about, series = item.get("involvedObject") or {}, item.get("series") or {}
    metadata = item.get("metadata") or {}
    times = (series.get("lastObservedTime"), item.get("lastTimestamp"), item.get("eventTime"), metadata.get("creationTimestamp"))
    return Event(
        about.get("kind", ""),
        about.get("name", ""),
        item.get("reason") or "",
        (item.get("message") or "").strip(),
        series.get("count") or item.get("count") or 1,
        seconds(next((time for time in times if time), "")),
    )


def warnings(cluster, namespace):
    """Return the warnings of a namespace, oldest first; none where the user may not read them."""
    return _events(cluster, namespace, "type=Warning")


def of_pod(cluster, namespace, pod):
    """Return all events of a pod, oldest first; none where the user may not read them."""
    return _events(cluster, namespace, f"involvedObject.kind=Pod,involvedObject.name={pod}")


def gets_node(events):
    """Return whether an autoscaler is getting a node for the pod whose events these are."""
    return any(event.reason in ("TriggeredScaleUp", "Nominated") for event in events)


def has_mounted(events):
    """Return whether a pod, whose events these are, has come beyond its volumes since the last of them failed."""
    failed = [event.time for event in events if event.reason in ("FailedMount", "FailedAttachVolume")]
    return any(event.reason in ("Pulling", "Pulled", "Created", "Started") and event.time >= failed[-1] for event in events if failed)


def _events(cluster, namespace, fields):
    try:
        answer = cluster.get(f"read the events of {namespace}", namespaced(namespace, "events"), fieldSelector=fields)
    except ClusterError as error:
        if error.status in (403, 404):
            return []
        raise
    return sorted((read(item) for item in answer.get("items") or []), key=lambda event: event.time)


def log_lines(cluster, namespace, pod, container, previous=False):
    """Return the last log lines of a container, none where there are none to be had."""
    try:
        text = cluster.get(
            f"read the log of {pod}",
            namespaced(namespace, "pods", pod) + "/log",
            container=container,
            tailLines=LOG_LINES,
            previous=previous,
        )
    except ClusterError:
        return []
    lines = str(text).rstrip().splitlines() if text else []
    # the node says so in the log's place where the container is gone already
    return [line[:LINE_LENGTH] for line in lines if not line.startswith("unable to retrieve container logs")]
