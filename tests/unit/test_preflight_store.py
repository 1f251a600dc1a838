"""The rules of roles/preflight about the object store's engine in a cluster, and about what earlier runs deployed."""

from __future__ import annotations

import pytest
from lib import render_preflight

IMAGE = "registry.example.com/minio@sha256:" + "0f" * 32
NOTE = "mlops.platform/minio-pool"


def problems(substrate="kubernetes", deployed=None, **overrides):
    """Return (what, remedy) of the rules that are broken; `deployed` are the annotations of the StatefulSets that are there."""
    store = [{"metadata": {"name": "mlops-object-store", **one}} for one in deployed or []]
    return render_preflight.problems(substrate, cluster={"objects": {"object_store": store}}, **overrides)


def minio(replicas=1, drives=1, **overrides):
    shape = {"replicas": replicas, "drives_per_node": drives}
    return {"object_store_engine": "minio", "object_store_image": IMAGE, "object_store_minio": shape, **overrides}


def told(words, **overrides):
    """Assert that there is one problem and that it names `words`."""
    found = problems(**overrides)
    assert len(found) == 1, found
    assert words in " ".join(found[0]) and found[0][1]


@pytest.mark.parametrize("substrate", ["kubernetes", "openshift"])
def test_what_is_right_is_accepted(substrate):
    assert problems(substrate) == []
    assert problems(substrate, **minio()) == []
    keys = {"object_store_admin_access_key": "abc", "object_store_admin_secret_key": "12345678", "object_store_mlflow_access_key": "abd"}
    assert problems(substrate, **minio(**keys)) == []


def test_a_host_has_no_minio():
    (what, remedy) = problems("local", **minio())[0]
    assert what == "object_store_engine is minio, which mlops_substrate local does not have" and "seaweedfs" in remedy
    assert len(problems("local", **minio())) == 1


@pytest.mark.parametrize("image", ["", "quay.io/minio/minio:latest", "quay.io/minio/minio@sha256:abc", "a b@sha256:" + "0f" * 32])
def test_minios_image_needs_a_digest(image):
    told("sha256:DIGEST", **minio(object_store_image=image))


def test_the_default_image_is_not_minios():
    """Without one of the user's there is none: not the other engine's."""
    given = minio()
    del given["object_store_image"]
    told("object_store_image is empty", **given)


def in_sets(nodes, drives):
    """Whether MinIO finds a size for its sets: getSetIndexes() and possibleSetCountsWithSymmetry() in cmd/endpoint-ellipses.go."""
    total, counted = nodes * drives, nodes if nodes > 1 else drives
    sizes = [size for size in range(2, 17) if total % size == 0]
    return total == 1 or any(counted % size == 0 if counted > size else size % counted == 0 for size in sizes)


SHAPES = [(nodes, drives) for nodes in (1, 2, 3, 4, 13, 16, 17, 18, 34, 38) for drives in (1, 2, 3, 4, 17, 34)]


def test_the_shapes_of_a_pool():
    """Those that MinIO's own algorithm accepts, but for two and three drives in all."""
    roles = render_preflight.rules("kubernetes", **minio())
    wrong = []
    for nodes, drives in SHAPES:
        expected = nodes * drives not in (2, 3) and in_sets(nodes, drives)
        broken = roles.value(
            "preflight_rules_store[1:3] | rejectattr('good') | list", object_store_minio={"replicas": nodes, "drives_per_node": drives}
        )
        if (broken == []) != expected:
            wrong.append((nodes, drives))
    assert wrong == []


@pytest.mark.parametrize(
    ("nodes", "drives", "words"), [(2, 1, "four"), (1, 3, "four"), (0, 4, "four"), (4, 0, "four"), (17, 4, "evenly"), (1, 19, "evenly")]
)
def test_a_shape_that_cannot_be_is_told(nodes, drives, words):
    told(words, **minio(nodes, drives))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("object_store_admin_access_key", "ab"),
        ("object_store_mlflow_access_key", "a=b"),
        ("object_store_mlflow_access_key", "a,b"),
        ("object_store_admin_access_key", "abc "),
        ("object_store_admin_secret_key", "1234567"),
        # MinIO takes blanks off the ends of what a file holds
        ("object_store_admin_secret_key", " 12345678"),
        ("object_store_mlflow_secret_key", "12345678 "),
    ],
)
def test_keys_that_minio_does_not_take(name, value):
    told(name, **minio(**{name: value}))
    assert value.strip() not in str(problems(**minio(**{name: value}))) or "access" in name


