"""The filter metallb_manifest on MetalLB's real manifests, and what the role makes of its variables, against the schemas of Kubernetes."""

from __future__ import annotations

import functools
import hashlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.platform.plugins.filter.metallb_manifest import metallb_manifest, repository
from lib import custom_resources, kubernetes_schemas
from lib.render import Roles
from lib.render_kubernetes import plain

MANIFESTS = ["native", "frr", "old"]
# of each what it is made for
SERVERS = {"native": ["1.24", kubernetes_schemas.NEWEST], "frr": ["1.24", kubernetes_schemas.NEWEST], "old": ["1.20", "1.24"]}
pytestmark = pytest.mark.skipif(
    not custom_resources.metallb().is_file(), reason="no mirror with MetalLB's manifests lies beside the repository (../shared/mirror)"
)


def pin(name):
    return Roles().value(f"mlops_downloads.metallb_{name}")


def raw(name):
    return (custom_resources.MIRROR / pin(name)["path"]).read_bytes()


@functools.cache
def objects(name, policies=True):
    return [one for one in yaml.load_all(raw(name), yaml.CSafeLoader) if one]


def made(name, **given):
    return metallb_manifest(objects(name), pin(name)["version"], **{"policies": True, **given})


def pods(items):
    return [one["spec"]["template"]["spec"] for one in items if one["kind"] in ("Deployment", "DaemonSet")]


def images(items):
    return {one["image"] for spec in pods(items) for one in [*(spec.get("initContainers") or []), *spec["containers"]]}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_checksum_is_of_the_manifest(name):
    assert hashlib.sha256(raw(name)).hexdigest() == pin(name)["sha256"]


def test_the_default_version_is_one_that_is_pinned():
    roles = Roles("metallb")
    assert roles.value("metallb_download.version") == roles.value("metallb_version") and roles.value("metallb_sha256")
    assert roles.value("metallb_url") == f"https://{pin('native')['path']}"
    assert Roles("metallb", metallb_mode="frr", mlops_mirror="https://m").value("metallb_url") == f"https://m/{pin('frr')['path']}"
    assert Roles("metallb", metallb_version="0.12.1").value("metallb_sha256") == pin("old")["sha256"]
    other = Roles("metallb", metallb_version="0.15.2", metallb_manifest_sha256="ab")
    assert "/v0.15.2/" in other.value("metallb_url") and other.value("metallb_sha256") == "ab"
    assert Roles("metallb", metallb_version="0.15.2").value("metallb_sha256") == ""


