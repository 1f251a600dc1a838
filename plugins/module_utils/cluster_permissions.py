# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the user of a connection may do in a cluster, with as few questions as possible."""

from __future__ import annotations

REVIEWS = "/apis/authorization.k8s.io/v1"


def missing(cluster, namespace, permissions):
    """Return the `permissions` that the user lacks, each with only the verbs that are missing.

    One SelfSubjectRulesReview answers for the namespace. What it does not name is asked for one by one: an authorizer need not be able to
    list its rules, and a rule may be meant for a cluster-wide resource that a RoleBinding cannot give. Raises ClusterError.
    """
    rules = None
    found = []
    for permission in permissions:
        lacking = []
        for verb in permission["verbs"]:
            if permission["namespaced"]:
                if rules is None:
                    rules = _rules(cluster, namespace)
                if any(_grants(rule, permission, verb) for rule in rules):
                    continue
            if not allowed(cluster, namespace if permission["namespaced"] else None, permission, verb):
                lacking.append(verb)
        if lacking:
            found.append({**permission, "verbs": lacking})
    return found


def _rules(cluster, namespace):
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    answer = cluster.call(f"list this user's permissions in {namespace}", "POST", f"{REVIEWS}/selfsubjectrulesreviews", body=body)
    return (answer.get("status") or {}).get("resourceRules") or []


def _grants(rule, permission, verb):
    """Return whether an entry of resourceRules gives `verb` on every object of the permission's resource."""
    resource, star, subresource = permission["resource"].partition("/")
    resources = {"*", permission["resource"]} | ({f"*/{subresource}"} if star else set())
    return (
        not rule.get("resourceNames")
        and bool({"*", verb} & set(rule.get("verbs") or []))
        and bool({"*", permission["api_group"]} & set(rule.get("apiGroups") or []))
        and bool(resources & set(rule.get("resources") or []))
        and bool(resource)
    )


def allowed(cluster, namespace, permission, verb):
    """Return whether the user may do one thing. Raises ClusterError."""
    resource, unused, subresource = permission["resource"].partition("/")
    attributes = {"verb": verb, "group": permission["api_group"], "resource": resource, "subresource": subresource}
    if namespace:
        attributes["namespace"] = namespace
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    answer = cluster.call(f"ask whether this user may {verb} {resource}", "POST", f"{REVIEWS}/selfsubjectaccessreviews", body=body)
    return bool((answer.get("status") or {}).get("allowed"))


def as_problem(lacking, namespace):
    """Return (what, remedy) for one entry of missing()."""
    group, resource, verbs = lacking["api_group"], lacking["resource"], ", ".join(lacking["verbs"])
    where = f"in the namespace {namespace}" if lacking["namespaced"] else "in the whole cluster"
    role = "Role" if lacking["namespaced"] else "ClusterRole"
    return (
        f"this user may not {verbs} {resource}{f' ({group})' if group else ''} {where}",
        f"ask the cluster's administrator to bind this user to a {role} with"
        f' apiGroups: ["{group}"], resources: [{resource}], verbs: [{verbs}]',
    )
