"""The collection's own image of MLflow, as images/mlflow/Containerfile makes it: who it runs as, and what it says of itself."""

from __future__ import annotations

import json
import sys
import tarfile

import pytest
from lib.platform_run import ROOT

sys.path.append(str(ROOT / "tests" / "tiers"))


@pytest.fixture(scope="module")
def image():
    """The image's configuration, as a registry would have it."""
    import cluster_images
    import cluster_program

    if cluster_program.obstacle():
        pytest.skip(cluster_program.obstacle())
    (archive,) = cluster_images.archives("mlflow")
    with tarfile.open(archive) as found:
        (manifest,) = json.load(found.extractfile("manifest.json"))
        return json.load(found.extractfile(manifest["Config"]))["config"]


def test_it_runs_as_an_ordinary_user_of_the_group_that_openshift_gives(image):
    assert image["User"] == "10001:0"
    assert image["Env"][0].split("=")[0] == "PATH" and "/opt/mlflow/bin:" in image["Env"][0]


def test_its_labels_say_what_it_is(image):
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image["Labels"].items()}
    pinned = next(line for line in (ROOT / "roles/local_runtime/files/mlflow.txt").read_text().splitlines() if line.startswith("mlflow=="))
    assert labels["version"] == pinned.split("==")[1].split()[0]
    assert labels["title"] == "MLflow" and labels["licenses"] == "Apache-2.0"
    assert labels["source"].startswith("https://") and labels["documentation"].endswith("docs/images.md")
