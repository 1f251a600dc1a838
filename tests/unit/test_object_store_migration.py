"""The variables of roles/object_store_migration: what MLflow uses now, where the objects come from, and what is refused."""

from __future__ import annotations

from base64 import b64encode

import pytest
from lib.render import ODD, Roles
from lib.render_kubernetes import cluster, flat, manifests

OLD = {
    "url": "https://minio.example.com",
    "bucket": "mlflow-artifacts",
    "region": "us-east-1",
    "ca": "",
    "pods": {},
    "access_key": "k",
    "secret_key": "s",
    "reader": {"access_key": "rk", "secret_key": "rs"},
}
INFO = {"buckets": [{"name": "mlflow-artifacts", "versioning": "enabled"}]}
SETTINGS = {
    "MLFLOW_S3_ENDPOINT_URL": OLD["url"],
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "s3://mlflow-artifacts/artifacts",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "AWS_DEFAULT_REGION": "us-east-1",
    "MLOPS_OBJECT_STORE_ENGINE": "seaweedfs",
}


def roles(settings=None, **overrides):
    """The role on a host, as its tasks have filled in the facts."""
    text = "".join(f'{key}="{value}"\n' for key, value in {**SETTINGS, **(settings or {})}.items())
    facts = {
        "object_store_migration_env": {"content": b64encode(text.encode()).decode()},
        "object_store_migration_old": OLD,
        "object_store_migration_source_info": INFO,
        "object_store_migration_target_info": {"skipped": True, "changed": False},
        "object_store_endpoint": {"access_key": "new", "secret_key": "new"},
        "object_store_admin": {"access_key": "a", "secret_key": "b"},
        "mlops_proof": {"verified": []},
    }
    return Roles("postgresql", "object_store", "mlflow", "object_store_migration", **{**facts, **overrides})


def problems(**overrides):
    return roles(**overrides).value("object_store_migration_problems")


def in_cluster(selector=None, **overrides):
    """The same in a cluster, where a MinIO of the namespace is the old server; its Service has `selector`, or what the role gives it."""
    url = overrides.pop("url", "http://mlops-minio.ns.svc:9000")
    settings = {**SETTINGS, "MLFLOW_S3_ENDPOINT_URL": url}
    hidden = {key: b64encode(settings.pop(key).encode()).decode() for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    service = {"resources": [{"spec": {"selector": selector or cluster(object_store_engine="minio").value("object_store_pod_labels")}}]}
    facts = {
        "mlops_substrate": "kubernetes",
        "mlops_namespace": "ns",
        "object_store_migration_shown": {"resources": [{"data": settings}]},
        "object_store_migration_hidden": {"resources": [{"data": hidden}]},
        "object_store_migration_old": {**OLD, "url": url},
        "object_store_migration_found_service": service,
        "object_store_migration_old_service": service,
        "object_store_migration_inventory": {
            "resources": [{"data": {"objects": "apps/v1 StatefulSet mlops-minio\nv1 Service mlops-minio\n"}}]
        },
    }
    return roles(**{**facts, **overrides})


def test_what_mlflow_uses_now_is_read_as_the_shell_would():
    found = roles(settings={"AWS_SECRET_ACCESS_KEY": "".join("\\" + c if c in '\\"$`' else c for c in ODD)})
    now = found.value("object_store_migration_now")
    assert now["secret_key"] == ODD and now["url"] == OLD["url"] and now["bucket"] == "mlflow-artifacts" and now["pods"] == {}
    assert found.value("object_store_migration_needed") is True and found.value("object_store_migration_service") == ""
    assert problems() == []


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"object_store_engine": "external", "object_store_external_url": OLD["url"]}, "source and target are the same"),
        ({"object_store_migration_source_access_key": "k"}, "object_store_migration_source_secret_key"),
        ({"object_store_migration_old": {**OLD, "url": "http://third"}}, "neither source nor target"),
        ({"object_store_migration_source_info": {"msg": "cannot list"}}, "the source: cannot list"),
        ({"object_store_migration_source_info": {"buckets": []}}, "the source has no bucket"),
        ({"object_store_migration_target_info": {"msg": "refused"}}, "the target: refused"),
        ({"object_store_migration_workers": 0}, "object_store_migration_workers"),
        ({"mlops_proof": {"verified": ["3 of runs.artifact_uri, such as s3://b/1"]}}, "3 of runs.artifact_uri"),
        ({"object_store_engine": "external", "object_store_external_url": ""}, "has no address"),
    ],
    ids=str,
)
def test_a_problem_is_told_with_its_remedy(overrides, words):
    found = problems(**overrides)
    assert len(found) == 1 and words in found[0] and ": " in found[0], found


def test_addresses_of_s3_are_accepted_when_that_is_said():
    assert problems(mlops_proof={"verified": ["x"]}, object_store_migration_accept_direct_uris=True) == []


def test_a_target_without_its_bucket_needs_an_administrator():
    outside = {
        "object_store_engine": "external",
        "object_store_external_url": "http://new",
        "object_store_migration_target_info": {"buckets": []},
    }
    assert "the target has no bucket" in problems(**outside)[0]
    assert problems(**outside, object_store_admin_access_key="a") == []


