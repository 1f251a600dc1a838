# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rollout that failed is told with: workload, pod, container, reason, events, log lines, and what to do."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils import cluster_events
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_cnpg import is_ready
from ansible_collections.mlops.platform.plugins.module_utils.cluster_trouble import crash_words, statuses

EVENTS = 6
PODS = 2  # pods that are told about; the others of a workload mostly have the same


def about_trouble(rollout, watch, trouble):
    """Return the report of a rollout that cannot come to its end."""
    place = ", ".join(
        words
        for words in (f"pod {trouble.pod}" if trouble.pod else "", f"container {trouble.container}" if trouble.container else "")
        if words
    )
    lines = [f"{title(rollout, watch)} cannot become ready: {place + ': ' if place else ''}{trouble.reason}: {trouble.message}"]
    lines += _events(rollout, {*trouble.objects, *(name for _kind, name in watch.owners())})
    if trouble.kind == "crash":
        lines += _logs(rollout, watch.pod(trouble.pod), trouble.container)
    return "\n".join([*lines, f"What to do: {trouble.remedy}."])


def about_failed_job(rollout, watch, failed):
    """Return the report of a Job that has failed."""
    last = watch.last_pod()
    pod = watch.pod(last["pod"])
    words = failed.get("message") or failed.get("reason") or ""
    container = next((one for one in statuses(pod) if one["name"] == last["container"]), None) if pod else None
    if container:
        words = f"pod {last['pod']}, container {last['container']} ended with {crash_words(container)} ({words})"
    lines = [f"{title(rollout, watch)} failed: {words}"]
    lines += _events(rollout, {last["pod"], watch.name})
    lines += _logs(rollout, pod, last["container"]) if container else []
    remedy = f"correct what the log lines say; to run it once more, delete it: kubectl -n {rollout.namespace} delete job {watch.name}"
    return "\n".join([*lines, f"What to do: {remedy}."])


def about_time(rollout, watches):
    """Return the report of a rollout that took too long."""
    lines = []
    for watch in watches:
        lines.append(f"{title(rollout, watch)} was not ready within {rollout.timeout} s: {watch.words}")
        unready = [pod for pod in watch.pods if not is_ready(pod)][:PODS]
        names = {watch.name} | {pod["metadata"]["name"] for pod in unready}
        lines += _events(rollout, names | {name for _kind, name in (watch.owners() if watch.object else ())})
        for pod in unready:
            lines += _unready(rollout, pod)
        commands = f"`kubectl -n {rollout.namespace} describe {watch.kind.lower()} {watch.name}` tells more"
        lines.append(f"What to do: correct what the events and log lines say; {commands}. If it only needs longer, raise the timeout.")
    return "\n".join(lines)


def title(rollout, watch):
    """Return the name of a workload in words."""
    return f"{watch.kind} {watch.name} (namespace {rollout.namespace})"


def _unready(rollout, pod):
    """Return the lines about a pod that is not ready: what each such container does, and its log."""
    name, phase = pod["metadata"]["name"], (pod.get("status") or {}).get("phase")
    lines = []
    for container in statuses(pod):
        state = container.get("state") or {}
        if container.get("ready") or (state.get("terminated") or {}).get("exitCode") == 0:
            continue
        words = next(iter(state), "unknown")
        if "waiting" in state:
            words += f" ({state['waiting'].get('reason')}{': ' + state['waiting']['message'] if state['waiting'].get('message') else ''})"
        restarts = container.get("restartCount", 0)
        ended = f", restarted {restarts} times, last end: {crash_words(container) or 'unknown'}" if restarts else ""
        lines.append(f"Pod {name} is {phase}, its container {container['name']} is {words} and not ready{ended}")
        if "running" in state or restarts:
            lines += _logs(rollout, pod, container["name"])
    return lines or [f"Pod {name} is {phase}"]


def _events(rollout, names):
    try:
        rollout.read_details(force=True)
    except ClusterError:
        return []
    events = rollout.events_of(names)[-EVENTS:]
    now = rollout.cluster.time
    return ["Events:"] * bool(events) + [
        f"  {max(0, int(now - event.time))} s ago, {event.kind} {event.name}: {event.reason}: {event.message}"
        + (f" ({event.count} times)" if event.count > 1 else "")
        for event in events
    ]


def _logs(rollout, pod, container):
    """Return the last log lines of a container, of the run before as well where it was started again."""
    status = next((one for one in statuses(pod) if one["name"] == container), {}) if pod else {}
    state, lines = status.get("state") or {}, []
    if "terminated" in (status.get("lastState") or {}):
        found = cluster_events.log_lines(rollout.cluster, rollout.namespace, pod["metadata"]["name"], container, previous=True)
        lines += _indented(f"Last log lines of {container} in {pod['metadata']['name']}, of the run that ended:", found)
    if "running" in state or "terminated" in state:
        found = cluster_events.log_lines(rollout.cluster, rollout.namespace, pod["metadata"]["name"], container)
        lines += _indented(f"Last log lines of {container} in {pod['metadata']['name']}:", found)
    return lines


def _indented(title_line, lines):
    return [title_line, *(f"  {line}" for line in lines)] if lines else []
