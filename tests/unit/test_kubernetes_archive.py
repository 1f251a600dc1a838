"""CloudNativePG's archive by Barman Cloud: with its plugin and an older operator, what is refused, and a Cluster that is made of it."""

from __future__ import annotations

import pytest
from lib.render_preflight import rules
from test_kubernetes_manifests import ARCHIVE, OPTIONS, RECOVERED, SECRET, rendered

PLUGIN = "barman-cloud.cloudnative-pg.io"


def kinds(option):
    return {(one["kind"], one["metadata"]["name"]): one for one in rendered(option)}


def test_the_plugin_archives_the_log_and_takes_a_base_backup_each_day():
    found = kinds("operator with an archive")
    store = found["ObjectStore", "mlops-postgresql-archive"]["spec"]
    assert store["retentionPolicy"] == "30d"
    assert store["configuration"]["destinationPath"] == "s3://backups/cloudnative_pg/mlops"
    assert store["configuration"]["endpointURL"] == "https://s3.example.org:9000"
    (plugin,) = found["Cluster", "mlops-postgresql"]["spec"]["plugins"]
    assert plugin == {
        "name": PLUGIN,
        "isWALArchiver": True,
        "parameters": {"barmanObjectName": "mlops-postgresql-archive", "serverName": "mlops-postgresql"},
    }
    assert found["Cluster", "mlops-postgresql"]["spec"]["postgresql"]["parameters"]["archive_timeout"] == "60s"
    backup = found["ScheduledBackup", "mlops-postgresql-archive"]["spec"]
    assert (backup["schedule"], backup["immediate"], backup["method"]) == ("0 0 0 * * *", True, "plugin")
    assert backup["pluginConfiguration"] == {"name": PLUGIN} and backup["cluster"] == {"name": "mlops-postgresql"}


def test_the_keys_are_in_a_secret_alone():
    found = kinds("operator with an archive")
    secret = found.pop(("Secret", "mlops-postgresql-archive"))
    assert set(secret["data"]) == {"access_key", "secret_key", "region"}
    # the bucket's own Secret of the program is another one
    assert not [one for (kind, _name), one in found.items() if kind != "Secret" and SECRET in str(one)]
    assert "ca.crt" in kinds("operator, made of an archive")["Secret", "mlops-postgresql-archive"]["data"]


def test_an_older_operator_is_told_the_same_in_the_cluster():
    found = kinds("older operator with an archive")
    assert not [kind for kind, _name in found if kind == "ObjectStore"]
    backup = found["Cluster", "mlops-postgresql"]["spec"]["backup"]
    assert backup["retentionPolicy"] == "30d" and backup["barmanObjectStore"]["wal"]["encryption"] == "AES256"
    same = kinds("operator with an archive")["ObjectStore", "mlops-postgresql-archive"]["spec"]["configuration"]
    assert {key: backup["barmanObjectStore"][key] for key in ("destinationPath", "endpointURL", "s3Credentials")} == {
        key: same[key] for key in ("destinationPath", "endpointURL", "s3Credentials")
    }
    assert found["ScheduledBackup", "mlops-postgresql-archive"]["spec"]["method"] == "barmanObjectStore"
    assert "plugins" not in found["Cluster", "mlops-postgresql"]["spec"]


def test_a_new_cluster_is_made_of_the_old_ones_archive_and_archives_under_its_own_name():
    found = kinds("operator, made of an archive")
    spec = found["Cluster", "mlops-postgresql-2"]["spec"]
    assert set(spec["bootstrap"]) == {"recovery"}
    recovery = spec["bootstrap"]["recovery"]
    assert recovery["source"] == "mlops-postgresql" and recovery["recoveryTarget"] == {"targetTime": "2026-11-28T12:00:00Z"}
    # the password of now, whatever the archive has
    assert recovery["secret"] == {"name": "mlops-postgresql-2-admin"} and ("Secret", "mlops-postgresql-2-admin") in found
    (origin,) = spec["externalClusters"]
    assert origin["plugin"]["parameters"] == {"barmanObjectName": "mlops-postgresql-archive-origin", "serverName": "mlops-postgresql"}
    origin = found["ObjectStore", "mlops-postgresql-archive-origin"]["spec"]
    assert origin["configuration"]["destinationPath"] == "s3://backups/elsewhere/cloudnative_pg/mlops"
    assert "retentionPolicy" not in origin, "what it keeps is not ours to remove"
    assert spec["plugins"][0]["parameters"]["serverName"] == "mlops-postgresql-2"


