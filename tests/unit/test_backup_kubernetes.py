"""What the role backup applies to a cluster, and what it makes of what is found there."""

from __future__ import annotations

import json

import pytest
from lib.render import within
from lib.render_kubernetes import cluster, manifests

KEY = "0f" * 32
BUCKET = {
    "mlops_backup_bucket": "backups",
    "backup_bucket_url": "https://s3.example.org",
    "backup_bucket_access_key": "an-access-key",
    "backup_bucket_secret_key": "another secret",
}
OUTSIDE = {
    "postgresql_engine": "external",
    "postgresql_external_host": "db.example.org",
    "postgresql_external_user": "admin",
    "postgresql_external_password": "a given one",
}
LATER = "DuringSchedulingIgnoredDuringExecution"
SECRETS = {"mlops-postgresql-secrets", "mlops-object-store-secrets", "mlops-mlflow-secrets"}


def objects(**overrides):
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests(cluster(**overrides), only=("backup",))}


def value(expression, **overrides):
    return cluster(**overrides).value(expression, **within("backup"))


def job(**overrides):
    return objects(**overrides)["Job", "mlops-backup-run"]["spec"]["template"]["spec"]


def settings(**overrides):
    return json.loads(objects(**overrides)["ConfigMap", "mlops-backup"]["data"]["backup.json"])


def mounted(spec):
    """Return {Secret: keys, or None for all of them} of what the program has."""
    (volume,) = [one for one in spec["volumes"] if one["name"] == "secrets"]
    secrets = [source["secret"] for source in volume["projected"]["sources"]]
    return {one["name"]: [item["key"] for item in one["items"]] if "items" in one else None for one in secrets}


def test_the_settings_are_those_of_a_pod_and_hold_no_secret():
    found = settings(backup_key=KEY, password="a given one", **BUCKET)
    assert (found["pod"], found["engine"], found["archive"]) == (True, "dump", False)
    assert found["installation"] == str(int("0f" * 8, 16))
    assert found["destination"] == {
        "kind": "s3",
        "endpoint_url": "https://s3.example.org",
        "bucket": "backups",
        "region": "us-east-1",
        "prefix": "",
        "ca": "",
    }
    assert found["key_file"] == "/mlops/secrets/backup_key" and found["postgresql"]["host"] == "mlops-postgresql.mlops.svc"
    assert not [word for word in (KEY, "another secret", "a given one") if word in json.dumps(found)]


def test_a_claim_is_made_unless_a_bucket_or_another_claim_is_given():
    assert ("PersistentVolumeClaim", "mlops-backup") in objects()
    assert settings()["destination"] == {"kind": "directory", "path": "/backups"}
    for given, claims in (({"backup_claim": "a-claim"}, ["a-claim"]), (BUCKET, [])):
        assert ("PersistentVolumeClaim", "mlops-backup") not in objects(**given)
        volumes = job(**given)["volumes"]
        assert [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one] == claims


def test_the_pod_has_no_secret_that_it_does_not_need():
    assert mounted(job()) == {
        "mlops-postgresql-secrets": ["postgresql_superuser_password"],
        "mlops-object-store-secrets": ["object_store_admin_access_key", "object_store_admin_secret_key"],
    }
    assert mounted(job(backup_key=KEY)) == dict.fromkeys({*SECRETS, "mlops-backup"})
    assert mounted(job(backup_secrets_in_clear=True)) == dict.fromkeys(SECRETS)
    # the tools know the password alone
    tools = next(one for one in job(backup_key=KEY)["containers"] if one["name"] == "database-tools")
    assert "secrets" not in [mount["name"] for mount in tools["volumeMounts"]]


def test_the_container_whose_answer_is_read_is_the_last_by_its_name():
    assert sorted(one["name"] for one in job()["containers"])[-1] == "program"


def test_every_file_of_the_program_is_in_the_pod_where_python_looks_for_it():
    (volume,) = [one for one in job()["volumes"] if one["name"] == "program"]
    found = objects()
    for source in volume["projected"]["sources"]:
        data = found["ConfigMap", source["configMap"]["name"]]["data"]
        assert {item["key"] for item in source["configMap"]["items"]} == set(data)
        for item in source["configMap"]["items"]:
            assert item["path"].split("/")[-1] == item["key"].removeprefix("mlops_backup.")
        # Kubernetes notes it once more, as an annotation of at most 256 KiB
        assert len(json.dumps(data)) < 200_000


@pytest.mark.parametrize("version, api", [("1.20", "batch/v1beta1"), ("1.32", "batch/v1")])
def test_the_schedule_is_there_where_it_is_wanted(version, api):
    assert ("CronJob", "mlops-backup") not in objects(version=version)
    found = objects(version=version, mlops_backup=True, backup_time="23:05")["CronJob", "mlops-backup"]
    assert (found["apiVersion"], found["spec"]["schedule"], found["spec"]["suspend"]) == (api, "5 23 * * *", False)


