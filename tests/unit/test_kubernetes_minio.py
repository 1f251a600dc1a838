"""MinIO in a cluster: what its templates write for one node and for a pool. No MinIO is started: its images are not published any more."""

from __future__ import annotations

import pytest
from lib.render import within
from lib.render_kubernetes import cluster
from test_kubernetes_storage import decoded, objects

IMAGE = "registry.example.com/minio/minio:RELEASE.2025-09-07T16-13-09Z@sha256:" + "0f" * 32
NAME = "mlops-minio"
SHAPES = {"1x1": (1, 1), "1x4": (1, 4), "4x1": (4, 1), "4x4": (4, 4)}


def minio(shape="1x1", **overrides):
    """Return the options of MinIO of a shape."""
    replicas, drives = SHAPES[shape]
    given = {"replicas": replicas, "drives_per_node": drives}
    return {"object_store_engine": "minio", "object_store_image": IMAGE, "object_store_minio": given, **overrides}


def stateful_set(shape="1x1", **overrides):
    return objects("object_store", **minio(shape, **overrides))["StatefulSet", NAME]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_objects_of_each_shape(shape):
    found = set(objects("object_store", **minio(shape)))
    names = {
        ("Service", f"{NAME}-nodes"),
        *((kind, NAME) for kind in ("ServiceAccount", "Service", "Secret", "StatefulSet", "NetworkPolicy")),
    }
    pool = {("PodDisruptionBudget", NAME)} if shape[0] != "1" else set()
    assert found == names | pool


PLACES = {
    "1x1": "/data1",
    "1x4": "/data{1...4}",
    "4x1": "http://mlops-minio-{0...3}.mlops-minio-nodes.mlops.svc.cluster.local:9000/data1",
    "4x4": "http://mlops-minio-{0...3}.mlops-minio-nodes.mlops.svc.cluster.local:9000/data{1...4}",
}


def expanded(place):
    """Return the places that `minio server` makes of its argument: three dots in braces stand for all numbers from one to the other."""
    before, brace, rest = place.partition("{")
    if not brace:
        return [place]
    span, _unused, after = rest.partition("}")
    first, last = map(int, span.split("..."))
    return [before + str(number) + tail for number in range(first, last + 1) for tail in expanded(after)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_command_names_every_drive_of_every_node(shape):
    replicas, drives = SHAPES[shape]
    found = stateful_set(shape)
    spec = found["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"] == ["minio", "server", "--address", ":9000", PLACES[shape]]
    # a path of the command is the mount of a claim, and a name in it is a pod's, in the Service that resolves pods before they are ready
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    claims = [claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]]
    places = expanded(PLACES[shape])
    assert len(places) == len(set(places)) == replicas * drives
    assert {mounts[f"/{place.rpartition('/')[2]}"] for place in places} == set(claims)
    assert len(claims) == drives
    if replicas > 1:
        service = objects("object_store", **minio(shape))["Service", found["spec"]["serviceName"]]["spec"]
        assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
        pods = {f"{NAME}-{number}.{found['spec']['serviceName']}.mlops.svc.cluster.local:9000" for number in range(replicas)}
        assert {place.split("/")[2] for place in places} == pods
    assert found["spec"]["replicas"] == replicas


def test_another_domain_of_the_clusters_dns():
    command = stateful_set("4x1", object_store_cluster_domain="k8s.example")["spec"]["template"]["spec"]["containers"][0]["command"]
    assert ".mlops.svc.k8s.example:9000/" in command[-1]


