"""The PostgreSQL server's own client tools: never the distribution's, which may be older than the server."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from mlops_backup import pod
from mlops_backup.problems import BackupError


def run(settings, name, *arguments, **options):
    """Run one of the server's own client tools to its end. Raises BackupError with its last words.

    The password travels in the environment, which only the service user and root can read. `server`: host and port of
    another server than the platform's.
    """
    other = options.pop("server", None)
    server = other or settings.postgresql
    protected = {} if other else {f"PG{name.upper()}": value for name, value in settings.transport().items()}
    if settings.pod:
        login = {
            "PGHOST": server["host"],
            "PGPORT": server["port"],
            "PGUSER": settings.postgresql["administrator"],
            "PGAPPNAME": "mlops_backup",
            **protected,
        }
        variables = [f"{variable}={value}" for variable, value in login.items()]
        return _said(name, *pod.Request(settings, ["env", *variables, name, *map(str, arguments)]).wait())
    environ = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PGPASSWORD": settings.administrator_password(),
        "PGHOST": server["host"],
        "PGPORT": str(server["port"]),
        "PGUSER": settings.postgresql["administrator"],
        "PGAPPNAME": "mlops_backup",
        **protected,
    }
    command = [str(Path(settings.postgresql["bin"], name)), *map(str, arguments)]
    with tempfile.TemporaryFile() as said:
        code = subprocess.run(command, env=environ, stdout=options.pop("stdout", said), stderr=said, check=False, **options).returncode
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    return _said(name, code, words)


def _said(name, code, words):
    """Return what a tool said. Raises BackupError where it failed."""
    if code and "no pg_hba.conf entry for replication" in words:
        raise BackupError("PostgreSQL does not let base backups in yet: run site.yml once, which writes that into its pg_hba.conf")
    if code:
        raise BackupError(f"{name} ended with {code}: {' '.join(words.split())[-600:] or 'without a word'}")
    return words