@pytest.mark.parametrize(
    "given, engine, follows",
    [
        ({}, "dump", False),
        ({"mlops_backup": True}, "base", True),
        ({"mlops_backup": True, "backup_engine": "dump"}, "dump", False),
        ({"mlops_backup": True, "postgresql_engine": "cloudnative_pg"}, "dump", False),
        ({"mlops_backup": True, **OUTSIDE}, "dump", False),
    ],
)
def test_the_log_of_a_server_that_is_ours_is_followed(given, engine, follows):
    found = settings(**given)
    assert (found["engine"], found["archive"]) == (engine, follows)
    assert bool(found["postgresql"]["data"]) is (given.get("postgresql_engine", "statefulset") == "statefulset")
    assert (("Deployment", "mlops-backup-log") in objects(**given)) is follows


def test_who_follows_the_log_is_started_anew_by_what_it_reads_alone():
    def annotations(**given):
        found = objects(**{"mlops_backup": True, "backup_key": KEY, **BUCKET, **given})
        return found["Deployment", "mlops-backup-log"]["spec"]["template"]["metadata"]["annotations"]

    before = annotations()
    # the server's password is read each time that it logs in
    for given in ({"backup_retention_days": 7}, {"mlflow_replicas": 3}, {"object_store_bucket": "another"}, {"password": "another"}):
        assert annotations(**given) == before, given
    for given in (
        {"mlops_backup_wal_seconds": 5},
        {"backup_key": "1" * 64},
        {"backup_bucket_secret_key": "a new one"},
        {"backup_bucket_prefix": "mlops"},
        {"backup_bucket_ca": "a certificate"},
    ):
        assert annotations(**given) != before, given


def test_all_pods_that_mount_one_claim_are_on_one_node():
    def terms(spec):
        return [one["labelSelector"]["matchLabels"] for one in spec.get("affinity", {}).get("podAffinity", {}).get("required" + LATER, [])]

    found = objects(mlops_backup=True)
    log, once = found["Deployment", "mlops-backup-log"]["spec"]["template"], found["Job", "mlops-backup-run"]["spec"]["template"]
    (wanted,) = terms(log["spec"])
    assert terms(once["spec"]) == [wanted]
    # the first of them is let in by its own labels
    for template in (log, once):
        assert wanted.items() <= template["metadata"]["labels"].items()
    assert terms(job(mlops_backup=True, **BUCKET)) == terms(job()) == []


def test_the_volume_of_the_server_is_mounted_by_a_restore_of_its_files_alone():
    def data(spec):
        return [[mount["mountPath"] for mount in one["volumeMounts"] if mount["name"] == "data"] for one in spec["containers"]]

    assert data(job()) == [[], []]
    assert data(job(backup_do="restore-databases")) == [["/data"], ["/data"]]


def test_a_schedule_that_an_earlier_run_left_is_seen():
    there = {"data": {"objects": "batch/v1 CronJob mlops-backup\n"}}
    for found, left in (([], False), ([{"data": {"objects": ""}}], False), ([there], True)):
        facts = {**cluster().variables["mlops_cluster"], "objects": {"backup_schedule": found}}
        assert value("backup_schedule_left", mlops_cluster=facts) is left


def test_status_says_how_old_and_large_the_last_backup_is_and_what_failed_since():
    noted = [{"data": {"answer": json.dumps({"name": "A", "ended": 1, "size_bytes": 1, "where": "there"})}}]

    def pod(answer, name="program"):
        ended = {"terminated": {"message": answer if isinstance(answer, str) else json.dumps(answer)}}
        return {"status": {"containerStatuses": [{"name": name, "state": ended}]}}

    drill = {"backup": "B", "rpo_seconds": 5, "rto_seconds": 7}
    scheduled = pod({"name": "B", "ended": 2, "size_bytes": 3 << 20, "where": "there", "drill": drill})
    odd = [pod("not JSON"), pod({"name": "C", "ended": 9, "size_bytes": 9}, "database-tools"), {"status": {}}]

    def said(*pods):
        traces = {"results": [{"resources": noted}, {"resources": [*pods, *odd]}]}
        return value("lookup('mlops.platform.template', 'kubernetes/status.txt.j2').splitlines()", backup_traces=traces)

    assert [line.split(":")[0] for line in said()] == ["backup A"]
    lines = said(scheduled, pod({"problem": "the disk is full", "ended": 3}))
    assert lines[0].startswith("backup B: ") and "3.00 MB, at there" in lines[0]
    assert "failed" in lines[1] and "the disk is full" in lines[1]
    assert lines[2].startswith("drill of B") and "5 s (RPO)" in lines[2] and "7 s (RTO)" in lines[2]
    noted.clear()
    assert said()[0].startswith("no backup is known here")


