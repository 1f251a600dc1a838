"""PostgreSQL and the object store in a cluster: what their templates write, and what depends on the engine."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest
import tomllib
import yaml
from lib.render import ODD, ROOT, within
from lib.render_kubernetes import calls, cluster, manifests, pods


def objects(only, **overrides):
    """Return the objects of the role `only`, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests(cluster(**overrides), only=(only,))}


def decoded(secret):
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


# --- PostgreSQL --------------------------------------------------------------------------------------------------------------------------


def test_postgresql_in_one_pod():
    found = objects("postgresql")
    name = "mlops-postgresql"
    kinds = ("ServiceAccount", "Service", "PersistentVolumeClaim", "ConfigMap", "StatefulSet", "NetworkPolicy")
    # the Job that copies the databases into a new major version is applied by its own playbook alone
    assert {one for one in found if one[0] != "Job"} == {(kind, name) for kind in kinds}
    conf = found["ConfigMap", name]["data"]["postgresql.conf"]
    assert "listen_addresses = '*'" in conf
    assert "hba_file = '/etc/postgresql/pg_hba.conf'" in conf
    rules = [line.split() for line in found["ConfigMap", name]["data"]["pg_hba.conf"].splitlines() if line and line[0] != "#"]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}


def test_another_setting_rolls_the_server_and_another_password_does_not():
    def checksum(**overrides):
        return objects("postgresql", **overrides)["StatefulSet", "mlops-postgresql"]["spec"]["template"]["metadata"]["annotations"]

    assert checksum() != checksum(postgresql_settings={"work_mem": "8MB"})
    assert checksum() == checksum(password="another")