def test_everyone_is_led_to_the_new_cluster():
    objects = rendered("operator, made of an archive")
    texts = [str(one) for one in objects if one["kind"] in ("ConfigMap", "Secret", "Deployment", "NetworkPolicy")]
    assert any("mlops-postgresql-2-rw.mlops.svc" in text for text in texts)
    assert not [text for text in texts if "mlops-postgresql-rw.mlops.svc" in text]
    older = kinds("older operator, made of an archive")["Cluster", "mlops-postgresql-2"]["spec"]["externalClusters"][0]
    assert older["barmanObjectStore"]["serverName"] == "mlops-postgresql" and "plugin" not in older


def problems(apis=None, **overrides):
    cluster = {"cluster": {"apis": {"Cluster": "postgresql.cnpg.io/v1", "ObjectStore": "barmancloud.cnpg.io/v1"} if apis is None else apis}}
    found = rules("kubernetes", preflight_cluster=cluster, **overrides).value("preflight_rules_archive")
    return [f"{one['what']}: {one['remedy']}" for one in found if not one["good"]]


@pytest.mark.parametrize("option", [option for option, given in OPTIONS.items() if given.get("postgresql_archive")])
def test_what_is_right_is_let_through(option):
    assert problems(**{key: value for key, value in OPTIONS[option].items() if key != "password"}) == []
    assert problems() == []


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"postgresql_engine": "statefulset"}, "set mlops_backup for others"),
        ({"postgresql_cluster_name": "Mlops"}, "postgresql_cluster_name is Mlops"),
        ({"mlops_backup_bucket": ""}, "give mlops_backup_bucket"),
        ({"backup_bucket_url": "s3.example.org"}, "as https://host:port"),
        ({"backup_bucket_secret_key": ""}, "has no keys"),
        ({"apis": {"Cluster": "postgresql.cnpg.io/v1"}}, "does not have the Barman Cloud plugin: have a cluster administrator install it"),
        ({"postgresql_recover_from": "mlops-postgresql"}, "give the new Cluster another name"),
        ({"postgresql_recover_time": "2026-11-28T12:00:00Z"}, "without postgresql_recover_from"),
        ({**RECOVERED, "postgresql_recover_time": "yesterday"}, "postgresql_recover_time is yesterday"),
        ({**RECOVERED, "postgresql_recover_time": "2026-11-28T12:00:00"}, "write it with its zone"),
        ({"postgresql_archive_days": 0}, "at least one day"),
    ],
)
def test_what_cannot_work_is_refused(overrides, words):
    found = problems(**{**ARCHIVE, **overrides})
    assert len(found) == 1 and words in found[0], found
    assert SECRET not in str(found)


def test_the_rights_that_it_takes_are_asked_for():
    def asked(**overrides):
        found = rules("kubernetes", preflight_cluster={"cluster": {}}, **overrides).value("preflight_permissions")
        return {one["resource"] for one in found}

    assert {"scheduledbackups", "objectstores"} <= asked(**ARCHIVE)
    assert asked(**ARCHIVE, postgresql_archive_method="in_tree") & {"scheduledbackups", "objectstores"} == {"scheduledbackups"}
    assert not asked(postgresql_engine="cloudnative_pg") & {"scheduledbackups", "objectstores"}
