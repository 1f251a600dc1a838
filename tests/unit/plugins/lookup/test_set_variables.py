"""The lookup that tells what was set of the roles' variables: what differs from the defaults, and never a secret."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template
from lib.render import ROOT

KEY = VaultSecret(b"a password of a vault")


@pytest.fixture(autouse=True)
def vault():
    """Let Ansible decrypt what KEY has encrypted."""
    before = VaultSecretsContext._current
    VaultSecretsContext._current = VaultSecretsContext(secrets=[("default", KEY)])
    yield
    VaultSecretsContext._current = before


def found(*roles, leave=(), defaults=True, **variables):
    """Return what the lookup tells of `variables`; `defaults`: whether the play has the roles' defaults too."""
    loader = DataLoader()
    known = {}
    for role in roles if defaults else ():
        known |= loader.load_from_file(str(ROOT / f"roles/{role}/defaults/main.yml"), trusted_as_template=True)
    known |= variables
    templar = Templar(loader=loader, variables=known)
    plugin = lookup_loader.get("mlops.platform.set_variables", loader=loader, templar=templar)
    return plugin.run(list(roles), known, leave=list(leave))[0]


@pytest.mark.parametrize("defaults", [True, False])
def test_nothing_is_told_of_what_nobody_has_set(defaults):
    assert found("mlflow", "backup", "garbage", defaults=defaults, mlops_substrate="local", mlops_wait_timeout=300) == {}


@pytest.mark.parametrize("defaults", [True, False])
def test_what_is_set_is_told_and_what_is_set_to_the_default_is_not(defaults):
    given = {"mlflow_version": "3.16.0", "mlflow_processes": "2", "mlflow_port": 15001, "mlflow_build": "false"}
    assert found("mlflow", defaults=defaults, **given) == {"mlflow_version": "3.16.0"}
    assert found("mlflow", defaults=defaults, mlflow_wait_timeout=trust_as_template("{{ mlops_wait_timeout }}"), mlops_wait_timeout=7) == {}
    assert found("mlflow", defaults=defaults, mlflow_wait_timeout=8, mlops_wait_timeout=7) == {"mlflow_wait_timeout": 8}


def test_expressions_are_filled_in_and_other_variables_are_not_told():
    given = {"mlflow_extra_allowed_hosts": [trust_as_template("{{ name }}.example.org")], "name": "ml1", "postgresql_port": 5}
    assert found("mlflow", **given) == {"mlflow_extra_allowed_hosts": ["ml1.example.org"]}


def test_what_cannot_be_filled_in_stops_nothing():
    assert found("mlflow", mlflow_version=trust_as_template("{{ nowhere }}"), mlflow_port=5) == {"mlflow_port": 5}


def test_what_is_to_be_left_out_is_left_out():
    given = {"backup_restore_name": "a", "backup_restore_time": "b", "backup_time": "01:00", "backup_workers": 2}
    assert found("backup", leave=["backup_restore_*", "backup_workers"], **given) == {"backup_time": "01:00"}


SECRET = "sesame-in-clear"
ENVIRONMENT = {"OPENAI_API_KEY": SECRET, "PGPASSWORD": SECRET, "HF_TOKEN": SECRET, "my_credentials": SECRET}


@pytest.mark.parametrize(
    "given",
    [
        {"mlflow_admin_password": SECRET},
        {"mlflow_environment": ENVIRONMENT},
        {"mlflow_environment": {"URL": f"https://user:{SECRET}@host/path"}},
        {"mlflow_environment": {"URL": trust_as_template("https://{{ vault_user }}"), "OTHER": trust_as_template("{{ harmless }}")}},
        {"mlflow_extra_allowed_hosts": [f"-----BEGIN PRIVATE KEY-----{SECRET}"]},
    ],
)
def test_a_secret_is_never_told(given):
    others = {"vault_user": SECRET, "harmless": f"postgres://user:{SECRET}@host"}
    assert found("mlflow", **given, **others) == {}


def test_what_is_beside_a_secret_is_told():
    assert found("mlflow", mlflow_environment={**ENVIRONMENT, "TZ": "UTC"}) == {"mlflow_environment": {"TZ": "UTC"}}
    # what Kubernetes calls a key is none
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    assert found("common", mlops_tolerations=tolerations) == {"mlops_tolerations": tolerations}
    # true is nobody's secret
    assert found("backup", backup_secrets_in_clear=True, backup_key="0f" * 32) == {"backup_secrets_in_clear": True}


def test_what_is_in_a_vault_is_a_secret_whatever_its_name():
    from ansible.parsing.vault import EncryptedString

    hidden = EncryptedString(ciphertext=VaultLib().encrypt(SECRET, secret=KEY).decode())
    named = {"mlflow_public_port": trust_as_template("{{ another }}"), "another": hidden, "mlflow_version": "3.16.0"}
    assert found("mlflow", mlflow_ingress_class=hidden, **named) == {"mlflow_version": "3.16.0"}