@pytest.mark.parametrize("version", [13, 18])
def test_each_major_version_has_a_directory_and_an_image_of_its_own(version):
    found = objects("postgresql", postgresql_version=version)
    container = found["StatefulSet", "mlops-postgresql"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"docker.io/library/postgres:{version}"
    assert {"name": "PGDATA", "value": f"/data/{version}"} in container["env"]
    assert found["PersistentVolumeClaim", "mlops-postgresql"]["metadata"]["annotations"] == {
        "mlops.platform/postgresql-major": str(version)
    }


def test_a_storage_class_is_named_only_when_it_is_given():
    for role, name in (("postgresql", "mlops-postgresql"), ("object_store", "mlops-object-store")):
        assert "storageClassName" not in objects(role)["PersistentVolumeClaim", name]["spec"]
        assert objects(role, mlops_storage_class="fast")["PersistentVolumeClaim", name]["spec"]["storageClassName"] == "fast"


def test_openshift_chooses_the_user():
    for role in ("postgresql", "object_store"):
        for _name, spec in pods(objects(role, openshift=True).values()):
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"])


def test_without_policies_there_are_none():
    for role in ("postgresql", "object_store"):
        assert "NetworkPolicy" not in {kind for kind, _unused in objects(role, mlops_network_policies=False)}


def run_hold_superuser(tmp_path, password):
    """Run the script with stand-ins for the image's programs; return what would reach PostgreSQL."""
    for name in ("bin", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("17\n")
    (tmp_path / "password").write_text(password)
    script = tmp_path / "bin" / "docker-entrypoint.sh"
    script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/arguments\ncat >{tmp_path}/input\n")
    script.chmod(0o755)
    (tmp_path / "hold.sh").write_text(cluster().render("postgresql", "hold-superuser.sh.j2", **within("postgresql")))
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "PGDATA": f"{tmp_path}/data", "POSTGRES_PASSWORD_FILE": f"{tmp_path}/password"}
    subprocess.run(["/bin/sh", str(tmp_path / "hold.sh")], env=environment, check=True)
    assert password not in (tmp_path / "arguments").read_text()
    return (tmp_path / "input").read_text()


@pytest.mark.parametrize("password", [ODD, "'", "%s%n\\", "a  b"])
def test_the_superusers_password_reaches_postgresql_whole(tmp_path, password):
    quoted = password.replace("'", "''")
    assert run_hold_superuser(tmp_path, password) == f"ALTER ROLE postgres PASSWORD '{quoted}'\n"


def test_a_cluster_of_cloudnative_pg_is_never_among_what_is_pruned():
    roles = cluster(password="a-password", postgresql_engine="cloudnative_pg")
    assert "kind: Cluster" not in str([call["kubernetes_objects_items"] for call in calls(roles, "postgresql")])
    secret = decoded(next(one for one in manifests(roles, only=("postgresql",)) if one["kind"] == "Secret"))
    assert secret == {"username": "mlops_admin", "password": "a-password"}


def test_a_cluster_of_cloudnative_pg():
    roles = cluster(postgresql_engine="cloudnative_pg", postgresql_instances=3, postgresql_settings={"work_mem": "8MB"})
    spec = yaml.safe_load(roles.render("postgresql", "kubernetes/cluster.yml.j2", **within("postgresql")))["spec"]
    assert (spec["instances"], spec["enableSuperuserAccess"], spec["enablePDB"]) == (3, False, True)
    assert spec["imageName"] == "ghcr.io/cloudnative-pg/postgresql:17"
    assert spec["affinity"]["podAntiAffinityType"] == "preferred"
    assert spec["postgresql"]["parameters"]["work_mem"] == "8MB"
    assert all(isinstance(value, str) for value in spec["postgresql"]["parameters"].values())
    role = spec["managed"]["roles"][0]
    assert (role["createrole"], role["createdb"], role["superuser"]) == (True, True, False)


def test_a_new_major_version_is_a_copy_from_one_directory_of_the_volume_to_another():
    claims = [{"metadata": {"name": "mlops-postgresql", "annotations": {"mlops.platform/postgresql-major": "16"}}}]
    facts = {**cluster().variables["mlops_cluster"], "objects": {"claims": claims}}
    roles = cluster(mlops_cluster=facts, postgresql_version=18)
    assert roles.value("postgresql_older", **within("postgresql")) == ["16"]
    (job,) = [one for one in manifests(roles, only=("postgresql",)) if one["kind"] == "Job"]
    # the Service and the NetworkPolicies' clients must not take it for the server
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "postgresql-job"
    new, old = job["spec"]["template"]["spec"]["containers"]
    assert (old["image"], new["image"]) == ("docker.io/library/postgres:16", "docker.io/library/postgres:18")
    assert old["args"] == ["/data/16", "/copy/place", "postgres"]
    assert new["args"] == ["/data/16", "/data/18", "/copy/place", "postgres", "/run/secrets/postgresql/superuser_password"]
    assert (old["command"][-1], new["command"][-1]) == ("serve", "copy")
    # once it is copied, the claim's annotation of before does not count any more
    assert (
        cluster(mlops_cluster=facts, postgresql_version=18, postgresql_volume_copied="18").value("postgresql_older", **within("postgresql"))
        == []
    )


ENGINES = {
    "statefulset": ("mlops-postgresql.mlops.svc", "disable", "app.kubernetes.io/name"),
    "cloudnative_pg": ("mlops-postgresql-rw.mlops.svc", "require", "cnpg.io/cluster"),
    "external": ("db.example.com", "verify-full", None),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_how_components_reach_postgresql(engine):
    host, sslmode, label = ENGINES[engine]
    endpoint = cluster(
        postgresql_engine=engine,
        postgresql_external_host="db.example.com",
        postgresql_external_sslmode="verify-full",
        postgresql_external_ca="an authority",
    ).variables["postgresql_endpoint"]
    assert (endpoint["host"], endpoint["sslmode"]) == (host, sslmode)
    assert label is None or label in endpoint["pods"]
    assert set(endpoint["passwords"]) == {"mlflow", "seaweedfs"}


def test_an_external_server_is_not_deployed_and_reached_with_its_own_account():
    roles = cluster(
        postgresql_engine="external", postgresql_external_host="db", postgresql_external_user="dba", postgresql_external_password="p"
    )
    assert manifests(roles, only=("postgresql",)) == []
    assert roles.value("postgresql_login") == {
        "login_host": "db",
        "login_port": 5432,
        "login_user": "dba",
        "login_password": "p",
        "login_db": "postgres",
        "ssl_mode": "require",
    }
    assert roles.value("postgresql_has_superuser") is False


# --- object store ------------------------------------------------------------------------------------------------------------------------


def test_seaweedfs_in_one_pod():
    found = objects("object_store")
    name = "mlops-object-store"
    kinds = ("ServiceAccount", "Service", "PersistentVolumeClaim", "ConfigMap", "Secret", "StatefulSet", "NetworkPolicy")
    assert set(found) == {(kind, name) for kind in kinds}
    command = found["StatefulSet", name]["spec"]["template"]["spec"]["containers"][0]["command"]
    # every part but S3 stays within the pod
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0", "-s3.iam=false"} <= set(command)
    assert found["Service", name]["spec"]["ports"] == [{"name": "s3", "port": 8333, "targetPort": "s3", "protocol": "TCP"}]


@pytest.mark.parametrize("password", [ODD, ODD[::-1]])
def test_seaweedfs_reads_its_files(password):
    secret = decoded(objects("object_store", password=password)["Secret", "mlops-object-store"])
    filer = tomllib.loads(secret["filer.toml"])["postgres2"]
    assert (filer["hostname"], filer["sslmode"]) == ("mlops-postgresql.mlops.svc", "disable")
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    assert filer["password"] == f"'{quoted}'"
    security = tomllib.loads(secret["security.toml"])
    assert security["grpc"]["client"]["cert"] == security["grpc"]["ca"] == "/etc/seaweedfs/tls.crt"
    identities = {one["name"]: one["credentials"][0]["secretKey"] for one in json.loads(secret["s3.json"])["identities"]}
    assert identities == {"admin": password, "mlflow": password}


def test_every_change_of_a_file_rolls_seaweedfs():
    def checksum(**overrides):
        return objects("object_store", **overrides)["StatefulSet", "mlops-object-store"]["spec"]["template"]["metadata"]["annotations"]

    assert checksum() == checksum()
    assert checksum() != checksum(password="another")
    assert checksum() != checksum(object_store_abort_upload_days=3)


def test_seaweedfs_checks_an_external_database():
    overrides = {"postgresql_engine": "external", "postgresql_external_host": "db", "postgresql_external_ca": "an authority"}
    found = objects("object_store", **overrides, postgresql_external_sslmode="verify-full", postgresql_external_port=6000)
    secret = decoded(found["Secret", "mlops-object-store"])
    filer = tomllib.loads(secret["filer.toml"])["postgres2"]
    assert (filer["sslmode"], filer["sslrootcert"]) == ("verify-full", "/etc/seaweedfs/postgresql-ca.crt")
    assert secret["postgresql-ca.crt"] == "an authority"
    egress = found["NetworkPolicy", "mlops-object-store"]["spec"]["egress"][1]
    assert egress == {"ports": [{"port": 6000, "protocol": "TCP"}]}


def test_an_external_store_is_not_deployed():
    roles = cluster(object_store_engine="external", object_store_external_url="https://s3.example.com/", object_store_external_ca="x")
    assert manifests(roles, only=("object_store",)) == []
    endpoint = roles.variables["object_store_endpoint"]
    assert (endpoint["url"], endpoint["ca"], endpoint["pods"]) == ("https://s3.example.com", "x", {})
    assert roles.value("object_store_has_admin") is False
    assert cluster(object_store_engine="external", object_store_admin_access_key="k").value("object_store_has_admin") is True


def synced(tmp_path, answers):
    """Run the startup probe with a `weed shell` that answers in turn; return (exit code, what the shell was asked)."""
    (tmp_path / "etc").mkdir()
    for number, answer in enumerate(answers):
        (tmp_path / f"answer{number}").write_text(answer)
    (tmp_path / "etc" / "weed-shell.sh").write_text(
        f'cat >>{tmp_path}/asked\nn=$(grep -c "" {tmp_path}/asked)\ncat {tmp_path}/answer$((n - 1))\n'
    )
    script = cluster().render("object_store", "seaweedfs-synced.sh.j2", **within("object_store"), object_store_etc=f"{tmp_path}/etc")
    done = subprocess.run(["/bin/sh", "-c", script], check=False, capture_output=True, text=True)
    return done.returncode, (tmp_path / "asked").read_text().splitlines(), done.stderr


RULE = '{"locations": [{"locationPrefix": "/buckets/",\n "fsync":  true}]}'


def test_the_pod_is_ready_only_with_synced_blobs(tmp_path):
    for number, (answers, expected) in enumerate(
        [([RULE], (0, 1)), (["{}", RULE], (0, 2)), (["{}", "error: no filer"], (1, 2)), (['{"fsync": false}', '{"fsync": false}'], (1, 2))]
    ):
        (tmp_path / str(number)).mkdir()
        code, asked, said = synced(tmp_path / str(number), answers)
        assert (code, len(asked)) == expected
        assert (said == "") == (code == 0)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("role, name", [("postgresql", "hold-superuser.sh.j2"), ("object_store", "seaweedfs-synced.sh.j2")])
def test_scripts_are_sound(tmp_path, role, name):
    file = tmp_path / "script.sh"
    file.write_text(cluster().render(role, name, **within(role)))
    subprocess.run(["shellcheck", str(file)], check=True)


def test_the_pinned_operator_is_the_one_of_its_version():
    pinned = yaml.safe_load((ROOT / "roles/common/vars/main.yml").read_text())["mlops_downloads"]["cloudnative_pg"]
    assert pinned["path"].count(str(pinned["version"])) == 2
    assert len(pinned["sha256"]) == 64