def test_a_server_of_the_namespace_is_reached_and_kept():
    found = in_cluster()
    assert found.value("object_store_migration_service") == "mlops-minio"
    assert found.value("object_store_migration_own") is True
    assert found.value("object_store_migration_now")["pods"]["app.kubernetes.io/component"] == "object-store-minio"
    assert found.value("object_store_migration_memory")["data"]["objects"] == "apps/v1 StatefulSet mlops-minio\nv1 Service mlops-minio\n"
    assert found.value("object_store_migration_problems") == []


@pytest.mark.parametrize("topology", ["single", "split"])
@pytest.mark.parametrize(
    "labels", [{}, {"app.kubernetes.io/name": "object-store"}, {"app.kubernetes.io/part-of": "mlops"}, {"a-label": "of its own"}], ids=str
)
def test_a_server_whose_service_selects_the_new_ones_pods_is_refused(topology, labels):
    """The copy would compare one server with itself, and `remove_old` would remove the only copy."""
    same = cluster(object_store_topology=topology).value("object_store_pod_labels")
    found = in_cluster(selector=labels or same, object_store_topology=topology).value("object_store_migration_problems")
    assert [("selects the pods of the new one" in problem) for problem in found] == ([] if "a-label" in labels else [True]), found


def test_a_server_whose_pods_the_new_service_selects_is_refused():
    same = cluster().value("object_store_pod_labels")
    (found,) = in_cluster(selector={**same, "a-label": "of its own"}).value("object_store_migration_problems")
    assert "selects the pods of the new one" in found


def test_a_server_that_would_take_over_the_old_ones_volume_is_refused():
    lines = {"resources": [{"data": {"objects": "apps/v1 StatefulSet mlops-object-store\n"}}]}
    found = in_cluster(object_store_migration_inventory=lines).value("object_store_migration_problems")
    assert len(found) == 1 and "StatefulSet mlops-object-store" in found[0]


def test_a_server_outside_leaves_nothing_to_keep_in_the_cluster():
    nothing = {"object_store_migration_inventory": {"resources": []}, "object_store_migration_old_service": {"skipped": True}}
    found = in_cluster(url="https://minio.example.com", **nothing)
    assert found.value("object_store_migration_service") == "" and found.value("object_store_migration_problems") == []
    assert found.value("object_store_migration_own") is False


def test_a_second_run_does_not_take_the_new_server_for_the_old_one():
    kept = "apps/v1 StatefulSet mlops-minio\nv1 Service mlops-minio\n"
    overrides = {
        "object_store_migration_inventory": {"resources": [{"data": {"objects": "apps/v1 StatefulSet mlops-object-store\n"}}]},
        "object_store_migration_kept": {"resources": [{"data": {"objects": kept}}]},
    }
    found = in_cluster(**overrides)
    assert found.value("object_store_migration_problems") == []
    assert found.value("object_store_migration_memory")["data"]["objects"] == kept


def test_a_service_of_the_same_name_is_refused():
    lines = {"resources": [{"data": {"objects": "apps/v1 StatefulSet other\nv1 Service mlops-object-store\n"}}]}
    of_its_own = {"app": "a-server"}
    found = in_cluster(url="http://mlops-object-store.ns.svc:9000", selector=of_its_own, object_store_migration_inventory=lines)
    assert "Service mlops-object-store" in found.value("object_store_migration_problems")[0]


MINIO = {"object_store_engine": "minio", "object_store_image": "registry.example.com/minio@sha256:" + "0f" * 32}


@pytest.mark.parametrize("stopped", [False, True], ids=["runs", "stopped"])
@pytest.mark.parametrize(
    "options, claims",
    [
        ({}, ["mlops-object-store"]),
        (MINIO, ["data1-mlops-minio-0"]),
        (
            {**MINIO, "object_store_minio": {"replicas": 2, "drives_per_node": 2}},
            [f"data{drive}-mlops-minio-{node}" for drive in (1, 2) for node in (0, 1)],
        ),
        (
            {"object_store_topology": "split", "object_store_replicas": {"master": 1, "volume": 2}},
            ["data-mlops-object-store-master-0", "data-mlops-object-store-volume-0", "data-mlops-object-store-volume-1"],
        ),
    ],
    ids=["seaweedfs", "minio", "minio, 2 nodes of 2 drives", "seaweedfs in parts"],
)
def test_the_volumes_of_the_old_server_are_removed_with_it(options, claims, stopped):
    """Those that a StatefulSet has made from its templates too, and no other's."""
    sets = [one for one in manifests(cluster(**options), only=("object_store",)) if one["kind"] == "StatefulSet"]
    sets = [{**one, "spec": {**one["spec"], "replicas": 0}} for one in sets] if stopped else sets
    others = ["data1-mlops-minio-of-others-0", "mlops-postgresql", "my-data1-mlops-minio-0", "data-mlops-object-store-volume-0-copy"]
    found = in_cluster(
        object_store_migration_sets={"results": [{"resources": [one]} for one in sets] + [{"resources": []}]},
        object_store_migration_volumes={"resources": [{"metadata": {"name": name}} for name in [*claims, *others]]},
    )
    assert sorted(found.value("object_store_migration_claims")) == sorted(claims)


def test_the_volumes_are_looked_for_before_the_objects_go():
    names = [task["name"] for task in flat(roles().tasks("object_store_migration", "remove_cluster.yml"))]
    assert names.index("Look for its StatefulSets") < names.index("Remove the objects that were kept") < names.index("Remove its volumes")
