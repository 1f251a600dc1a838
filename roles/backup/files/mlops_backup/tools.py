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
    server = options.pop("server", None) or settings.postgresql
    if settings.pod:
        login = {
            "PGHOST": server["host"],
            "PGPORT": server["port"],
            "PGUSER": settings.postgresql["superuser"],
            "PGAPPNAME": "mlops_backup",
        }
        variables = [f"{variable}={value}" for variable, value in login.items()]
        return _said(name, *pod.Request(settings, ["env", *variables, name, *map(str, arguments)]).wait())
    environ = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PGPASSWORD": settings.secret("postgresql_superuser_password"),
        "PGHOST": server["host"],
        "PGPORT": str(server["port"]),
        "PGUSER": settings.postgresql["superuser"],
        "PGAPPNAME": "mlops_backup",
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
