"""The platform's own state: its secrets, and what the role knows of its variables and versions."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_backup.cipher import Key
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory
from mlops_backup.vault import Vault

# the backup's own key is never beside the backup, and the rest is of the destination, which who restores has to know anyway
NEVER = "backup_"


def secrets(settings):
    """Return {path below the data directory: text} of everything secret that a restore can put back.

    Not the authority's key: where root installs, it is root's, and the backup runs as the service user.
    """
    found = {}
    for path in sorted((settings.data / "secrets").iterdir()):
        # pgpass is made of the others, and what was replaced is of no use elsewhere
        if path.is_file() and not path.name.startswith(NEVER) and path.name != "pgpass" and not path.name.endswith(".previous"):
            found[f"secrets/{path.name}"] = path.read_text(encoding="utf-8")
    return found


def put_secrets(vault, name, settings):
    """Keep the secrets with backup `name`; return {file: record}, {} where they are left out. Raises OSError."""
    if not vault.key and not settings.secrets_in_clear:
        return {}
    blocks = [json.dumps(secrets(settings)).encode()]
    return {"secrets.json": vault.put(f"backups/{name}/secrets.json", blocks)}


def read_secrets(vault, name, manifest):
    """Return the secrets that backup `name` holds. Raises BackupError where it holds none."""
    record = manifest["files"].get("secrets.json")
    if not record:
        raise BackupError(
            f"backup {name} holds no secrets: it was taken without backup_key. Restore with backup_restore_secrets: false, which gives the"
            " databases' accounts the secrets of this installation"
        )
    return json.loads(vault.read(f"backups/{name}/secrets.json", record=record))


def variables(directory, key):
    """Return the variables that made the platform of the backup in `directory`, of which state.json may be there alone.

    `key` is the backup key, or empty. Raises BackupError and OSError.
    """
    place = Path(directory).absolute()
    vault = Vault(Directory(place.parents[1]), Key(key) if key else None)
    return json.loads(vault.read(f"backups/{place.name}/state.json"))["variables"]
