"""The migrations' heads as roles/mlflow/files/mlflow_schema.py reads them from text, against those that Alembic itself finds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "roles" / "mlflow" / "files" / "mlflow_schema.py"


def test_the_heads_are_those_that_alembic_finds(platform):
    program = """
import importlib.util, json, sys
from alembic.script import ScriptDirectory
spec = importlib.util.spec_from_file_location("mlflow_schema", sys.argv[1])
schema = sys.modules["mlflow_schema"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(schema)
package = schema.package_dir()
out = []
for folder in ("store/db_migrations", "server/auth/db/migrations"):
    script = ScriptDirectory(str(package / folder))
    known, heads = schema.read_migrations(package / folder / "versions")
    out.append([sorted(known), sorted(r.revision for r in script.walk_revisions()), sorted(heads), sorted(script.get_heads())])
print(json.dumps(out))
"""
    done = subprocess.run([platform.python("mlflow"), "-c", program, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for known, alembic_known, heads, alembic_heads in json.loads(done.stdout):
        assert len(known) > 5
        assert known == alembic_known
        assert heads == alembic_heads