def test_the_nodes_of_a_pool_start_and_restart_together():
    assert stateful_set("4x1")["spec"]["podManagementPolicy"] == "Parallel"
    assert stateful_set("4x1")["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert stateful_set("1x4")["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    for shape, waited in (("4x1", []), ("1x4", [{"kind": "StatefulSet", "name": NAME}])):
        roles = cluster(**minio(shape))
        block = roles.tasks("object_store", "deploy_kubernetes.yml")[0]["block"]
        deploy = next(task for task in block if task["name"] == "Deploy the server")
        assert roles.template(deploy["vars"]["kubernetes_objects_wait"], **within("object_store")) == waited
        assert roles.value("object_store_restarts_together") is (not waited)


def test_the_nodes_of_a_pool_avoid_each_others_hosts():
    spec = stateful_set("4x4")["spec"]["template"]["spec"]
    (term,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "object-store"
    assert objects("object_store", **minio("4x4"))["PodDisruptionBudget", NAME]["spec"]["maxUnavailable"] == 1
    assert "affinity" not in stateful_set("1x4")["spec"]["template"]["spec"]


def test_the_root_credentials_come_from_files_that_are_there():
    found = objects("object_store", **minio(password="the root password"))
    container = found["StatefulSet", NAME]["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    secret = decoded(found["Secret", NAME])
    assert secret == {"root-user": "the root password", "root-password": "the root password"}
    # a file that is not there would leave MinIO with its default credentials
    mount = next(one["mountPath"] for one in container["volumeMounts"] if one["name"] == "root")
    assert {environment["MINIO_ROOT_USER_FILE"], environment["MINIO_ROOT_PASSWORD_FILE"]} == {f"{mount}/{key}" for key in secret}
    assert (environment["MINIO_BROWSER"], environment["MINIO_UPDATE"], environment["HOME"]) == ("off", "off", "/tmp")
    assert environment["MINIO_API_STALE_UPLOADS_EXPIRY"] == "168h"


def test_other_root_credentials_are_another_revision():
    def checksum(**overrides):
        return stateful_set("4x1", **overrides)["spec"]["template"]["metadata"]["annotations"]

    assert checksum() == checksum()
    assert checksum() != checksum(password="another")


def test_a_node_is_reached_by_mlflow_and_by_the_others():
    policy = objects("object_store", **minio("4x1"))["NetworkPolicy", NAME]["spec"]
    clients, nodes = policy["ingress"][0]["from"]
    assert clients["podSelector"]["matchExpressions"][1]["values"] == ["mlflow", "backup"]
    # a SeaweedFS that stands beside it, during a migration, has no business here
    assert nodes == {"podSelector": policy["podSelector"]}
    assert policy["egress"][1]["to"] == [{"podSelector": policy["podSelector"]}]
    assert {port["port"] for port in policy["ingress"][0]["ports"] + policy["egress"][1]["ports"]} == {9000}


def test_what_others_are_told():
    endpoint = cluster(**minio()).variables["object_store_endpoint"]
    assert endpoint["url"] == "http://mlops-minio.mlops.svc:9000"
    assert endpoint["pods"]["app.kubernetes.io/name"] == "object-store"


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (IMAGE, "RELEASE.2025-09-07T16-13-09Z"),
        ("registry.example.com:5000/minio@sha256:" + "0f" * 32, ("0f" * 32)[:63]),
        ("registry.example.com:5000/minio:mine@sha256:" + "0f" * 32, "mine"),
    ],
)
def test_the_release_is_the_version_of_the_labels(image, label):
    labels = stateful_set(object_store_image=image)["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == label


def test_the_other_engines_keep_their_version():
    assert cluster().value("object_store_release") == cluster().value("object_store_version")


def test_the_lifecycle_has_what_the_engine_can():
    (versions, markers) = cluster(**minio()).value("object_store_lifecycle")
    assert versions == {"id": "noncurrent-versions", "noncurrent_version_expiration_days": 30}
    assert markers == {"id": "delete-markers", "expired_object_delete_marker": True}
    assert cluster().value("object_store_lifecycle")[0]["abort_incomplete_multipart_days"] == 7


def test_mlflow_may_do_its_work_in_its_bucket_and_not_delete_versions():
    roles = cluster(**minio(object_store_bucket="my-bucket"))
    statements = roles.value("object_store_minio_policy")["Statement"]
    allowed = {action: one["Resource"] for one in statements if one["Effect"] == "Allow" for action in one["Action"]}
    # boto3's calls of MLflow's client, and nothing that changes the bucket
    assert set(allowed) == {
        "s3:GetBucketLocation",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    }
    assert {resource for found in allowed.values() for resource in found} == {"arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"}
    # MinIO asks for this one only whether it is denied
    denied = next(one for one in statements if one["Effect"] == "Deny")
    assert "s3:DeleteObjectVersion" in denied["Action"] and denied["Resource"] == ["arn:aws:s3:::my-bucket/*"]


def test_the_modules_get_the_options_that_they_have():
    connection = cluster(**minio()).value("object_store_minio_connection")
    assert set(connection) == {"endpoint_url", "access_key", "secret_key", "region"}


def test_a_shape_that_is_given_in_part_is_completed():
    found = stateful_set(object_store_minio={"replicas": 4})
    assert found["metadata"]["annotations"]["mlops.platform/minio-pool"] == "4x1"


def test_the_nodes_that_are_left_behind_are_found():
    def pods(*hashes):
        return {
            "resources": [
                {"metadata": {"name": f"p{n}", "uid": f"u{n}", "labels": {"controller-revision-hash": one}}} for n, one in enumerate(hashes)
            ]
        }

    pool = {"resources": [{"status": {"updateRevision": "new"}, "metadata": {"generation": 2}}]}
    roles = cluster(**minio("4x1"), object_store_pool=pool, object_store_nodes=pods("old", "new", "old", "new"))
    assert [pod["metadata"]["name"] for pod in roles.value("object_store_nodes_behind")] == ["p0", "p2"]
    assert {pod["kind"] for pod in roles.value("object_store_nodes_behind")} == {"Pod"}
    roles = cluster(**minio("4x1"), object_store_pool={"resources": []}, object_store_nodes=pods("old"))
    assert roles.value("object_store_nodes_behind") == []


def test_pods_are_looked_for_by_their_labels():
    roles = cluster(**minio("4x1"))
    looks = [task for task in roles.tasks("object_store", "minio_restart.yml") if task["name"] == "See which revision they have"]
    assert roles.template(looks[0]["kubernetes.core.k8s_info"]["label_selectors"]) == [
        "app.kubernetes.io/name=object-store",
        "app.kubernetes.io/instance=mlops",
        "app.kubernetes.io/component=object-store-minio",
    ]
