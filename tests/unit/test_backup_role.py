"""What the role backup places on a host, and what it refuses before anything is touched."""

from __future__ import annotations

import fnmatch
import json
import re

import pytest
import yaml
from lib.render import ROLES, ROOT, Roles, within

KEY = "0f" * 32
FACTS = {
    "inventory_hostname": "ml1",
    "postgresql_endpoint": {
        "host": "127.0.0.1",
        "port": 15432,
        "superuser": "postgres",
        "programs": "/p/bin",
        "data": "/d/postgresql/18",
        "major": "18",
        "passwords": {"mlflow": "a-secret", "seaweedfs": "a-secret"},
    },
    "object_store_endpoint": {"url": "http://127.0.0.1:18333", "region": "us-east-1", "bucket": "mlflow-artifacts", "data": "/d/seaweedfs"},
}


def role(**overrides):
    return Roles(*ROLES, "backup", **FACTS, **overrides)


def value(expression, **overrides):
    return role(**overrides).value(expression, **within("backup"))


def problems(**overrides):
    return value("backup_problems", **overrides)


def test_the_defaults_are_right():
    assert problems() == []
    assert problems(backup_key=KEY, mlops_backup=True, backup_drill_weekday="sunday") == []


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"mlops_substrate": "kubernetes", "postgresql_engine": "external"}, "takes an account that may make databases"),
        ({"mlops_substrate": "kubernetes", "object_store_engine": "external"}, "its administrator's keys"),
        ({"mlops_substrate": "kubernetes", "mlops_backup_directory": "/mnt"}, "in a cluster give mlops_backup_bucket or backup_claim"),
        ({"mlops_substrate": "kubernetes", "backup_restore_secrets": True}, "may not write Secrets"),
        ({"object_store_engine": "external"}, "object_store_admin_access_key, object_store_admin_secret_key: a backup lists"),
        ({"mlops_backup_directory": "relative"}, "must be an absolute path"),
        ({"mlops_backup_directory": "/var/lib/mlops/backups"}, "is in the data directory"),
        ({"mlops_backup_directory": "/var/lib/other/../mlops"}, "is in the data directory"),
        ({"mlops_backup_wal_seconds": 0}, "at least 1"),
        ({"backup_time": "24:00"}, "no time of day"),
        ({"backup_retention_days": 0}, "at least 1"),
        ({"backup_workers": 65}, "between 1 and 64"),
        ({"backup_key": "short"}, "64 hexadecimal digits"),
        ({"backup_drill_weekday": "someday"}, "no day of the week"),
        ({"mlops_backup_bucket": "b"}, "backup_bucket_url"),
        ({"mlops_backup_bucket": "b", "backup_bucket_url": "https://s3.example.org"}, "both are needed"),
    ],
)
def test_what_cannot_work_is_refused(overrides, words):
    found = problems(**overrides)
    assert [problem for problem in found if words in problem], found
    assert "short" not in str(found)


def test_a_directory_whose_name_begins_like_the_data_directorys_is_another():
    assert problems(mlops_backup_directory="/var/lib/mlops-backup") == []


def test_all_problems_are_told_at_once():
    assert len(problems(backup_time="x", backup_workers=0, backup_key="y")) == 3


def test_the_settings_hold_no_secret():
    overrides = {"backup_key": KEY, "mlops_backup_bucket": "b", "backup_bucket_url": "https://s3.example.org"}
    keys = {"backup_bucket_access_key": "an-access-key", "backup_bucket_secret_key": "another-secret"}
    files = {file["path"]: file["content"] for file in value("backup_secret_files", **overrides, **keys)}
    settings = json.loads(files["/var/lib/mlops/etc/backup.json"])
    assert not [word for word in (KEY, "another-secret", "a-secret") if word in files["/var/lib/mlops/etc/backup.json"]]
    assert settings["destination"]["kind"] == "s3" and settings["key_file"] == "/var/lib/mlops/secrets/backup_key"
    assert settings["variables"] == {"mlops_backup_bucket": "b", "backup_bucket_url": "https://s3.example.org"}
    assert "mlflow[auth]==" in settings["versions"]["mlflow"]
    # one line each, with a real end
    assert files["/var/lib/mlops/secrets/backup_key"] == f"{KEY}\n"
    assert files["/var/lib/mlops/secrets/backup_bucket_secret_key"] == "another-secret\n"


def test_the_distributions_server_is_dumped_and_its_log_not_archived():
    overrides = {"postgresql_engine": "package", "mlops_backup": True}
    assert problems(**overrides) == []
    settings = json.loads(value("backup_secret_files", **overrides)[0]["content"])
    assert (settings["engine"], settings["archive"]) == ("dump", False)
    assert "archive" not in role(**overrides).render("postgresql", "postgresql.conf.j2")


