"""The settings of the local services without which they are slow, open or talkative: each was found by measuring, each in its words."""

from __future__ import annotations

import configparser

import pytest
from lib.render import files, platform, services, within


@pytest.fixture(scope="module")
def roles():
    return platform()


@pytest.fixture(scope="module")
def descriptions(roles):
    return {item["name"]: item for item in services(roles)}


SEAWEEDFS = {
    "-master.telemetry=false": "it reports to its makers by default",
    "-master.electionTimeout=1s": "22 s after a kill until it is writable, 7 s with this",
    "-volume.max=0": "else it stops taking objects at eight volumes, with the disk empty",
    "-volume.minFreeSpace=5120MiB": "else it fills the disk that PostgreSQL is on",
    "-s3.autoCreateBucket=false": "a misspelt name would become a bucket without versions",
    "-s3.allowDeleteBucketNotEmpty=false": "a bucket would be deleted with what is in it",
    "-s3.port.iceberg=0": "a port more that listens",
    "-s3.port.lance=0": "a port more that listens",
}


@pytest.mark.parametrize("word", SEAWEEDFS)
def test_seaweedfs_is_told(descriptions, word):
    option = word.split("=")[0]
    assert [one for one in descriptions["seaweedfs"]["command"] if one.split("=")[0] == option] == [word], SEAWEEDFS[word]


def test_seaweedfs_keeps_its_memory_down(descriptions):
    """969 MB after three objects of 256 MB without it."""
    assert descriptions["seaweedfs"]["environment"]["GOMEMLIMIT"] == "400MiB"
    given = {item["name"]: item for item in services(platform(object_store_memory_limit="1GiB", mlops_reserve_mb=700))}["seaweedfs"]
    assert given["environment"]["GOMEMLIMIT"] == "1GiB"
    assert "-volume.minFreeSpace=700MiB" in given["command"]


@pytest.mark.parametrize("name", ["mlflow-15001", "mlflow-15002"])
def test_mlflow_is_one_process_on_uvloop(descriptions, name):
    """Several workers of asyncio's own loop answer after 44 ms; a parent that is killed leaves its workers on the port."""
    command = [str(word) for word in descriptions[name]["command"]]
    assert command[1:5] == ["-m", "uvicorn", "--factory", "mlflow_clients:create_app"]
    assert command[command.index("--loop") :][:2] == ["--loop", "uvloop"]
    assert "--workers" not in command


@pytest.mark.parametrize(
    "name, value",
    {
        # eight processes more, and 1.5 GB
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # newer boto3 sends checksums that some S3 servers mishandle
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
    }.items(),
)
def test_mlflows_environment_says(roles, name, value):
    content = files(roles)[0]["/var/lib/mlops/etc/mlflow.env"]
    assert [line for line in content.splitlines() if line.startswith(f"{name}=")] == [f'{name}="{value}"']


@pytest.mark.parametrize("seconds", [60, 5])
def test_mlflow_remembers_logins(seconds):
    """A password is hashed for 190 ms at each request otherwise."""
    given = {} if seconds == 60 else {"mlflow_auth_cache_seconds": seconds}
    parser = configparser.ConfigParser()
    parser.read_string(platform("plain", **given).render("mlflow", "mlflow-auth.ini.j2", **within("mlflow")))
    assert parser["mlflow"]["auth_cache_ttl_seconds"] == str(seconds)
    assert int(parser["mlflow"]["auth_cache_max_size"]) > 1000


def test_traefik_reports_nothing(roles):
    content = files(roles)[0]["/var/lib/mlops/etc/traefik/traefik.yml"]
    assert "checkNewVersion: false" in content
    assert "sendAnonymousUsage: false" in content
