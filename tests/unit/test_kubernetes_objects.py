"""The filter kubernetes_objects: what every object of a platform in a cluster has."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.platform.plugins.filter.kubernetes_objects import kubernetes_objects

NAME, INSTANCE, COMPONENT, PART_OF, MANAGED_BY, VERSION = (
    f"app.kubernetes.io/{key}" for key in ("name", "instance", "component", "part-of", "managed-by", "version")
)
SELECTOR = {NAME: "mlflow", INSTANCE: "mlops", COMPONENT: "mlflow"}
LASTING = {**SELECTOR, PART_OF: "mlops", MANAGED_BY: "mlops.platform"}


def thing(kind, spec=None, **metadata):
    item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", **metadata}}
    return item if spec is None else {**item, "spec": spec}


def workload(kind="Deployment", pod=None, **more):
    return thing(kind, {"template": {"spec": pod or {}}, **more})


def complete(*items, **options):
    return kubernetes_objects(list(items), "ns", "mlflow", **options)


def one(item, **options):
    return complete(item, **options)[0]


def test_every_object_has_the_namespace_and_the_recommended_labels():
    done = one(thing("ConfigMap"), version="3.17.2")
    assert done["metadata"] == {"name": "a", "namespace": "ns", "labels": {**LASTING, VERSION: "3.17.2"}}


def test_a_label_of_the_objects_own_wins():
    assert one(thing("ConfigMap", labels={PART_OF: "else", "x": "y"}))["metadata"]["labels"] == {**LASTING, PART_OF: "else", "x": "y"}


@pytest.mark.parametrize(
    "version, label",
    [("4.48", "4.48"), ("17@sha256:abc", "17-sha256-abc"), ("_x_", "x"), ("a" * 70, "a" * 63), ("", None), ("a" * 62 + "--", "a" * 62)],
)
def test_a_version_becomes_a_label(version, label):
    assert one(thing("ConfigMap"), version=version)["metadata"]["labels"].get(VERSION) == label


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_workloads_select_by_what_never_changes(kind):
    done = one(workload(kind), version="1")
    assert done["spec"]["selector"] == {"matchLabels": SELECTOR}
    assert done["spec"]["template"]["metadata"]["labels"] == {**LASTING, VERSION: "1"}


def test_templates_of_claims_have_no_label_that_changes():
    done = one(workload("StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "data"}}]), version="1")
    assert done["spec"]["volumeClaimTemplates"] == [{"metadata": {"name": "data", "labels": LASTING}}]


def test_jobs_get_no_requests():
    service, job = complete(thing("Service", {}), workload("Job"))
    assert job["spec"]["template"]["metadata"]["labels"][COMPONENT] == "mlflow-job"
    assert service["spec"]["selector"][COMPONENT] == "mlflow"
    assert "selector" not in job["spec"]


def test_every_level_of_a_cronjob_is_labelled():
    done = one(thing("CronJob", {"jobTemplate": {"spec": {"template": {"spec": {}}}}}), pod={"nodeSelector": {"a": "b"}})
    job = done["spec"]["jobTemplate"]
    assert job["metadata"]["labels"][COMPONENT] == job["spec"]["template"]["metadata"]["labels"][COMPONENT] == "mlflow-job"
    assert job["spec"]["template"]["spec"] == {"nodeSelector": {"a": "b"}}


def test_a_component_of_its_own_holds_for_the_selectors():
    done = one(thing("Service", {}, labels={COMPONENT: "filer"}))
    assert done["spec"]["selector"] == {**SELECTOR, COMPONENT: "filer"}


def test_the_component_may_be_named_as_the_role():
    assert kubernetes_objects([thing("ConfigMap")], "ns", "object_store")[0]["metadata"]["labels"][NAME] == "object-store"


@pytest.mark.parametrize(
    "kind, key, value",
    [
        ("Service", "selector", SELECTOR),
        ("PodDisruptionBudget", "selector", {"matchLabels": SELECTOR}),
        ("NetworkPolicy", "podSelector", {"matchLabels": SELECTOR}),
        ("ServiceMonitor", "selector", {"matchLabels": SELECTOR}),
    ],
)
def test_a_selector_that_is_left_out_is_filled_in(kind, key, value):
    assert one(thing(kind, {}))["spec"][key] == value
    assert one(thing(kind, {key: {}}))["spec"][key] == {}


def test_the_name_of_an_external_service_selects_nothing():
    assert "selector" not in one(thing("Service", {"type": "ExternalName"}))["spec"]


def test_pods_are_spread_against_their_own_kind():
    term, given = {"topologyKey": "kubernetes.io/hostname"}, {"labelSelector": {"matchLabels": {"a": "b"}}}
    pod = {
        "topologySpreadConstraints": [{"maxSkew": 1}, given],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": dict(term)}],
                "requiredDuringSchedulingIgnoredDuringExecution": [dict(term)],
            }
        },
    }
    spec = one(workload(pod=pod))["spec"]["template"]["spec"]
    wanted = {"labelSelector": {"matchLabels": SELECTOR}}
    rules = spec["affinity"]["podAntiAffinity"]
    assert spec["topologySpreadConstraints"] == [{"maxSkew": 1, **wanted}, given]
    assert rules["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"] == {**term, **wanted}
    assert rules["requiredDuringSchedulingIgnoredDuringExecution"] == [{**term, **wanted}]


def test_parts_of_a_pod_are_for_those_that_lack_them():
    pod = {"nodeSelector": {"a": "b"}, "tolerations": [], "imagePullSecrets": [{"name": "x"}, {"name": "y"}]}
    own = {"nodeSelector": {"c": "d"}, "imagePullSecrets": [{"name": "x"}]}
    assert one(workload(), pod=pod)["spec"]["template"]["spec"] == {key: value for key, value in pod.items() if value}
    assert one(workload(pod=own), pod=pod)["spec"]["template"]["spec"] == {**own, "imagePullSecrets": pod["imagePullSecrets"]}


def test_what_others_refer_to_comes_first():
    kinds = ["HorizontalPodAutoscaler", "StatefulSet", "Service", "Secret", "ServiceAccount", "Whatever", "ConfigMap"]
    assert [item["kind"] for item in complete(*map(thing, kinds[:1]), workload("StatefulSet"), *map(thing, kinds[2:]))] == [
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "Service",
        "Whatever",
        "StatefulSet",
        "HorizontalPodAutoscaler",
    ]


def test_lists_and_texts_are_taken_apart():
    text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n---\n---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n"
    assert [item["metadata"]["name"] for item in complete([thing("ConfigMap")], text, "", None)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "item, words",
    [
        ({"apiVersion": "v1", "metadata": {"name": "a"}}, "kind"),
        ({"kind": "ConfigMap", "metadata": {"name": "a"}}, "apiVersion"),
        # a template that asked for an API which the server does not serve
        ({"apiVersion": "", "kind": "PodMonitor", "metadata": {"name": "a"}}, "apiVersion: kind PodMonitor, name a"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "name"),
        (thing("ConfigMap", namespace="other"), "other"),
        ("a: b: c", "not YAML"),
    ],
)
def test_what_is_no_object_is_refused_in_words(item, words):
    with pytest.raises(AnsibleFilterError, match=words):
        complete(item)


def test_the_input_is_left_as_it_was():
    item = workload("StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "data"}}])
    before = repr(item)
    complete(item, version="1", pod={"nodeSelector": {"a": "b"}})
    assert repr(item) == before


def test_equal_selectors_are_not_one_object():
    """YAML writes an object that stands twice as an anchor, which is hard to read."""
    first, second = complete(workload(), workload())
    first["spec"]["selector"]["matchLabels"]["x"] = "y"
    assert "x" not in second["spec"]["selector"]["matchLabels"]
    assert "x" not in first["spec"]["template"]["metadata"]["labels"]
