"""What a bundle has by the variables of the roles, how the roles take it, and its list of components."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.mlops.platform.plugins.module_utils import airgap_bundle, airgap_sbom, airgap_wheels
from lib import render_preflight
from lib.render import ROOT, Roles, within

RELEASE = "github.com/k3s-io/k3s/releases/download"
COMPONENTS = ("metallb", "postgresql", "object_store", "mlflow")


def asked(**given):
    """Return (files, images) that playbooks/airgap.yml asks for: each role adds to what the ones before it named."""
    facts = {}
    for role in ("k3s", "k3d", *COMPONENTS):
        roles = Roles(role, inventory_dir="/srv/inventory", **{**given, **facts, **within(role)})
        for task in roles.tasks(role, "bundle.yml"):
            facts |= roles.template(task["ansible.builtin.set_fact"])
    roles = Roles("airgap", **{**given, **facts, **within("airgap")})
    return {one["path"]: one for one in roles.value("airgap_entries")}, roles.value("airgap_image_list")


def test_everything_that_is_pinned_is_in_it():
    files, images = asked()
    pinned = {one["path"]: one["sha256"] for one in Roles().value("mlops_downloads").values()}
    pinned[f"{Roles().value('mlops_k3d_path')}/k3d-linux-amd64"] = Roles().value("mlops_k3d_sha256")["linux-amd64"]
    assert pinned == {path: one["sha256"] for path, one in files.items() if RELEASE not in path}
    assert all(one["url"] == f"https://{path.replace('+', '%2B')}" for path, one in files.items())
    version = Roles("k3s").value("k3s_version")
    names = ["sha256sum-amd64.txt", "k3s", "k3s-airgap-images-amd64.tar.zst"]
    assert [path for path in files if RELEASE in path] == [f"{RELEASE}/{version}/{name}" for name in names]
    # only the list of checksums is what it was when it was fetched
    assert [path for path, one in files.items() if not one.get("sha256") and not one.get("list")] == [f"{RELEASE}/{version}/{names[0]}"]
    assert images == [Roles(role).value(f"{name}_image") for role, name in zip(
        ("metallb", "metallb", "postgresql", "object_store", "mlflow"),
        ("metallb_controller", "metallb_speaker", "postgresql", "object_store", "mlflow"),
    )]  # fmt: skip


def test_variables_of_the_roles_hold_for_it():
    given = {
        "metallb_version": "0.15.2",
        "metallb_manifest_sha256": "a" * 64,
        "metallb_mode": "frr",
        "mlflow_image": "r.example.org/mlflow:1",
    }
    given |= {
        "k3s_version": "v1.36.4+k3s1",
        "k3s_checksums": {"k3s": "b" * 64},
        "k3s_airgap_images": "tar",
        "object_store_engine": "external",
    }
    files, images = asked(**given, airgap_machines=["aarch64", "x86_64"], mlops_mirror="http://m/")
    assert files["raw.githubusercontent.com/metallb/metallb/v0.15.2/config/manifests/metallb-frr.yaml"]["sha256"] == "a" * 64
    assert files[f"{RELEASE}/v1.36.4+k3s1/k3s"]["sha256"] == "b" * 64
    assert files[f"{RELEASE}/v1.36.4+k3s1/k3s-arm64"]["list"] == f"{RELEASE}/v1.36.4+k3s1/sha256sum-arm64.txt"
    assert files[f"{RELEASE}/v1.36.4+k3s1/k3s-airgap-images-arm64.tar"]["url"] == (
        f"http://m/{RELEASE}/v1.36.4%2Bk3s1/k3s-airgap-images-arm64.tar"
    )
    assert "r.example.org/mlflow:1" in images and any("frr" in one for one in images) and not any("seaweedfs" in one for one in images)


def test_a_cluster_in_containers_has_its_images_in_it():
    images = set(asked(mlops_substrate="k3d")[1]) - set(asked()[1])
    assert {one.partition(":")[0] for one in images} == {
        "docker.io/rancher/k3s",
        "ghcr.io/k3d-io/k3d-proxy",
        "ghcr.io/k3d-io/k3d-tools",
    }


@pytest.mark.parametrize("parts, hosts", [(["k3s"], {"github.com/k3s-io"}), (["wheels"], set())])
def test_parts_that_are_left_out_are_not_fetched(parts, hosts):
    files, _images = asked(airgap_parts=parts)
    assert {"/".join(path.split("/")[:2]) for path in files} == hosts


def test_every_lock_file_of_the_platform_is_in_it():
    roles = Roles("airgap", **within("airgap"))
    locks = {str(path) for path in [*(ROOT / "roles").glob("*/files/*.txt"), ROOT / "requirements" / "controller.txt"]}
    assert set(roles.value("airgap_locks")) == locks
    assert roles.value("airgap_oldest")[str(ROOT / "requirements" / "controller.txt")] == "3.11"
    assert set(roles.value("airgap_locks", airgap_test_tools=True)) - locks == {str(ROOT / "requirements" / "dev.txt")}
    # as scripts/lock has it
    script = (ROOT / "scripts" / "lock").read_text(encoding="utf-8")
    assert "lock requirements/controller.in 3.11" in script and 'lock "$file" 3.10' in script


def test_the_playbook_asks_each_role_that_downloads_something():
    text = (ROOT / "playbooks" / "airgap.yml").read_text(encoding="utf-8")
    for path in (ROOT / "roles").glob("*/tasks/bundle.yml"):
        assert f"{{name: mlops.platform.{path.parts[-3]}, tasks_from: bundle}}" in text


# --- how it is taken ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path):
    version = Roles("k3s").value("k3s_version")
    names = [f"{RELEASE}/{version}/k3s-airgap-images-amd64.tar.gz", "images/amd64/b.tar", "images/amd64/a.tar", "images/arm64/c.tar"]
    for name in ["SHA256SUMS", *names]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_one_variable_has_everything_installed_from_it(bundle):
    node = {"node": {"architecture": "x86_64"}}
    roles = Roles("k3s", "local_runtime", mlops_bundle=str(bundle), k3s_state=node, inventory_dir="/srv")
    assert roles.value("mlops_mirror") == f"file://{bundle}"
    assert roles.value("local_runtime_pip")[-2:] == ["--index-url", f"file://{bundle}/pypi.org/simple"]
    assert roles.value("k3s_local_dir") == f"{bundle}/{RELEASE}/{roles.value('k3s_version')}"
    assert roles.value("k3s_airgap_images") == "tar.gz"
    assert roles.value("k3s_image_archives") == [f"{bundle}/images/amd64/a.tar", f"{bundle}/images/amd64/b.tar"]
    # a server for the hosts' packages, and the rest from here
    assert Roles(mlops_bundle=str(bundle), mlops_mirror="http://m").value("mlops_mirror") == "http://m"
    # before a machine was looked at
    assert Roles("k3s", mlops_bundle=str(bundle), inventory_dir="/srv").value("k3s_image_archives") == []


def test_without_it_nothing_changes():
    roles = Roles("k3s", k3s_state={"node": {"architecture": "x86_64"}})
    values = [roles.value(name) for name in ("mlops_mirror", "k3s_local_dir", "k3s_airgap_images", "k3s_image_archives")]
    assert values == ["", "", "none", []]


def test_preflight_refuses_what_is_no_bundle_here(bundle):
    def what(**given):
        return [one for one, _remedy in render_preflight.problems("local", **given) if "mlops_bundle" in one]

    assert what(mlops_bundle=str(bundle), ansible_connection="local") == []
    assert len(what(mlops_bundle=str(bundle / "images"), ansible_connection="local")) == 1
    assert len(what(mlops_bundle="bundle", ansible_connection="local")) == 1
    assert "another one" in what(mlops_bundle=str(bundle))[0]
    assert what(mlops_bundle=str(bundle), mlops_mirror="http://m:8000") == []


# --- the list of components ---------------------------------------------------------------------------------------------------------------


def components():
    one = airgap_bundle.component(
        "library", "numpy", "2.4.6", "pkg:pypi/numpy@2.4.6", "pypi.org/simple/numpy/n.whl", "a" * 64, "MIT AND Zlib"
    )
    other = airgap_bundle.component("container", "r/x", "1", "", "images/amd64/x.tar", "b" * 64)
    return [one, other, airgap_bundle.component("application", "k3s", "1", "pkg:github/k3s-io/k3s@v1", "k", "c" * 64, licence="Apache 2")]


def test_the_list_of_components_is_cyclonedx():
    schema = json.loads((ROOT / "tests" / "unit" / "schemas" / "cyclonedx-1.6.json").read_text(encoding="utf-8"))
    document = airgap_sbom.document("0.1.0", components())
    jsonschema.Draft7Validator(schema).validate(document)
    found = {one["name"]: one for one in document["components"]}
    assert found["numpy"]["licenses"] == [{"expression": "MIT AND Zlib"}] and "licenses" not in found["r/x"]
    assert found["k3s"]["licenses"] == [{"license": {"name": "Apache 2"}}]
    # the schema refuses what CycloneDX does not know
    document["components"][0]["hashes"][0]["content"] = "short"
    assert not jsonschema.Draft7Validator(schema).is_valid(document)
    assert not jsonschema.Draft7Validator(schema).is_valid({**document, "components": [{"name": "x", "type": "wheel"}]})


def test_the_same_bundle_has_the_same_list():
    assert airgap_sbom.text("1", components()) == airgap_sbom.text("1", components()[::-1])
    assert airgap_sbom.document("1", components())["serialNumber"] != airgap_sbom.document("2", components())["serialNumber"]


def test_licences_are_what_a_wheels_metadata_say(tmp_path):
    said = {
        "License-Expression: BSD-3-Clause": ("BSD-3-Clause", ""),
        "License: MIT\nClassifier: License :: OSI Approved :: MIT License": ("", "MIT License"),
        "License: Apache 2.0": ("", "Apache 2.0"),
        "License: " + "the whole text " * 20: ("", ""),
        "Summary: nothing": ("", ""),
    }
    for number, (text, expected) in enumerate(said.items()):
        path = tmp_path / f"{number}.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("x-1.dist-info/METADATA", f"Name: x\n{text}\n\nBody: License-Expression: none\n")
        assert airgap_wheels.licences(path) == expected


# --- the program that unpacks it ----------------------------------------------------------------------------------------------------------


def unpack(bundle, target):
    return subprocess.run(["sh", bundle / "unpack.sh", *([target] if target else [])], capture_output=True, text=True, check=False)


def test_a_bundle_is_made_and_unpacked_to_what_a_clone_would_be(tmp_path):
    """The playbook itself, with the one part that needs no network."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    bundle, target = tmp_path / "bundle", tmp_path / "clone"
    given = json.dumps({"airgap_dir": str(bundle), "airgap_parts": ["collections"], "airgap_archive": str(tmp_path / "bundle.tar")})
    command = [Path(sys.executable).with_name("ansible-playbook"), "playbooks/airgap.yml", "-e", given]

    def run(*arguments):
        done = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "would fetch collections/" in run("--check") and not bundle.exists()
    assert " changed=0 " not in run()
    assert " changed=0 " in run("--diff")
    assert (tmp_path / "bundle.tar").exists()
    assert unpack(bundle, "").returncode == 2
    done = unpack(bundle, target)
    assert done.returncode == 0 and f"mlops_bundle={bundle}" in done.stdout, done.stderr
    assert (target / "collections/ansible_collections/mlops/platform/galaxy.yml").exists() is False
    assert (target / "collections/ansible_collections/mlops/platform/playbooks/site.yml").is_file()
    assert os.access(target / "scripts/bootstrap", os.X_OK)
    assert "is not empty" in unpack(bundle, target).stderr
    (archive,) = bundle.glob("collections/mlops-*")
    with archive.open("ab") as stream:
        stream.write(b".")
    done = unpack(bundle, tmp_path / "another")
    assert done.returncode == 1 and "the bundle is damaged" in done.stderr and not (tmp_path / "another").exists()
