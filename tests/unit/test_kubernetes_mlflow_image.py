"""MLflow's image: its version, and its build and its template on OpenShift."""

from __future__ import annotations

from lib.kubernetes_mlflow import NAME, objects, pod
from lib.render import ROOT
from lib.render_kubernetes import cluster

# --- OpenShift ---------------------------------------------------------------------------------------------------------------------------


def test_another_base_is_another_build():
    def build(**overrides):
        found = objects(openshift=True, mlflow_build=True, **overrides)
        (one,) = [found[key] for key in found if key[0] == "BuildConfig"]
        return one

    one, two = build(), build(mlflow_base_image="docker.io/library/python:3.12-slim-bookworm")
    # OpenShift starts a build when the object is made
    assert one["metadata"]["name"] != two["metadata"]["name"]
    assert one["spec"]["output"] != two["spec"]["output"]
    assert two["spec"]["strategy"]["dockerStrategy"]["from"]["name"] == f"{NAME}-base:3.12-slim-bookworm"
    assert one["spec"]["source"]["dockerfile"] == (ROOT / "images" / "mlflow" / "Containerfile").read_text()


def test_what_was_built_is_what_runs():
    reference = "registry.svc:5000/mlops/mlops-mlflow"
    builds = [
        {
            "metadata": {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"},
            "status": {
                "phase": "Complete",
                "outputDockerImageReference": f"{reference}:3.17.2-ab",
                "output": {"to": {"imageDigest": f"sha256:{day}"}},
            },
        }
        for day in (2, 1)
    ]
    roles = cluster(openshift=True, mlflow_build=True, mlflow_builds={"resources": builds})
    (task,) = [one for one in roles.tasks("mlflow", "build.yml") if "ansible.builtin.set_fact" in one]
    built = roles.template(task["ansible.builtin.set_fact"]["mlflow_image_built"])
    assert built == f"{reference}@sha256:2"
    found = objects(openshift=True, mlflow_build=True, mlflow_image_built=built)
    assert pod(found)["spec"]["containers"][0]["image"] == built


def test_the_template_migrates_with_the_image_that_is_given():
    (job,) = objects(openshift=True)["Template", f"{NAME}-migration"]["objects"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (job["metadata"]["name"], container["image"], container["command"][-1]) == (f"{NAME}-migration-${{RUN}}", "${IMAGE}", "upgrade")
    # the NetworkPolicy of Jobs holds for it
    policy = objects(openshift=True)["NetworkPolicy", f"{NAME}-jobs"]["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= job["spec"]["template"]["metadata"]["labels"].items()


# --- the image ---------------------------------------------------------------------------------------------------------------------------


def test_the_images_label_has_the_locks_version():
    text = (ROOT / "images" / "mlflow" / "Containerfile").read_text()
    lock = (ROOT / "roles" / "local_runtime" / "files" / "mlflow.txt").read_text()
    version = text.split("ARG VERSION=")[1].split()[0]
    assert f"\nmlflow=={version} " in lock
    assert version in cluster().value("mlflow_image")
