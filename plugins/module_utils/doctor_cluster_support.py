# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a maintainer needs beside the doctor's report of a cluster: objects, events, the ends of the logs, and PostgreSQL's settings."""

from __future__ import annotations

import contextlib

from ansible_collections.mlops.platform.plugins.module_utils import cluster_clients, doctor_cluster, doctor_redact, doctor_support
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import namespaced
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotChecked
from ansible_collections.mlops.platform.plugins.module_utils.doctor_cluster_reach import OWN_SECRETS, decoded

# of which a bundle has the objects as they are; of Secrets it has the names alone
SHOWN = ("nodes", "pods", "persistentvolumeclaims", "deployments", "statefulsets", "jobs", "services", "configmaps")
# values of Secrets that nobody has to hide: redacting them would take words out of every text
OPEN_KEYS = ("username", "tls.crt", "ca.crt")
# bytes of a line of a log, for how many lines the API is asked; one that is longer makes it more
LINE = 100
# a value of several lines is a file: words of it that are shorter than a key are its own
WORD = 16


def hidden(facts, given, user):
    """Return the needles (doctor_redact) of what the platform's Secrets hold, and of `given`."""
    found = {name: doctor_redact.lines_of(value) for name, value in given.items() if value}
    secrets = doctor_cluster.listed(facts, "secrets")
    # a value that stands in several is called by where it is from
    for secret in sorted(secrets, key=lambda one: not one["metadata"]["name"].endswith(OWN_SECRETS)):
        for key in secret.get("data") or {}:
            if key in OPEN_KEYS:
                continue
            value = decoded(secret, key)
            name = f"{secret['metadata']['name']}/{key}"
            if "\n" in value.strip():
                words = value.replace('"', " ").replace("=", " ").replace(",", " ").split()
                found[name] = [word for word in dict.fromkeys(words) if len(word) >= WORD]
            else:
                found[name] = doctor_redact.lines_of(value)
    return doctor_redact.needles(found, user)


def slim(entry):
    """Return an object without what its server keeps for itself, and without the copy of it that an apply leaves."""
    metadata = {key: value for key, value in entry["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations") or {}
    if annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if not key.endswith("last-applied-configuration")}
    return {**entry, "metadata": metadata}


def events(cluster, namespace):
    """Return the events of a namespace, one to a line, the latest last. Raises ClusterError."""
    found = cluster.get("read events", namespaced(namespace, "events")).get("items") or []
    lines = []
    for event in found:
        moment = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
        about = event.get("involvedObject") or {}
        words = " ".join((event.get("message") or "").split())
        lines.append(f"{moment} {event.get('type')} {event.get('reason')} {about.get('kind')}/{about.get('name')} {words}")
    return "\n".join(sorted(lines)) + "\n"


def logs(cluster, namespace, pods, limit):
    """Return {name: the end of each container's log}, and of the container that it replaced."""
    found = {}
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
            for previous in [False] + [True] * bool(container.get("restartCount")):
                try:
                    text = cluster_clients.log(cluster, namespace, name, container["name"], max(1, limit // LINE), previous)
                except ClusterError as problem:
                    text = f"{problem}\n"
                # half a line may hold half a secret, which nobody would recognise
                text = text[-limit:].partition("\n")[2] if len(text) > limit else text
                found[f"log/{name}/{container['name']}{'.previous' if previous else ''}.log"] = text
    return found


def settings(behind, plan):
    """Return PostgreSQL's settings, or why they cannot be had."""
    with behind.to_database(plan) as reached:
        return doctor_support.settings(reached)


def collect(behind, plan, wanted):
    """Return {name: text} of a bundle. What cannot be had says why in its place; secrets are still in it."""
    found, facts = dict(wanted.get("files") or {}), behind.lists(plan)
    found["plan.json"] = doctor_support.as_json({key: value for key, value in plan.items() if key not in ("held", "held_in")})
    if facts["unreachable"]:
        return found
    for name in SHOWN:
        entries, why = facts[name]
        found[f"objects/{name}.json"] = doctor_support.as_json([slim(entry) for entry in entries] if entries is not None else why)
    names = [[entry["metadata"]["name"], sorted(entry.get("data") or {})] for entry in facts["secrets"][0] or []]
    found["objects/secrets.json"] = doctor_support.as_json(dict(names) or facts["secrets"][1])
    cluster = behind.connection()
    for name, make in (("events.txt", lambda: events(cluster, plan["namespace"])), ("postgresql.txt", lambda: settings(behind, plan))):
        try:
            found[name] = make()
        except (ClusterError, NotChecked) as problem:
            found[name] = f"{problem}\n"
    with contextlib.suppress(NotChecked):
        found.update(logs(cluster, plan["namespace"], doctor_cluster.items(facts, "pods"), wanted["log_bytes"]))
    return found
