"""What is found out about a cluster, and what is in the way."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_discovery, cluster_permissions
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_preflight import Preflight
from lib.api_server import Refused

RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def permission(resource="pods", verbs=("get",), group="", namespaced=True, optional=False):
    return {"api_group": group, "resource": resource, "verbs": list(verbs), "namespaced": namespaced, "optional": optional}


def refuse(code, message=""):
    def answer(_asked):
        raise Refused(code, message)

    return answer


def old_server(api, groups):
    """Make the server answer as one before aggregated discovery; `groups` has kinds by version by group."""
    listed = [{"name": group, "versions": [{"version": version} for version in versions]} for group, versions in groups.items()]
    api.answers["/apis"] = {"kind": "APIGroupList", "groups": listed}
    for group, versions in groups.items():
        for version, kinds in versions.items():
            api.answers[f"/apis/{group}/{version}"] = {"resources": [{"kind": kind} for kind in kinds]}


@pytest.fixture
def server(api):
    """A server without fault: everything is allowed, the namespace is there."""
    api.answers["/version"] = {"gitVersion": "v1.28.3+k3s1", "major": "1", "minor": "28+"}
    old_server(api, {"batch": {"v1": ["Job", "CronJob"]}})
    api.answers["/api/v1/namespaces/ns"] = {"metadata": {"name": "ns", "labels": {"a": "b"}}, "status": {"phase": "Active"}}
    api.answers["/apis/storage.k8s.io/v1/storageclasses"] = {"items": [{"metadata": {"name": "standard"}}]}
    api.answers[RULES] = {"status": {"resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}}
    api.answers[ACCESS] = {"status": {"allowed": True}}
    return api


def look(api, **options):
    preflight = Preflight(Cluster(api.params), "ns")
    preflight.look(**options)
    return preflight.facts, preflight.problems


def test_nothing_is_wrong(server):
    facts, problems = look(server, storage_classes=["standard"], permissions=[permission()])
    assert problems == []
    assert (facts["version"], facts["git_version"], facts["server"]) == ("1.28", "v1.28.3+k3s1", server.url)
    assert facts["namespace"] == {"name": "ns", "exists": True, "phase": "Active", "labels": {"a": "b"}, "annotations": {}}
    assert facts["bare"] is False and facts["openshift"] is False
    assert facts["requests"] == len(server.asked) <= 6


def test_nothing_is_written(server):
    look(server, storage_classes=[""], permissions=[permission(verbs=["create"])], create_namespace=True)
    assert {asked.method for asked in server.asked} == {"GET", "POST"}
    assert all("authorization.k8s.io" in asked.path for asked in server.asked if asked.method == "POST")


@pytest.mark.parametrize(
    ("version", "fact", "problem"),
    [
        ("v1.18.20", "1.18", True),
        ("v1.19.0", "1.19", False),
        ("v0.0.0-master+faecb196815e2", "", False),
        ("v1.30.1-eks-036c24b", "1.30", False),
    ],
)
def test_versions(server, version, fact, problem):
    server.answers["/version"] = {"gitVersion": version}
    facts, problems = look(server)
    assert facts["version"] == fact
    assert bool(problems) == problem
    assert not problem or "needs 1.19 or later" in problems[0][0]


def test_something_else_answers(server):
    server.answers["/version"] = "<html>Log in</html>"
    with pytest.raises(Exception, match="is no Kubernetes API server"):
        look(server)


class TestApis:
    def test_an_old_server_is_asked_for_what_matters(self, server):
        groups = {
            "batch": {"v1": ["Job"], "v1beta1": ["CronJob"]},
            "policy": {"v1beta1": ["PodDisruptionBudget"]},
            "autoscaling": {
                "v1": ["HorizontalPodAutoscaler"],
                "v2beta1": ["HorizontalPodAutoscaler"],
                "v2beta2": ["HorizontalPodAutoscaler"],
            },
            "apps": {"v1": ["Deployment"]},
        }
        old_server(server, groups)
        apis, found = cluster_discovery.discover(Cluster(server.params))
        assert (apis["CronJob"], apis["PodDisruptionBudget"]) == ("batch/v1beta1", "policy/v1beta1")
        assert apis["HorizontalPodAutoscaler"] == "autoscaling/v2beta2"
        assert apis["Route"] == ""
        assert found == set(groups)
        assert "/apis/apps/v1" not in server.paths("GET") and "/apis/autoscaling/v1" not in server.paths("GET")

    def test_a_new_server_tells_all_at_once(self, server):
        def group(name, **versions):
            resources = {
                version: [{"resource": kind.lower() + "s", "responseKind": {"kind": kind}} for kind in kinds]
                for version, kinds in versions.items()
            }
            return {
                "metadata": {"name": name},
                "versions": [{"version": version, "resources": found} for version, found in resources.items()],
            }

        def answer(asked):
            assert "as=APIGroupDiscoveryList" in dict(asked.headers)["Accept"]
            groups = [group("batch", v1=["Job", "CronJob"]), group("security.openshift.io", v1=["SecurityContextConstraints"])]
            return {"kind": "APIGroupDiscoveryList", "items": [*groups, group("snap.io", v1beta1=["Snap"], v1=["Snap"], v1alpha1=["Snap"])]}

        server.answers["/apis"] = answer
        facts, _problems = look(server, apis={"Snap": "snap.io", "None": "no.io"})
        assert facts["apis"]["CronJob"] == "batch/v1" and facts["apis"]["Snap"] == "snap.io/v1" and facts["apis"]["None"] == ""
        assert facts["openshift"] is True
        assert len([path for path in server.paths("GET") if path.startswith("/apis/batch")]) == 0

    def test_an_api_whose_own_server_is_down_is_not_there(self, server):
        old_server(server, {"batch": {"v1": ["CronJob"]}, "policy": {"v1": ["PodDisruptionBudget"]}})
        server.answers["/apis/policy/v1"] = refuse(503)
        apis, _groups = cluster_discovery.discover(Cluster(server.params))
        assert (apis["CronJob"], apis["PodDisruptionBudget"]) == ("batch/v1", "")

    def test_order_of_versions(self):
        found = sorted(["v1alpha1", "v1", "v2beta1", "v2", "v10", "v2beta2", "foo"], key=cluster_discovery.priority)
        assert found == ["v10", "v2", "v1", "v2beta2", "v2beta1", "v1alpha1", "foo"]


class TestNamespace:
    def test_missing_and_to_be_made(self, server):
        del server.answers["/api/v1/namespaces/ns"]
        facts, problems = look(server, create_namespace=True)
        assert facts["bare"] and not problems
        assert server.asked[-1].body["spec"]["resourceAttributes"] == {
            "verb": "create",
            "group": "",
            "resource": "namespaces",
            "subresource": "",
        }

    def test_missing_and_may_not_be_made(self, server):
        del server.answers["/api/v1/namespaces/ns"]
        server.answers[ACCESS] = {"status": {"allowed": False}}
        facts, problems = look(server, create_namespace=True)
        assert [what for what, _remedy in problems] == ["this user may not create namespaces in the whole cluster"]

    def test_missing_and_not_to_be_made(self, server):
        del server.answers["/api/v1/namespaces/ns"]
        facts, problems = look(server)
        assert "namespace ns does not exist" in problems[0][0] and "kubectl create namespace ns" in problems[0][1]

    @pytest.mark.parametrize(
        ("answer", "exists"), [({}, True), (refuse(403, "exceeded quota: q"), True), (refuse(404), False), (refuse(403), False)]
    )
    def test_that_may_not_be_read(self, server, answer, exists):
        server.answers["/api/v1/namespaces/ns"] = refuse(403, "forbidden")
        server.answers["POST /api/v1/namespaces/ns/configmaps"] = answer
        facts, problems = look(server)
        assert facts["namespace"]["exists"] is exists and bool(problems) is not exists
        tried = next(asked for asked in server.asked if asked.path.endswith("configmaps"))
        assert tried.query == {"dryRun": "All"}

    def test_that_is_going(self, server):
        server.answers["/api/v1/namespaces/ns"]["status"]["phase"] = "Terminating"
        _facts, problems = look(server)
        assert "is being deleted" in problems[0][0]

    def test_an_anonymous_user_is_told_so(self, server):
        server.answers["/api/v1/namespaces/ns"] = refuse(403, 'User "system:anonymous" cannot get resource "namespaces"')
        with pytest.raises(Exception, match="does not accept the credentials"):
            look(server)


class TestPermissionsOfSomeClusters:
    """A permission that only some clusters take costs no request in the others."""

    def asked(self, server, **more):
        server.answers[ACCESS] = {"status": {"allowed": False}}
        _facts, problems = look(server, permissions=[{**permission("things", namespaced=False), **more}])
        return [what for what, _remedy in problems], len(
            [asked for asked in server.asked if asked.path.endswith("selfsubjectaccessreviews")]
        )

    @pytest.mark.parametrize("more", [{}, {"if_served": "CronJob"}, {"unless_served": "Route"}, {"if_served": None, "unless_served": None}])
    def test_asked_for(self, server, more):
        assert self.asked(server, **more) == (["this user may not get things in the whole cluster"], 1)

    @pytest.mark.parametrize("more", [{"if_served": "Route"}, {"unless_served": "CronJob"}])
    def test_not_asked_for(self, server, more):
        assert self.asked(server, **more) == ([], 0)


class TestStorage:
    def classes(self, server, *names, default=()):
        def metadata(name):
            marks = {"storageclass.kubernetes.io/is-default-class": "true"} if name in default else {}
            return {"name": name, "annotations": marks, "creationTimestamp": f"2026-01-0{names.index(name) + 1}T00:00:00Z"}

        server.answers["/apis/storage.k8s.io/v1/storageclasses"] = {"items": [{"metadata": metadata(name)} for name in names]}

    def test_the_newest_default_counts(self, server):
        self.classes(server, "b", "a", "c", default=["b", "a"])
        facts, problems = look(server, storage_classes=["", "c"])
        assert facts["default_storage_class"] == "a" and facts["storage_classes"] == ["a", "b", "c"] and not problems

    def test_what_is_missing(self, server):
        self.classes(server, "a", "b")
        _facts, problems = look(server, storage_classes=["", "fast", "a"])
        assert problems == [
            ("the cluster has no default storage class", "set mlops_storage_class; there are: a, b"),
            ("the storage class fast does not exist", "set mlops_storage_class; there are: a, b"),
        ]

    def test_who_may_not_list_them_is_not_kept(self, server):
        server.answers["/apis/storage.k8s.io/v1/storageclasses"] = refuse(403)
        facts, problems = look(server, storage_classes=["fast"])
        assert not problems and facts["storage_classes_known"] is False


class TestPermissions:
    def rules(self, server, *rules, allowed=False):
        keys = ("verbs", "apiGroups", "resources", "resourceNames")
        server.answers[RULES] = {"status": {"resourceRules": [dict(zip(keys, rule)) for rule in rules]}}
        server.answers[ACCESS] = {"status": {"allowed": allowed}}

    def missing(self, server, *wanted):
        return cluster_permissions.missing(Cluster(server.params), "ns", list(wanted))

    def test_only_what_is_missing_is_named(self, server):
        self.rules(server, (["get", "list"], [""], ["pods", "pods/log"]), (["*"], ["apps"], ["*"]))
        wanted = [permission("pods", ["get", "create"]), permission("deployments", ["patch"], "apps"), permission("pods/log")]
        found = self.missing(server, *wanted)
        assert [(entry["resource"], entry["verbs"]) for entry in found] == [("pods", ["create"])]
        assert server.paths("POST") == [RULES, ACCESS]

    def test_a_rule_for_named_objects_does_not_count(self, server):
        self.rules(server, (["get"], [""], ["secrets"], ["one"]))
        assert self.missing(server, permission("secrets"))

    @pytest.mark.parametrize("resources", [["*/log"], ["*"], ["pods/log"]])
    def test_subresources(self, server, resources):
        self.rules(server, (["get"], [""], resources))
        assert not self.missing(server, permission("pods/log"))

    def test_a_resource_does_not_give_its_subresource(self, server):
        self.rules(server, (["get"], [""], ["pods"]))
        assert self.missing(server, permission("pods/exec"))
        attributes = server.asked[-1].body["spec"]["resourceAttributes"]
        assert (attributes["resource"], attributes["subresource"], attributes["namespace"]) == ("pods", "exec", "ns")

    def test_the_cluster_is_not_asked_about_through_the_namespace(self, server):
        self.rules(server, (["*"], ["*"], ["*"]), allowed=False)
        assert self.missing(server, permission("nodes", namespaced=False))
        assert server.paths("POST") == [ACCESS]

    def test_what_rules_do_not_say_is_asked(self, server):
        self.rules(server, allowed=True)
        assert not self.missing(server, permission("pods"))

    def test_in_words(self, server):
        self.rules(server)
        facts, problems = look(
            server, permissions=[permission("deployments", ["get", "patch"], "apps"), permission("secrets", optional=True)]
        )
        assert problems == [
            (
                "this user may not get, patch deployments (apps) in the namespace ns",
                "ask the cluster's administrator to bind this user to a Role with"
                ' apiGroups: ["apps"], resources: [deployments], verbs: [get, patch]',
            )
        ]
        assert [entry["resource"] for entry in facts["missing_permissions"]] == ["deployments", "secrets"]


CLAIMS = {"key": "claims", "resource": "persistentvolumeclaims", "labels": "a=b,c=d"}
SETS = {"key": "sets", "api_group": "apps", "resource": "statefulsets", "name": "one"}


def test_objects_are_read_along(server):
    """Both kinds of selection, each list in one request."""
    server.answers["/api/v1/namespaces/ns/persistentvolumeclaims"] = {"items": [{"metadata": {"name": "data"}}]}
    server.answers["/apis/apps/v1/namespaces/ns/statefulsets"] = {"items": []}
    facts, problems = look(server, objects=[CLAIMS, SETS])
    assert problems == []
    assert facts["objects"] == {"claims": [{"metadata": {"name": "data"}}], "sets": []}
    assert [(one.path, one.query) for one in server.asked[-2:]] == [
        ("/api/v1/namespaces/ns/persistentvolumeclaims", {"labelSelector": "a=b,c=d"}),
        ("/apis/apps/v1/namespaces/ns/statefulsets", {"fieldSelector": "metadata.name=one"}),
    ]


def test_objects_that_cannot_be_read_are_a_problem(server):
    server.answers["/api/v1/namespaces/ns/persistentvolumeclaims"] = refuse(403, "claims are not for you")
    facts, problems = look(server, objects=[CLAIMS])
    assert facts["objects"] == {"claims": []}
    ((what, remedy),) = problems
    assert "cannot list persistentvolumeclaims in the namespace ns: claims are not for you" in what and remedy


def test_a_namespace_that_is_missing_has_no_objects(server):
    server.answers["/api/v1/namespaces/ns"] = refuse(404)
    facts, _problems = look(server, objects=[CLAIMS], create_namespace=True)
    assert facts["objects"] == {"claims": []}