def test_what_is_not_given_is_not_there():
    files = [file["path"] for file in value("backup_secret_files")]
    assert files == ["/var/lib/mlops/etc/backup.json"]
    absent = value("backup_secrets | rejectattr('content', 'match', '.') | map(attribute='path') | list")
    assert len(absent) == 5


# Roles of machines, of a cluster, of single deeds, and those that other roles call: their variables make no other platform.
# Who adds a role says here, or in backup_variable_roles, which it is.
NOT_THE_PLATFORM = {"airgap", "host", "k3d", "k3s", "kubernetes_objects", "local_certificate", "local_runtime", "local_service", "metallb"}
NOT_THE_PLATFORM |= {"object_store_migration", "rotate"}
# Names of Secrets, which stand where secrets do, and certificates' keys; whatever else is secret is marked with no_log.
NAMED_LIKE_SECRETS = {"mlops_image_pull_secrets", "mlflow_tls_secret", "ingress_tls_key", "backup_bucket_access_key"}
NAMED_LIKE_SECRETS |= {"object_store_admin_access_key", "object_store_mlflow_access_key"}


def specified(role):
    """Return {variable: its specification} of a role."""
    file = ROOT / "roles" / role / "meta/argument_specs.yml"
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"].values() if file.is_file() else []
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


def test_each_variable_of_a_role_is_in_a_backup_or_knowingly_left_out():
    roles, left = value("backup_variable_roles"), value("backup_variable_left")
    with_variables = {path.name for path in (ROOT / "roles").iterdir() if specified(path.name)}
    assert with_variables == {*roles, *NOT_THE_PLATFORM} and not set(roles) & NOT_THE_PLATFORM
    options = {name: option for role in roles for name, option in specified(role).items()}
    # each another one, as some have the value of others as their default
    other = {"list": ["other"], "dict": {"other": 1}}
    changed = {name: other.get(option.get("type"), f"other {name}") for name, option in options.items()}
    changed |= {name: not option["default"] for name, option in options.items() if option.get("type") == "bool"}
    changed |= {name: 5000 + number for number, name in enumerate(options) if options[name].get("type") == "int"}
    secret = {name for name, option in options.items() if option.get("no_log")} | NAMED_LIKE_SECRETS
    gone = {name for name in options if any(fnmatch.fnmatchcase(name, one) for one in left)}
    # what is left out is there
    assert all(fnmatch.filter(options, one) for one in left) and set(options) >= NAMED_LIKE_SECRETS
    assert value("backup_variables", **changed) == {name: changed[name] for name in options if name not in secret | gone}


def imported():
    """Return the modules of this collection that the program imports, directly or through one another."""
    found, left = set(), set()
    for path in (ROOT / "roles/backup/files").rglob("*.py"):
        left |= set(re.findall(r"plugins\.module_utils\.(\w+)", path.read_text(encoding="utf-8")))
    while left:
        name = left.pop()
        found.add(name)
        text = (ROOT / "plugins/module_utils" / f"{name}.py").read_text(encoding="utf-8")
        assert not re.search(r"^(from|import) ansible\b", text, re.MULTILINE), f"{name} needs Ansible, which a host does not have"
        left |= set(re.findall(r"plugins\.module_utils\.(\w+)", text)) - found
    return found


def test_everything_that_the_program_imports_is_placed_and_needs_no_ansible():
    assert set(value("backup_shared")) == imported()
    files = value("lookup('mlops.platform.template', 'program.json.j2') | from_json")
    names = {file["path"].removeprefix("/var/lib/mlops/bin/") for file in files}
    package = {f"mlops_backup/{path.name}" for path in (ROOT / "roles/backup/files/mlops_backup").glob("*.py")}
    assert names == {"backup.py"} | package | {f"ansible_collections/mlops/platform/plugins/module_utils/{name}.py" for name in imported()}
    assert all(file["content"].startswith(('"""', "# Copyright")) for file in files)


def test_the_log_is_archived_only_where_that_is_asked_for():
    assert "archive" not in role().render("postgresql", "postgresql.conf.j2")
    conf = role(mlops_backup=True, mlops_backup_wal_seconds=30).render("postgresql", "postgresql.conf.j2")
    assert "archive_mode = on" in conf and "archive_timeout = 30" in conf
    assert re.search(r"^archive_command = '\S+/bin/python -E -s -B /var/lib/mlops/bin/backup\.py archive %p %f'$", conf, re.MULTILINE)