@pytest.mark.parametrize("name, server", [(name, server) for name, servers in SERVERS.items() for server in servers])
def test_what_is_applied_is_what_kubernetes_takes(name, server):
    policies = server != kubernetes_schemas.NEWEST
    given = {"pull_secrets": ["mlops-registry"], "tolerations": [{"key": "a", "operator": "Exists"}], "policies": policies}
    found = [one for one in made(name, **given) if one["kind"] != "CustomResourceDefinition"]
    problems = [problem for one in found for problem in kubernetes_schemas.problems(one, server)]
    # kinds that the schemas in the repository do not carry, because the platform itself makes none
    assert [one for one in problems if "does not serve it, or nothing here knows it" not in one] == []
    kinds = {one["kind"] for one in found}
    assert {"Namespace", "ServiceAccount", "Deployment", "DaemonSet", "ClusterRole", "RoleBinding"} < kinds
    if server == kubernetes_schemas.NEWEST:
        assert problems == []


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_object_is_marked_and_the_namespace_is_first_and_privileged(name):
    found = made(name)
    assert [one["kind"] for one in found].count("Namespace") == 1 and found[0]["kind"] == "Namespace"
    assert {one["metadata"]["labels"]["app.kubernetes.io/managed-by"] for one in found} == {"mlops.platform"}
    assert {one["metadata"]["labels"]["app.kubernetes.io/version"] for one in found} == {pin(name)["version"]}
    assert found[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    # selectors cannot change, and are as upstream has them: pods of an older MetalLB are taken over
    for one, before in (
        (one, next(each for each in objects(name) if each["kind"] == one["kind"])) for one in found if one["kind"] == "DaemonSet"
    ):
        assert one["spec"]["selector"] == before["spec"]["selector"]
        assert one["spec"]["template"]["metadata"] == before["spec"]["template"]["metadata"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_port_names_its_protocol(name):
    ports = [port for spec in pods(made(name)) for container in spec["containers"] for port in container.get("ports") or []]
    assert ports and {port["protocol"] for port in ports} == {"TCP", "UDP"}


def test_policies_are_left_out_where_the_server_has_none():
    assert {one["kind"] for one in made("old")} - {one["kind"] for one in made("old", policies=False)} == {"PodSecurityPolicy"}


def test_a_policy_names_nothing_that_the_server_does_not_keep():
    """Each apply would be a change."""
    policies = [(one["metadata"]["name"], one["spec"]) for one in made("old") if one["kind"] == "PodSecurityPolicy"]
    before = {one["metadata"]["name"]: one["spec"] for one in objects("old") if one["kind"] == "PodSecurityPolicy"}
    assert len(policies) == 2
    for name, spec in policies:
        assert [] not in spec.values()
        # the other way round false is kept, and means something
        assert {key for key, value in spec.items() if value is False} == {
            key for key, value in before[name].items() if value is False and key.lower().endswith("allowprivilegeescalation")
        }
        assert {key: value for key, value in before[name].items() if value} == {key: value for key, value in spec.items() if value}


def test_images_come_from_where_the_variables_say():
    roles = Roles("metallb", metallb_mode="frr", metallb_speaker_image="registry.example.org/a/speaker:b@sha256:c")
    found = images(made("frr", images=roles.value("metallb_images")))
    assert found == {"registry.example.org/a/speaker:b@sha256:c", "quay.io/metallb/controller:v0.16.1", roles.value("metallb_frr_image")}
    # the defaults are the manifests' own
    for name, given in (("native", {}), ("frr", {"metallb_mode": "frr"}), ("old", {"metallb_version": "0.12.1"})):
        assert images(made(name, images=Roles("metallb", **given).value("metallb_images"))) == images(objects(name))


def test_pods_pull_with_logins_and_tolerate_more():
    given = {"mlops_registry_logins": {"registry.example.org": {"username": "a", "password": "b"}}, "mlops_tolerations": [{"key": "mine"}]}
    roles = Roles("metallb", metallb_image_pull_secrets=["another"], **given)
    wanted = {"pull_secrets": roles.value("metallb_pull_secrets"), "tolerations": roles.value("metallb_tolerations")}
    for before, spec in zip(pods(objects("native")), pods(made("native", **wanted))):
        assert spec["imagePullSecrets"] == [{"name": "another"}, {"name": "mlops-registry"}]
        assert spec["tolerations"] == [*(before.get("tolerations") or []), {"key": "mine"}]
    secret = roles.value("metallb_registry_secret")
    assert kubernetes_schemas.problems(plain(secret), kubernetes_schemas.NEWEST) == []


def test_everything_that_a_manifest_makes_outside_of_its_namespace_is_removed_with_it():
    removed = {(one["kind"], one["metadata"]["name"]) for one in Roles("metallb").value("metallb_installed")}
    for name in MANIFESTS:
        outside = {(one["kind"], one["metadata"]["name"]) for one in made(name) if "namespace" not in one["metadata"]}
        assert outside <= removed
    assert list(Roles("metallb").value("metallb_installed"))[-1]["kind"] == "Namespace"


def test_what_is_no_manifest_is_refused():
    with pytest.raises(AnsibleFilterError, match="no kind or no name"):
        metallb_manifest([{"a": 1}], "0.16.1")
    assert repository("localhost:5000/metallb/speaker@sha256:ab") == "speaker"
