"""What the templates of the object store write, read back by the programs that read them, and one outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import tomllib
from lib.render import HOST, ODD, described, files, platform, services, within


@pytest.fixture(scope="module")
def roles():
    return platform()


@pytest.fixture(scope="module")
def descriptions(roles):
    return described(roles)


# --- the object store --------------------------------------------------------------------------------------------------------------------


def test_s3_json_holds_two_identities_with_odd_secrets(roles):
    identities = {entry["name"]: entry for entry in json.loads(roles.render("object_store", "s3.json.j2"))["identities"]}
    assert {name: entry["credentials"][0]["secretKey"] for name, entry in identities.items()} == {"admin": ODD, "mlflow": ODD}
    assert identities["mlflow"]["actions"] == ["Read:mlflow-artifacts", "Write:mlflow-artifacts", "List:mlflow-artifacts"]


def test_security_toml_asks_for_a_certificate_everywhere(roles):
    content = tomllib.loads(roles.render("object_store", "security.toml.j2"))
    assert content["grpc"]["ca"]
    for part in ("master", "volume", "filer", "s3"):
        assert content["grpc"][part]["allowed_commonNames"] == "seaweedfs.mlops.internal"
    for part in ("master", "volume", "filer"):
        assert content["https"][part]["ca"] == f"{HOST['data_dir']}/tls/seaweedfs.crt"
    keys = [content["jwt"][kind] for kind in ("signing", "filer_signing")]
    assert all(len(bytes.fromhex(kind["key"])) == len(bytes.fromhex(kind["read"]["key"])) == 32 for kind in keys)
    assert len(bytes.fromhex(content["s3"]["sse"]["kek"])) == 32


def test_filer_toml_carries_every_character_of_the_password(roles):
    content = tomllib.loads(roles.render("object_store", "filer.toml.j2"))["postgres2"]
    # what SeaweedFS pastes into a key=value connection string: libpq's quoting
    quoted = content["password"]
    assert quoted[0] == quoted[-1] == "'"
    assert re.fullmatch(r"(?:[^\\']|\\.)*", quoted[1:-1])
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == ODD
    assert content["port"] == 15432


def test_master_toml_runs_lifecycle_and_vacuum(roles):
    maintenance = tomllib.loads(roles.render("object_store", "master.toml.j2"))["master"]["maintenance"]
    steps = [line.split()[0] for line in maintenance["scripts"].split("\n") if line.strip()]
    assert steps[0] == "lock" and steps[-1] == "unlock"
    assert {"s3.lifecycle.run-shard", "volume.vacuum", "s3.clean.uploads"} <= set(steps)
    # of S3 it asks over gRPC: the port of the API does not understand it
    assert " -s3 127.0.0.1:28333 " in maintenance["scripts"]


def test_object_store_listens_on_loopback_alone(descriptions):
    words = descriptions["seaweedfs"]["command"]
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp", "-filer.disableHttp", "-s3.iam=false"} <= set(words)
    # it serves the heap and the command line to anybody
    assert not [word for word in words if word.startswith("-metricsPort")]


@pytest.mark.parametrize("script", ["seaweedfs-before-start.sh.j2", "weed-shell.sh.j2"])
def test_scripts_of_the_object_store_are_shell(roles, script):
    text = roles.render("object_store", script)
    assert text.startswith("#!/bin/sh\n")
    assert subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user, which root alone can")
def test_a_socket_of_another_user_is_told_before_seaweedfs_waits_for_it_for_ever(tmp_path):
    ports = {
        f"object_store_{part}_port": 40000 + os.getpid() % 10000 + number for number, part in enumerate(("s3", "filer", "master", "volume"))
    }
    (tmp_path / "seaweedfs").mkdir()
    script = platform(mlops_host={**HOST, "data_dir": str(tmp_path)}, **ports).render("object_store", "seaweedfs-before-start.sh.j2")
    socket = Path(f"/tmp/seaweedfs-master-grpc-{ports['object_store_master_port'] + 10000}.sock")
    socket.touch()
    try:
        os.chown(socket, 65534, 65534)
        done = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, timeout=60, check=False)
    finally:
        socket.unlink()
    assert done.returncode == 1
    assert f"{socket} belongs to nobody" in done.stderr and "object_store_*_port" in done.stderr
    assert f"seaweedfs-s3-grpc-{ports['object_store_s3_port'] + 10000}.sock\n" in (tmp_path / "seaweedfs" / "sockets").read_text()


# --- an object store outside -------------------------------------------------------------------------------------------------------------


def test_mlflow_trusts_and_waits_for_no_object_store_of_its_own():
    endpoint = {
        "engine": "external",
        "url": "https://s3.example.com",
        "region": "r",
        "bucket": "b",
        "access_key": "a",
        "secret_key": "s",
        "ca": "an authority",
    }
    outside = platform(
        object_store_engine="external",
        object_store_external_url="https://s3.example.com/",
        object_store_endpoint=endpoint,
        ingress_endpoint={"routes": "/routes", "url": "https://localhost", "ca": ""},
    )
    assert outside.value("object_store_url") == "https://s3.example.com"
    path = f"{HOST['data_dir']}/etc/mlflow-object-store.crt"
    found = {item["name"]: item for item in services(outside)}["mlflow-15001"]
    assert found["after"] == ["postgresql"] and path in found["config_files"]
    assert outside.value("mlflow_server_environment")["AWS_CA_BUNDLE"] == path
    assert files(outside)[0][path] == "an authority"
    assert outside.value("mlflow_verification", **within("mlflow"))["s3"]["ca"] == path


def test_mlflow_comes_after_the_object_store_of_the_platform(descriptions, roles):
    assert descriptions["mlflow-15001"]["after"] == ["postgresql", "seaweedfs"]
    assert "AWS_CA_BUNDLE" not in roles.value("mlflow_server_environment")
