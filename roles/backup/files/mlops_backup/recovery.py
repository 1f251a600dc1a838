"""Makes a database cluster of a base backup and the archived write-ahead log, in a directory of its own."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from mlops_backup import base_manifest, database
from mlops_backup.pod_recovery import PodRecovery
from mlops_backup.private_server import PrivateServer
from mlops_backup.problems import BackupError


class Blocks:
    """Byte strings as a file to read."""

    def __init__(self, blocks):
        self.blocks, self.pending = iter(blocks), b""

    def read(self, size):
        """Return up to `size` bytes, b"" at the end."""
        while len(self.pending) < size and (block := next(self.blocks, None)) is not None:
            self.pending += block
        found, self.pending = self.pending[:size], self.pending[size:]
        return found

    def drain(self):
        """Read what is left: only at its end is the whole held against its checksum."""
        for _block in self.blocks:
            pass


def unpack(blocks, directory):
    """Unpack a base backup into `directory`, which is made. Raises BackupError, and OSError when the disk is full."""
    source = Blocks(blocks)
    directory.mkdir(mode=0o700, parents=True)
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            # a base backup has nothing else: tablespaces of ours are in the cluster's own directory
            if not (member.isdir() or member.isreg()) or ".." in Path(member.name).parts or Path(member.name).is_absolute():
                raise BackupError(f"the base backup holds {member.name!r}, which is no file of a database cluster")
            member.mode = 0o700 if member.isdir() else 0o600
            member.uid = member.gid = -1
            archive.extract(member, directory, set_attrs=not member.isdir())
    source.drain()


def recovered(settings, vault, manifest, directory, port, time="", position="", archive=False):
    """Unpack, verify and recover a base backup into `directory`; return its running server. Raises BackupError.

    `time`: "" for as far as the archive reaches, "backup" for the end of the base backup, or a time in PostgreSQL's own form.
    `position`: instead of a time, a position in the log (LSN) in PostgreSQL's form: the first record from there on is the last one.
    `archive`: whether the new timeline is archived, as that of a server which goes on is.
    """
    shutil.rmtree(directory, ignore_errors=True)
    name = manifest["name"]
    unpack(vault.blocks(f"backups/{name}/base.tar", record=manifest["files"]["base.tar"]), directory)
    # what was unpacked, and not what was once taken
    base_manifest.verify(settings, directory)
    options = {"recovery_target_action": "promote", "recovery_target_timeline": "latest"}
    server = (PodRecovery if settings.pod else PrivateServer)(settings, directory, port)
    options["restore_command"] = server.fetches(manifest)
    if archive:
        options.update(archive_mode="on", archive_command=server.archives(manifest))
    if time == "backup":
        options["recovery_target"] = "immediate"
    elif time:
        options["recovery_target_time"] = time
    elif position:
        options["recovery_target_lsn"] = position
    (directory / "recovery.signal").touch(mode=0o600)
    try:
        server.start(**options)
        try:
            server.wait()
        except BackupError:
            # Nothing was committed after that time, and the archive was seen to reach it: so everything that there is, is what is wanted
            if not options.pop("recovery_target_time", None) or "before configured recovery target" not in server.last_words():
                raise
            server.stop()
            server.start(**options)
            server.wait()
    except BaseException:
        server.stop()
        raise
    return server


def hold_passwords(settings, server, secrets):
    """Give the accounts of a restored cluster the secrets of this installation: the data may be older than the last change of one.

    `secrets`: those that take the place of this installation's, by their files.
    """
    import psycopg2.extensions
    from psycopg2 import sql

    with server.session() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        there = {name for (name,) in cursor.fetchall()}
        for name in [settings.postgresql["administrator"], *settings.postgresql["accounts"]]:
            secret = "postgresql_superuser_password" if name == settings.postgresql["administrator"] else f"postgresql_{name}_password"
            if name in there:
                # what travels is the verifier, never the password
                password = secrets.get(f"secrets/{secret}", "").rstrip("\n") or settings.secret(secret)
                verifier = psycopg2.extensions.encrypt_password(password, name, cursor.connection, "scram-sha-256")
                cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier)))


def forget_objects(server):
    """Empty the object store's metadata: its blobs are gone, or another installation's."""
    with server.session() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'seaweedfs'")
        if cursor.fetchone():
            owner = database.one(cursor, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'seaweedfs'")[0]
            cursor.execute("DROP DATABASE seaweedfs")
            from psycopg2 import sql

            cursor.execute(sql.SQL("CREATE DATABASE seaweedfs OWNER {}").format(sql.Identifier(owner)))


def replayed(server):
    """Return the time of the last transaction that was restored from the log, as text, or None where the log held none."""
    with server.session() as cursor:
        found = database.one(
            cursor, "SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        )
    return found[0]