def test_mlflow_is_not_the_administrator():
    told("are the same", **minio(object_store_admin_access_key="abc", object_store_mlflow_access_key="abc"))


def test_a_shape_never_changes():
    there = [{"annotations": {NOTE: "4x1", "a": "b"}}]
    assert problems(deployed=there, **minio(4, 1)) == []
    told("4x1 is deployed", deployed=there, **minio(8, 1))
    told("4x1 is deployed", deployed=there, **minio(4, 2))


def test_an_engine_does_not_take_over_what_another_has_stored():
    told("another engine", deployed=[{}], **minio())
    told("another engine", deployed=[{"annotations": {"a": "b"}}], **minio())
    told("has MinIO's object store", deployed=[{"annotations": {NOTE: "1x1"}}])
    assert problems(deployed=[{"annotations": {"a": "b"}}]) == []
    # a migration leaves the old one beside the new one
    assert problems(deployed=[{"annotations": {NOTE: "1x1"}}, {}]) == []
    assert problems(deployed=[{"annotations": {NOTE: "1x1"}}, {}], **minio()) == []
    assert problems(deployed=[{}, {}]) == []


def test_a_server_that_does_not_answer_is_no_other_problem():
    assert render_preflight.problems("kubernetes", cluster={"objects": {}}) == []
    assert render_preflight.problems("kubernetes", cluster={"objects": {}}, **minio()) == []


def deployed(image):
    """What preflight is told of an object store that is there."""
    container = {"name": "seaweedfs", "image": image}
    return {
        "objects": {
            "object_store": [{"metadata": {"name": "mlops-object-store"}, "spec": {"template": {"spec": {"containers": [container]}}}}]
        }
    }


@pytest.mark.parametrize(
    ("there", "wanted", "says"),
    [
        ("docker.io/chrislusf/seaweedfs:4.48", "docker.io/chrislusf/seaweedfs:4.48", ""),
        ("docker.io/chrislusf/seaweedfs:4.9", "registry.example.com:5000/weed:4.48@sha256:" + "0f" * 32, ""),
        ("registry.example.com:5000/weed:4.48", "docker.io/chrislusf/seaweedfs:4.9", "4.48 has stored the objects, and 4.9 is older"),
        ("docker.io/chrislusf/seaweedfs:4.48", "docker.io/chrislusf/seaweedfs:4.48_large_disk", "neither reads what the other"),
        # nobody knows: a digest alone, and a tag that tells no version
        ("registry.example.com/weed@sha256:" + "0f" * 32, "docker.io/chrislusf/seaweedfs:4.9", ""),
        ("docker.io/chrislusf/seaweedfs:latest", "docker.io/chrislusf/seaweedfs:4.9", ""),
    ],
)
def test_an_older_seaweedfs_is_refused(there, wanted, says):
    found = render_preflight.problems("kubernetes", cluster=deployed(there), object_store_image=wanted)
    assert [what for what, _remedy in found if says not in what] == [] and len(found) == bool(says)
    if "is older" in says:
        assert (
            render_preflight.problems("kubernetes", cluster=deployed(there), object_store_image=wanted, object_store_downgrade=True) == []
        )


@pytest.mark.parametrize(("there", "count"), [("", 0), ("4.47", 0), ("4.48", 0), ("4.49", 1), ("5.0", 1)])
def test_an_older_seaweedfs_is_refused_on_a_host_too(there, count):
    found = render_preflight.problems("local", host={"object_store": there}, object_store_version="4.48")
    assert len(found) == count


@pytest.mark.parametrize(
    ("image", "version", "count"),
    [
        ("docker.io/library/postgres:17", 17, 0),
        ("docker.io/library/postgres:17.6-bookworm", 17, 0),
        ("registry.example.com:5000/postgres:17.6@sha256:" + "0f" * 32, 17, 0),
        ("registry.example.com:5000/postgres", 17, 0),
        ("registry.example.com/postgres@sha256:" + "0f" * 32, 17, 0),
        ("registry.example.com/postgres:latest", 17, 0),
        # numbers of somebody's own
        ("registry.example.com/postgres:1", 17, 0),
        ("registry.example.com/postgres:2026.11", 17, 0),
        ("docker.io/library/postgres:18.1", 17, 1),
        ("docker.io/library/postgres:17", 18, 1),
    ],
)
def test_the_image_of_another_major_version_is_refused(image, version, count):
    found = problems(postgresql_image=image, postgresql_version=version)
    assert len(found) == count
    assert all("postgresql_image" in what for what, _remedy in found)
