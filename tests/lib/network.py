"""Which pods a selector of a manifest takes, and which of them reach which by the NetworkPolicies, as Kubernetes decides it."""

from __future__ import annotations

OPERATORS = {
    "In": lambda found, values: found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _values: found is not None,
    "DoesNotExist": lambda found, _values: found is None,
}
WORKLOADS = ("Deployment", "StatefulSet", "Job")  # a CronJob's pods are labelled as those of the component's Jobs


def matches(selector, labels):
    """Return whether a label selector takes what has `labels`. An empty one takes everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(OPERATORS[one["operator"]](labels.get(one["key"]), one.get("values", [])) for one in selector.get("matchExpressions", []))


def selector(item):
    """Return the label selector by which an object takes pods; None for a kind that takes none."""
    spec = item.get("spec", {})
    if item["kind"] == "Service":
        return {"matchLabels": spec["selector"]}
    if item["kind"] == "NetworkPolicy":
        return spec["podSelector"]
    if item["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget", "ServiceMonitor", "PodMonitor"):
        return spec["selector"]
    return None


def pods(objects):
    """Return {name of the workload: labels of its pods}; those of CloudNativePG's Cluster have the labels that its operator gives them."""
    found = {}
    for one in objects:
        if one["kind"] in WORKLOADS:
            found[one["metadata"]["name"]] = one["spec"]["template"]["metadata"]["labels"]
        if one["kind"] == "Cluster":
            name = one["metadata"]["name"]
            found[name] = {"cnpg.io/cluster": name, **one["spec"]["inheritedMetadata"]["labels"]}
    return found


def ports(objects):
    """Return every port that a pod or a policy of the objects names."""
    text = [one["spec"] for one in objects if one["kind"] in (*WORKLOADS, "NetworkPolicy")]
    return {number for spec in text for number in _numbers(spec)}


def _numbers(value):
    if isinstance(value, list):
        return {number for one in value for number in _numbers(one)}
    if not isinstance(value, dict):
        return set()
    found = {value[key] for key in ("port", "containerPort") if isinstance(value.get(key), int)}
    return found.union(*(_numbers(one) for one in value.values()))


def _allowed(rules, direction, peer, port):
    """Return whether one of a policy's `rules` lets a pod of the same namespace, labelled `peer`, through at `port` of TCP."""
    for rule in rules:
        at_port = not rule.get("ports") or any(
            one.get("protocol", "TCP") == "TCP" and one.get("port", port) == port for one in rule["ports"]
        )
        peers = rule.get(direction)
        if at_port and (not peers or any(not one.get("namespaceSelector") and matches(one.get("podSelector", {}), peer) for one in peers)):
            return True
    return False


def reaches(policies, source, target, port):
    """Return whether the policies let pods labelled `source` reach those labelled `target` at `port`."""
    for labels, kind, direction, peer in ((source, "Egress", "to", target), (target, "Ingress", "from", source)):
        mine = [one["spec"] for one in policies if kind in one["spec"]["policyTypes"] and matches(one["spec"]["podSelector"], labels)]
        if mine and not any(_allowed(one.get(kind.lower()) or [], direction, peer, port) for one in mine):
            return False
    return True
