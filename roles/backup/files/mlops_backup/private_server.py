"""A PostgreSQL server of nobody else: on a socket in a directory that only the service user can enter, for recoveries and rehearsals."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlops_backup import database, with_us
from mlops_backup.problems import BackupError


def quoted(value):
    """Return a value as postgresql.conf takes it."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def command(settings, *words):
    """Return a call of this program as the server's shell takes it; %f and %p are the server's."""
    # no file is written beside the program: its directory may be read-only to a service
    return " ".join([sys.executable, "-E", "-s", "-B", str(settings.data / "bin" / "backup.py"), *words])


class PrivateServer:
    """The server of the database cluster in `directory`. `port` only names its socket: it listens on no address."""

    def __init__(self, settings, directory, port):
        self.settings, self.directory, self.port = settings, Path(directory), port
        self.run, self.etc = settings.postgresql["run"], Path(f"{directory}.etc")
        self.process = None

    def fetches(self, manifest):
        """Return the restore_command with which it gets the log that follows a backup."""
        return command(self.settings, "fetch", manifest["installation"], "%f", "%p")

    def archives(self, _manifest):
        """Return the archive_command with which it keeps its own log."""
        return command(self.settings, "archive", "%p", "%f")

    def start(self, **options):
        """Start it with `options` of postgresql.conf."""
        self.configure(options)
        program = str(Path(self.settings.postgresql["bin"], "postgres"))
        with (self.etc / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [program, "-D", str(self.directory), "-c", f"config_file={self.etc / 'postgresql.conf'}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # it works below the data directory, by which the installation's processes are known
                cwd=self.directory,
                # at once, without a checkpoint: nobody needs what it works on any more
                preexec_fn=with_us.ends(signal.SIGQUIT),
            )

    def login(self):
        """Write who may log in. The data's own passwords may be those of another installation."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        superuser = self.settings.postgresql["administrator"]
        # the kernel says who connects
        (self.etc / "hba").write_text(f'local all "{superuser}" peer map=own\n', encoding="utf-8")
        (self.etc / "ident").write_text(f'own "{user}" "{superuser}"\n', encoding="utf-8")

    def configure(self, options):
        """Write its configuration."""
        shutil.rmtree(self.etc, ignore_errors=True)
        self.etc.mkdir(mode=0o700)
        self.login()
        own = {
            "data_directory": self.directory,
            "hba_file": self.etc / "hba",
            "ident_file": self.etc / "ident",
            "listen_addresses": "",
            "port": self.port,
            "unix_socket_directories": self.run,
            "unix_socket_permissions": "0700",
            # no connection before the end of the recovery: so no setting of the old server has to be matched
            "hot_standby": "off",
            "shared_buffers": "64MB",
            # a password that is given is in no log, whatever goes wrong
            "log_min_error_statement": "panic",
            "log_statement": "none",
            "archive_mode": "off",
        }
        text = "".join(f"{name} = {quoted(value)}\n" for name, value in {**own, **options}.items())
        (self.etc / "postgresql.conf").write_text(text, encoding="utf-8")

    def session(self, name="postgres"):
        """Give a cursor of the superuser."""
        return database.session(self.settings, name, host=self.run, port=self.port, password=False)

    def wait(self):
        """Return when it takes connections. Raises BackupError with its last words when it ends instead."""
        while self.runs():
            with contextlib.suppress(BackupError), self.session() as cursor:
                if not database.one(cursor, "SELECT pg_is_in_recovery()")[0]:
                    return
            time.sleep(0.1)
        raise BackupError(f"PostgreSQL's recovery ended: {self.last_words()}")

    def runs(self):
        """Return whether its process is there."""
        return self.process.poll() is None

    def log(self):
        """Return what it has said."""
        return (self.etc / "log").read_text(encoding="utf-8", errors="replace")

    def last_words(self):
        """Return the end of its log."""
        lines = self.log().splitlines()
        return " / ".join([line for line in lines if "FATAL" in line or "ERROR" in line or "PANIC" in line][-4:] or lines[-4:])

    def stop(self):
        """Stop it in order; what it wrote is on the disk then."""
        if self.process and self.process.poll() is None:
            # fast shutdown: ends the sessions, writes a checkpoint
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
        shutil.rmtree(self.etc, ignore_errors=True)

    def keep_archived(self, manifest, vault):
        """Do nothing: what it archived is at the destination."""
