"""What the role rotate lets users choose, what it refuses, and what MLflow and the object store log in with meanwhile."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.module_utils import doctor_postgresql
from lib.render import ROLES, ROOT, Roles, within

FACTS = {
    "inventory_hostname": "ml1",
    "postgresql_endpoint": {
        "host": "127.0.0.1",
        "port": 15432,
        "superuser": "postgres",
        "programs": "/p/bin",
        "data": "/d/postgresql/18",
        "major": "18",
        "passwords": {"mlflow": "an-old-one", "seaweedfs": "an-old-one"},
    },
}
ALL = [
    "mlflow_admin_password",
    "mlflow_flask_secret_key",
    "ingress_passwords",
    "postgresql_superuser_password",
    "postgresql_mlflow_password",
    "postgresql_seaweedfs_password",
    "object_store_admin_keys",
    "object_store_mlflow_keys",
    "object_store_signing_keys",
    "certificates",
]


def value(expression, **overrides):
    """Return what an expression is in the role on a host, or on the substrate and with the variables of `overrides`."""
    return Roles(*ROLES, "rotate", **FACTS, **overrides).value(expression, **within("rotate"))


def decided(*names, **overrides):
    catalogue = value("rotate_catalogue", **overrides)
    return {name: catalogue[name] for name in names}


def test_all_is_everything_that_no_variable_gives():
    assert value("rotate_problems") == []
    assert sorted(value("rotate_wished")) == sorted(ALL)
    given = {
        "mlflow_admin_password": "given",
        "postgresql_account_passwords": {"mlflow": "given"},
        "object_store_mlflow_secret_key": "given",
    }
    left = {"mlflow_admin_password", "postgresql_mlflow_password", "object_store_mlflow_keys"}
    assert set(value("rotate_given", **given)) == left
    assert set(value("rotate_wished", **given)) == set(ALL) - left
    assert value("rotate_problems", **given) == []


def test_the_document_names_all_of_them():
    text = (ROOT / "docs/rotate.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `")))) == sorted(
        ALL
    )


CLUSTER = {"mlops_substrate": "kubernetes"}
# what was stored with it is read with it alone
STAYS = {"object_store_sse_key"}


def test_in_a_cluster_it_is_the_same_but_for_the_entry_point():
    assert value("rotate_problems", **CLUSTER) == []
    assert set(value("rotate_wished", **CLUSTER)) == set(ALL) - {"ingress_passwords"}
    catalogue = value("rotate_catalogue", **CLUSTER)
    assert catalogue["mlflow_flask_secret_key"] == {"renewed": ["mlops-mlflow-secrets/mlflow_flask_secret_key"]}
    assert {path.partition("/")[0] for path in catalogue["object_store_signing_keys"]["renewed"]} == {"mlops-object-store-secrets"}
    # the roles that have them make them anew
    assert catalogue["certificates"] == {"renewed": []}
    assert value("rotate_deploy", **CLUSTER) == "deploy_kubernetes"


def test_who_is_no_superuser_there_leaves_its_password_to_the_operator():
    catalogue = value("rotate_catalogue", **CLUSTER, postgresql_engine="cloudnative_pg")
    assert "postgresql_superuser_password" not in catalogue and "postgresql_mlflow_password" in catalogue


def test_every_secret_is_in_the_list():
    """What a role generates can be rotated: the names in the list are those of the files."""
    named = set()
    for part in value("rotate_catalogue").values():
        named |= {*part.get("told", []), *(path.partition("/")[2] for path in part.get("renewed", []) if path.startswith("secrets/"))}
    specs = [value(f"{role}_secret_specs") for role in ("postgresql", "object_store", "mlflow")]
    entry = yaml.safe_load((ROOT / "roles/ingress/tasks/facts.yml").read_text(encoding="utf-8"))
    specs += [task["mlops.platform.secret_files"]["secrets"] for task in entry if "mlops.platform.secret_files" in task]
    assert named == {name for spec in specs for name in spec} - STAYS


@pytest.mark.parametrize(
    "given, words",
    [
        ({"rotate_secrets": ["mlflow_password"]}, ["mlflow_password cannot be rotated", "postgresql_mlflow_password"]),
        ({"rotate_secrets": []}, ["names no secret"]),
        ({"rotate_secrets": ["mlflow_admin_password"], "mlflow_admin_password": "given"}, ["given by a variable (mlflow_admin_password)"]),
        ({**CLUSTER, "rotate_secrets": ["ingress_passwords"]}, ["ingress_passwords cannot be rotated here"]),
        ({**CLUSTER, "rotate_secrets": ["mlflow_admin_password"], "mlflow_admin_password": "given"}, ["given by a variable"]),
        ({"postgresql_engine": "external", "rotate_secrets": ["postgresql_superuser_password"]}, ["cannot be rotated here"]),
        ({"object_store_engine": "external", "rotate_secrets": ["object_store_mlflow_keys"]}, ["cannot be rotated here"]),
    ],
)
def test_what_cannot_be_is_refused(given, words):
    (problem,) = value("rotate_problems", **given)
    assert all(word in problem for word in words), problem


def test_a_given_certificate_is_its_givers():
    own = value("rotate_catalogue", ingress_tls_certificate="/etc/own.pem")["certificates"]["renewed"]
    assert own == ["tls/seaweedfs.crt", "tls/seaweedfs.key"]


NEW = {
    "postgresql_mlflow_password": "a new/one",
    "postgresql_seaweedfs_password": "a-new-one",
    "object_store_mlflow_access_key": "NEWKEY",
    "object_store_mlflow_secret_key": "new-key",
}


def test_both_log_in_with_what_stays_valid():
    names = ("postgresql_mlflow_password", "postgresql_seaweedfs_password", "object_store_mlflow_keys")
    facts = {"rotate_decided": decided(*names), "rotate_new": NEW}
    assert value("rotate_accounts", **facts) == ["mlflow", "seaweedfs"]
    login = value("rotate_mlflow_login", **facts)
    assert value("mlflow_database_login", mlflow_database_account=login) == (
        "postgresql+psycopg2://mlflow_rotating:a%20new%2Fone@127.0.0.1:15432"
    )
    store = value("rotate_store_login", **facts)
    assert store == {"username": "seaweedfs_rotating", "password": "a-new-one"}
    assert value("rotate_store_second", **facts) == [{"accessKey": "NEWKEY", "secretKey": "new-key"}]


def test_the_doctor_knows_the_second_logins():
    assert value("rotate_second_suffix") == doctor_postgresql.SECOND


def test_what_is_not_rotated_stays_as_it_is():
    facts = {"rotate_decided": decided("mlflow_admin_password", "object_store_admin_keys"), "rotate_new": {}}
    assert value("rotate_accounts", **facts) == []
    assert value("rotate_store_keys", **facts) is False
    assert value("rotate_mlflow_login", **facts) == {"username": "mlflow", "password": "an-old-one"}
    assert value("rotate_store_second", **facts) == []
    assert value("rotate_told", **facts) == ["mlflow_admin_password", "object_store_admin_access_key", "object_store_admin_secret_key"]


def test_the_object_store_accepts_both_pairs_of_mlflows_keys_and_takes_its_login():
    roles = Roles(
        *ROLES,
        **FACTS,
        object_store_admin={"access_key": "A", "secret_key": "a"},
        object_store_endpoint={"access_key": "OLD", "secret_key": "old"},
        object_store_second_keys=[{"accessKey": "NEW", "secretKey": "new"}],
        object_store_database_login={"username": "seaweedfs_rotating", "password": "it's"},
    )
    identities = {one["name"]: one for one in json.loads(roles.render("object_store", "s3.json.j2"))["identities"]}
    assert [pair["accessKey"] for pair in identities["mlflow"]["credentials"]] == ["OLD", "NEW"]
    assert [pair["accessKey"] for pair in identities["admin"]["credentials"]] == ["A"]
    filer = roles.render("object_store", "filer.toml.j2")
    assert 'username = "seaweedfs_rotating"' in filer
    assert "password = \"'it\\\\'s'\"" in filer
