"""Every manifest of every option, rendered without a cluster: valid for old and new Kubernetes, and held to one policy."""

from __future__ import annotations

import functools
import re

import pytest
from lib import render, render_kubernetes
from lib.kubernetes_schemas import NEWEST, problems
from lib.render_kubernetes import cluster, manifests, pods

SECRET = "Sw0rdfish-" * 3
VERSIONS = ("1.20", "1.24", "1.28", "1.32", NEWEST)
SCALED = {"min_replicas": 2, "max_replicas": 5, "cpu_percent": 70}
EXTERNAL = {
    "postgresql_engine": "external",
    "postgresql_external_host": "db.example.com",
    "postgresql_external_user": "dba",
    "postgresql_external_password": "a-password",
    "postgresql_external_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "object_store_engine": "external",
    "object_store_external_url": "https://s3.example.com",
    "object_store_external_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
}
MINIO = {"object_store_engine": "minio", "object_store_image": "registry.example.com/minio@sha256:" + "0f" * 32}
# CloudNativePG's servers with an archive in a bucket, by its plugin
ARCHIVE = {
    "postgresql_engine": "cloudnative_pg",
    "postgresql_archive": True,
    "mlops_backup_bucket": "backups",
    "backup_bucket_url": "https://s3.example.org:9000",
    "backup_bucket_access_key": "an-access-key",
    "backup_bucket_secret_key": SECRET,
}
RECOVERED = {"postgresql_cluster_name": "mlops-postgresql-2", "postgresql_recover_from": "mlops-postgresql"}
CLUSTER = {
    "mlops_resource_quota": {"pods": "20"},
    "mlops_limit_range": {"max": {"memory": "4Gi"}},
    "mlops_image_pull_secrets": ["a-login"],
    "mlops_registry_logins": {"registry.example.com": {"username": "a", "password": "b"}},
    "mlops_node_selector": {"kubernetes.io/os": "linux"},
    "mlops_tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "mlops_storage_class": "standard",
}
OPTIONS = {
    "defaults": {},
    "one replica, no network policies": {"mlflow_replicas": 1, "mlops_network_policies": False},
    "all that a namespace may have": CLUSTER,
    "autoscaling": {"mlflow_autoscaling": SCALED},
    "ingress": {"mlflow_expose": "ingress", "mlops_public_names": ["mlflow.example.com"], "mlflow_ingress_class": "nginx"},
    "nodeport": {"mlflow_expose": "nodeport", "mlops_public_names": ["10.0.0.1"]},
    "loadbalancer": {"mlflow_expose": "loadbalancer", "mlflow_service_annotations": {"a.example.com/b": "c"}},
    "loadbalancer, certificate given": {"mlflow_expose": "loadbalancer", "mlflow_tls_secret": "a-secret"},
    "external services": EXTERNAL,
    "minio, one node of one drive": MINIO,
    "minio, 4 nodes": {**MINIO, "object_store_minio": {"replicas": 4, "drives_per_node": 1}},
    "minio, 4 nodes of 4 drives": {**MINIO, "object_store_minio": {"replicas": 4, "drives_per_node": 4}, "mlops_storage_class": "standard"},
    "openshift, minio": {**MINIO, "openshift": True, "mlflow_expose": "route"},
    "openshift, minio, 4 nodes of 4 drives": {
        **MINIO,
        "openshift": True,
        "mlflow_expose": "route",
        "object_store_minio": {"replicas": 4, "drives_per_node": 4},
    },
    "odd secrets": {"password": render.ODD},
    "operator": {"postgresql_engine": "cloudnative_pg", "postgresql_instances": 3},
    "operator with an archive": ARCHIVE,
    "older operator with an archive": {**ARCHIVE, "postgresql_archive_method": "in_tree", "postgresql_archive_encryption": "AES256"},
    "operator, made of an archive": {
        **ARCHIVE,
        **RECOVERED,
        "postgresql_recover_time": "2026-11-28T12:00:00Z",
        "postgresql_recover_path": "elsewhere/cloudnative_pg/mlops",
        "backup_bucket_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    },
    "older operator, made of an archive": {**ARCHIVE, **RECOVERED, "postgresql_archive_method": "in_tree"},
    "object store in parts": {"object_store_topology": "split"},
    "object store in parts, small": {
        "object_store_topology": "split",
        "object_store_replicas": {"master": 1, "volume": 1, "filer": 1, "s3": 1},
        "object_store_replication": "000",
        "mlops_network_policies": False,
    },
    "object store in parts, all set": {
        **CLUSTER,
        **{key: value for key, value in EXTERNAL.items() if key.startswith("postgresql_")},
        "object_store_topology": "split",
        "object_store_replicas": {"volume": 5},
        "object_store_replication": "002",
        "object_store_spread": "required",
        "object_store_part_resources": {"volume": {"limits": {"memory": "4Gi"}}},
    },
    "openshift, object store in parts": {"openshift": True, "mlflow_expose": "route", "object_store_topology": "split"},
    "backups": {"mlops_backup": True, "backup_time": "23:05", "backup_key": "0f" * 32},
    "backups in a bucket": {
        "mlops_backup": True,
        "mlops_backup_bucket": "backups",
        "backup_bucket_url": "https://s3.example.org:9000",
        "backup_bucket_access_key": "an-access-key",
        "backup_bucket_secret_key": SECRET,
        "backup_bucket_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "backup_secrets_in_clear": True,
    },
    "backups in a claim of others, external store": {
        **{key: value for key, value in EXTERNAL.items() if key.startswith("object_store_")},
        "object_store_admin_access_key": "an-access-key",
        "object_store_admin_secret_key": SECRET,
        "backup_claim": "a-claim",
        "mlops_backup": True,
    },
    "openshift, backups": {"openshift": True, "mlflow_expose": "route", "mlops_backup": True},
    "openshift, edge route": {"openshift": True, "mlflow_expose": "route"},
    "openshift, image built there": {"openshift": True, "mlflow_expose": "route", "mlflow_build": True},
    "openshift, reencrypted route": {"openshift": True, "mlflow_expose": "route", "mlflow_route_termination": "reencrypt"},
}


READ = {}  # the files that an option has read


@functools.cache
def rendered(option, version="1.32"):
    """Return the objects of an option, complete. Versions that serve the same kinds get the same: no template asks for the version."""
    same = next(one for one in VERSIONS if render_kubernetes.apis(one) == render_kubernetes.apis(version))
    if same != version:
        return rendered(option, same)
    roles = cluster(same, **{"password": SECRET, **OPTIONS[option]})
    found = manifests(roles)
    READ[option] = READ.get(option, set()) | roles.loader.texts
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_manifests_are_valid(option, version):
    """Strictly: a field that this version does not know, such as a misspelled one, is an error."""
    found = [problem for manifest in rendered(option, version) for problem in problems(manifest, version)]
    assert not found, "\n".join(found)


def test_the_schemas_are_strict():
    manifest = next(one for one in rendered("defaults", "1.20") if one["kind"] == "StatefulSet")
    for version in VERSIONS:
        assert problems({**manifest, "sepc": {}}, version)
        assert problems({**manifest, "apiVersion": "apps/v1beta1"}, version)
        assert problems({**manifest, "spec": {**manifest["spec"], "replicas": "one"}}, version)
        inner = {**manifest["spec"]["template"], "spec": {"containers": [{"name": "a", "comand": []}]}}
        assert problems({**manifest, "spec": {**manifest["spec"], "template": inner}}, version)


# --- one policy for all pods -------------------------------------------------------------------------------------------------------------


def broken_rules(spec, openshift, job):
    """Return which rules the pod `spec` breaks, each as a text."""
    around = spec.get("securityContext", {})
    found = [f"{field} is {spec[field]}" for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace") if spec.get(field)]
    found += [] if spec.get("automountServiceAccountToken") is False else ["the account's token is mounted"]
    found += [] if spec.get("serviceAccountName", "default") != "default" else ["no ServiceAccount of its own"]
    found += [] if spec.get("enableServiceLinks") is False else ["the addresses of all Services are in the environment"]
    allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "downwardAPI"}
    for volume in spec.get("volumes", []):
        found += [f"volume {volume['name']}: {kind}" for kind in set(volume) - allowed - {"name"}]
        if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", [])):
            found.append(f"volume {volume['name']} mounts a token")
    if openshift:
        fixed = [field for field in ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups") if field in around]
        found += [f"{field} is fixed, OpenShift chooses it" for field in fixed]
    for one in spec["containers"] + spec.get("initContainers", []):
        context = one.get("securityContext", {})
        resources = one.get("resources", {})
        rules = {
            "may run as root": (context.get("runAsNonRoot", around.get("runAsNonRoot")) is True) and context.get("runAsUser", 1) != 0,
            "writable root": context.get("readOnlyRootFilesystem") is True,
            "may gain privileges": context.get("allowPrivilegeEscalation") is False and not context.get("privileged"),
            "keeps capabilities": context.get("capabilities") == {"drop": ["ALL"]},
            "no seccomp profile": context.get("seccompProfile", around.get("seccompProfile")) == {"type": "RuntimeDefault"},
            "no limit of memory": "memory" in resources.get("limits", {}),
            "no limit of processors": "cpu" in resources.get("limits", {}),
            "no request": {"cpu", "memory"} <= set(resources.get("requests", {})),
            "host ports": not any("hostPort" in port for port in one.get("ports", [])),
            "image without a version": re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", one.get("image", "")),
            "no pull policy": "imagePullPolicy" in one,
        }
        if not job and one in spec["containers"]:
            rules |= {f"no {probe}": probe in one for probe in ("readinessProbe", "livenessProbe", "startupProbe")}
        if openshift:
            rules["fixed user"] = not {"runAsUser", "runAsGroup"} & set(context)
        found += [f"container {one['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


@pytest.mark.parametrize("option", OPTIONS)
def test_every_pod_keeps_the_policy(option):
    objects = rendered(option)
    jobs = {f"{one['kind']}/{one['metadata']['name']}" for one in objects if one["kind"] in ("Job", "CronJob")}
    openshift = OPTIONS[option].get("openshift", False)
    found = [f"{name}: {rule}" for name, spec in pods(objects) for rule in broken_rules(spec, openshift, name in jobs)]
    assert not found, "\n".join(found)
    assert pods(objects)


def test_the_policy_sees_what_is_wrong():
    container = {"name": "a", "image": "a", "securityContext": {"privileged": True}}
    bare = {"containers": [container], "volumes": [{"name": "b", "hostPath": {}}]}
    assert len(broken_rules(bare, openshift=False, job=False)) == 17


# --- what belongs together ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS)
def test_objects_fit_together(option):
    """Names are unique, every object is labelled, and what a pod or a Service refers to is there (or is a user's own)."""
    objects = rendered(option)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names)), names
    for one in objects:
        labels = one["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "mlops", one["metadata"]
        assert labels.get("app.kubernetes.io/managed-by") == "mlops.platform", one["metadata"]
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "mlops", one["metadata"]
        for port in [*one.get("spec", {}).get("ports", [])]:
            assert port["protocol"], f"Kubernetes 1.20 refuses ports without a protocol: {names}"
    # made by modules, not by manifests: passwords and certificates
    there = {*names, *(("Secret", f"mlops-{name}-secrets") for name in ("postgresql", "object-store", "mlflow")), ("Secret", "a-secret")}
    there.add(("PersistentVolumeClaim", "a-claim"))
    for name, spec in pods(objects):
        for kind, wanted in referred(spec):
            assert (kind, wanted) in there, f"{name} refers to {kind}/{wanted}"


def referred(spec):
    """Return (kind, name) of everything that the pod `spec` mounts or reads."""
    found = [("ServiceAccount", spec["serviceAccountName"])]
    for volume in spec.get("volumes", []):
        sources = [volume, *volume.get("projected", {}).get("sources", [])]
        found += [("ConfigMap", one["configMap"]["name"]) for one in sources if "configMap" in one]
        found += [("Secret", one["secret"].get("secretName") or one["secret"]["name"]) for one in sources if "secret" in one]
        if "persistentVolumeClaim" in volume:
            found.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    for one in spec["containers"] + spec.get("initContainers", []):
        for source in one.get("envFrom", []):
            found += [("ConfigMap" if key == "configMapRef" else "Secret", value["name"]) for key, value in source.items() if "Ref" in key]
    return found


@pytest.mark.parametrize("option", OPTIONS)
def test_no_secret_outside_of_secrets(option):
    """In no ConfigMap, and in no environment or command of a pod."""
    secret = OPTIONS[option].get("password", SECRET)
    for one in rendered(option):
        if one["kind"] != "Secret":
            assert secret not in str(one), f"{one['kind']}/{one['metadata']['name']}"


def test_no_template_asks_for_the_version():
    """What is served decides, as a version does not say what is installed, and as rendered() counts on it."""
    for path in render_kubernetes.templates():
        assert "mlops_cluster.version" not in path.read_text(encoding="utf-8"), path


def test_every_template_is_used_by_an_option():
    """A manifest that no option renders would be tested by nothing."""
    used = set()
    for option in OPTIONS:
        assert rendered(option)
        used |= READ[option]
    assert render_kubernetes.templates() <= used, render_kubernetes.templates() - used


def test_what_is_applied_past_the_internal_role_is_rendered_too():
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered("loadbalancer")}
    jobs = {("Job", f"mlflow-{name}-kubernetes") for name in ("verify", "administrator")}
    assert names >= jobs | {("Secret", f"mlops-mlflow-{name}") for name in ("tls", "authority")} | {("Secret", "mlflow-verify-kubernetes")}