def test_an_object_store_that_is_older_than_the_database_is_restarted():
    pods = [{"metadata": {"name": name, "creationTimestamp": f"2026-11-29T1{hour}:00:00Z"}} for name, hour in (("old", 1), ("new", 3))]
    claim = {"metadata": {"creationTimestamp": "2026-11-29T12:00:00Z"}}
    for claims, older in (([claim], ["old"]), ([], [])):
        found = value("backup_store_older", backup_store_pods={"resources": pods}, backup_database_found={"resources": claims})
        assert [one["metadata"]["name"] for one in found] == older


def test_a_restore_that_failed_knows_whether_anything_was_replaced():
    deployment = {"resources": [{"metadata": {"creationTimestamp": "2026-11-29T12:00:00Z"}}]}
    old, new = ({"resources": [{"metadata": {"creationTimestamp": f"2026-11-29T1{hour}:00:00Z"}}]} for hour in (1, 3))
    said = {"problem": "is truncated"}
    cases = (
        (said, old, True),
        (said, new, False),
        ({"problem": "the databases are restored, and not all objects: x"}, old, False),
        # no answer: nobody knows
        ({}, old, False),
    )
    for answer, claim, untouched in cases:
        given = {"backup_answer": answer, "backup_database_found": claim, "mlflow_deployment": deployment}
        assert value("backup_untouched", **given) is untouched, (answer, claim)


EXTERNAL = {
    "postgresql_engine": "external",
    "postgresql_external_host": "db.example.com",
    "postgresql_external_user": "dba",
    "postgresql_external_password": "the owner's",
    "postgresql_external_database": "theirs",
    "postgresql_external_sslmode": "verify-full",
    "postgresql_external_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
}


def volume(spec, name):
    return next(one for one in spec["volumes"] if one["name"] == name)


def test_a_server_outside_is_asked_as_the_given_account_over_tls():
    found = settings(**EXTERNAL)["postgresql"]
    assert (found["administrator"], found["database"], found["password"]) == ("dba", "theirs", "backup_postgresql_password")
    assert (found["host"], found["sslmode"], found["sslrootcert"]) == ("db.example.com", "verify-full", "/mlops/etc/postgresql.crt")
    given = objects(**EXTERNAL)
    assert given["ConfigMap", "mlops-backup"]["data"]["postgresql.crt"] == EXTERNAL["postgresql_external_ca"]
    # both containers have it from the same Secret, which holds nothing else here
    assert set(given["Secret", "mlops-backup"]["data"]) == {"backup_postgresql_password"}
    assert set(mounted(job(**EXTERNAL))) == {"mlops-object-store-secrets", "mlops-backup"}
    secret = volume(job(**EXTERNAL), "password")["secret"]
    assert (secret["secretName"], secret["items"]) == ("mlops-backup", [{"key": "backup_postgresql_password", "path": "password"}])


def test_the_operators_server_is_asked_as_the_administrator_that_it_was_given():
    operator = {"postgresql_engine": "cloudnative_pg"}
    found = settings(**operator)["postgresql"]
    assert (found["administrator"], found["password"]) == ("mlops_admin", "postgresql_admin_password")
    assert (found["host"], found["sslmode"], found["sslrootcert"]) == ("mlops-postgresql-rw.mlops.svc", "require", "")
    spec = job(**operator)
    assert volume(spec, "password")["secret"]["secretName"] == "mlops-postgresql-secrets"
    assert mounted(spec)["mlops-postgresql-secrets"] == ["postgresql_admin_password"]
    # what that image calls postgres
    assert spec["securityContext"]["runAsUser"] == 26
    policy = objects(**operator)["NetworkPolicy", "mlops-backup"]["spec"]["egress"]
    assert {"podSelector": {"matchLabels": {"cnpg.io/cluster": "mlops-postgresql"}}} in [to for rule in policy for to in rule.get("to", [])]


@pytest.mark.parametrize("engine, kind", [("statefulset", "PersistentVolumeClaim"), ("cloudnative_pg", "Cluster"), ("external", None)])
def test_how_old_the_database_is_is_read_from_what_goes_with_it(engine, kind):
    pods = [{"metadata": {"name": "one", "creationTimestamp": "2026-11-29T11:00:00Z"}}]
    given = {"postgresql_engine": engine, "backup_store_pods": {"resources": pods}, "backup_database_found": {"resources": []}}
    # nobody knows how old a server outside is
    assert value("backup_store_older", **given) == (pods if engine == "external" else [])
    assert value("(backup_database_kind[postgresql_engine] | default({})).kind | default(none)", **given) == kind
