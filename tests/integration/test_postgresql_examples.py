"""The EXAMPLES of the postgresql_* modules, as they stand, on a real server: at -vvv, and with an eye on the secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = Path(__file__).parent / "examples_vars_postgresql.yml"


@pytest.mark.parametrize("name", ["postgresql_role", "postgresql_database", "postgresql_accounts"])
def test_examples(pg_connection, tmp_path, name):
    module = import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}")
    planted = {
        key: f"planted-{key}-{os.urandom(8).hex()}" for key in yaml.safe_load(VARIABLES.read_text(encoding="utf-8")) if "password" in key
    }
    connection = {f"postgresql_{key}": value for key, value in pg_connection.items()}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": yaml.safe_load(module.EXAMPLES)}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    (tmp_path / "vars.json").write_text(
        json.dumps({**connection, **planted, "ansible_python_interpreter": sys.executable}), encoding="utf-8"
    )
    command = [Path(sys.executable).parent / "ansible-playbook", "-vvv", "--diff", "-i", "localhost,"]
    command += ["-e", f"@{VARIABLES}", "-e", f"@{tmp_path / 'vars.json'}", tmp_path / "play.yml"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "failed=0" in output
    assert "changed=0" not in output
    assert "********" in output or name != "postgresql_role"
    for secret in [*planted.values(), pg_connection["login_password"]]:
        assert secret not in output
    assert "SCRAM-SHA-256$" not in output
