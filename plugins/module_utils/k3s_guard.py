# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lets one server at a time restart: the others must be healthy, and a Lease in the cluster says whose turn it is.

The health alone would not do: two servers that look at each other at the same moment both find the other one healthy.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible_collections.mlops.platform.plugins.module_utils.k3s_api import ApiError, server_api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
NAME = "mlops-k3s-restart"


class Refused(Exception):
    """A restart that would endanger the cluster."""


def stamp(seconds):
    """Return a time as Kubernetes writes it in a Lease."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text):
    """Return the time that `stamp` wrote."""
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc).timestamp()


def other_servers(api, name, given):
    """Return {name: address} of all servers but `name`: those of the cluster, and those that the inventory knows to hold data of it."""
    found = {node["name"]: node["address"] for node in api.nodes() if node["server"]}
    found.update({peer["name"]: peer["address"] for peer in given})
    found.pop(name, None)
    return found


def unhealthy(data_dir, api, others):
    """Return {name: why} of the servers in `others` that do not answer, or have no etcd that does, or are not Ready."""
    nodes = {node["name"]: node for node in api.nodes()}
    problems = {}
    for name, address in others.items():
        why = server_api(data_dir, address).trouble()
        node = nodes.get(name)
        if not why and node and not node["ready"]:
            why = f"its node is not Ready: {node['reason']}"
        if not why and node and not node["voter"]:
            why = "its etcd member does not vote yet"
        if why:
            problems[name] = why
    return problems


def holder(lease, now):
    """Return who has the turn by a Lease, or None: nobody, or one whose time is over."""
    spec = (lease or {}).get("spec", {})
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return None
    over = seconds_of(spec["renewTime"]) + spec.get("leaseDurationSeconds", 0)
    return spec["holderIdentity"] if now < over else None


def take(api, name, duration):
    """Take the turn for `name`; return who has it instead, or None. Raises ApiError, OSError."""
    now = time.time()
    lease = api.find(f"{LEASES}/{NAME}")
    other = holder(lease, now)
    if other and other != name:
        return other
    spec = {"holderIdentity": name, "leaseDurationSeconds": int(duration), "acquireTime": stamp(now), "renewTime": stamp(now)}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME, "namespace": "kube-system"}, "spec": spec}
    try:
        if lease is None:
            api.call("POST", LEASES, body)
        else:
            # refused with 409 where another server was quicker
            body["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
            api.call("PUT", f"{LEASES}/{NAME}", body)
    except ApiError as error:
        if error.status != 409:
            raise
        return "another server"
    return None


def give_back(api, name):
    """End the turn of `name`, if it has it. Raises ApiError, OSError."""
    lease = api.find(f"{LEASES}/{NAME}")
    if lease and lease.get("spec", {}).get("holderIdentity") == name:
        lease["spec"].update(holderIdentity="", leaseDurationSeconds=1)
        try:
            api.call("PUT", f"{LEASES}/{NAME}", lease)
        except ApiError as error:
            if error.status != 409:
                raise


def wait_for_turn(data_dir, name, peers, patience, duration):
    """Wait until all other servers are healthy and it is the turn of `name`; return whether a turn was taken.

    A server that is not healthy itself takes nothing from the cluster when it restarts: it need not wait. Raises Refused.
    """
    end = time.monotonic() + patience
    why = {}
    while True:
        try:
            api = server_api(data_dir)
            if api.trouble():
                return False
            others = other_servers(api, name, peers)
            if not others:
                return False
            why = unhealthy(data_dir, api, others)
            if not why:
                other = take(api, name, duration)
                if other is None:
                    # once more, as the owner of the turn: the one who had it before may have been restarting
                    why = unhealthy(data_dir, api, others)
                    if not why:
                        return True
                    give_back(api, name)
                else:
                    why = {other: "it is restarting, or a run that restarted it was stopped"}
        except (ApiError, OSError) as error:
            why = {name: str(error)}
        if time.monotonic() > end:
            raise Refused("; ".join(f"{one}: {text}" for one, text in sorted(why.items())))
        time.sleep(2)
