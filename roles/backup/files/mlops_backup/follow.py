"""Follows PostgreSQL's write-ahead log in a cluster, whose server has no program for archive_command, and archives each segment.

It is a client of streaming replication, with a slot: the server keeps what it has not been told to be in the archive, up to
max_slot_wal_keep_size. So nothing is lost where this process, its node or the destination is away for a while.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import select
import time

from mlops_backup import database, wal
from mlops_backup.database import SLOT
from mlops_backup.lock import now
from mlops_backup.problems import BackupError
from mlops_backup.store import explain

SEGMENT_BYTES = 16 * 1024 * 1024
# half of wal_sender_timeout's default (60 s) is when the server begins to ask whether we live
STATUS_SECONDS = 10
# a server that is started anew is followed again; what lasts longer is for whoever looks at pods
AGAIN_SECONDS, PATIENCE_SECONDS = 5, 120


def follow(settings, _request):
    """Never return. Raises BackupError where the log cannot be followed for long: the next start goes on where this one has ended."""
    failed = None
    while True:
        began = time.monotonic()
        _sign(settings, "lives")
        try:
            _follow(settings)
        except BackupError as error:
            ended = time.monotonic()
            # one that went on for long worked until just now
            failed = ended if failed is None or ended - began > PATIENCE_SECONDS else failed
            if ended - failed > PATIENCE_SECONDS:
                raise
            print(f"{now()} log: {error}", flush=True)
            time.sleep(AGAIN_SECONDS)


def _follow(settings):
    """Never return. Raises BackupError where the log cannot be followed any more."""
    import psycopg2
    import psycopg2.extras

    login = settings.postgresql
    # before the first backup nothing is there
    settings.vault(settings.installation).store.prepare()
    try:
        with database.session(settings, application="mlops_backup: log") as cursor:
            begin = _slot(cursor)
            connection = psycopg2.connect(
                host=login["host"],
                port=login["port"],
                user=login["administrator"],
                password=settings.administrator_password(),
                **settings.transport(),
                application_name="mlops_backup: log",
                connect_timeout=10,
                connection_factory=psycopg2.extras.PhysicalReplicationConnection,
            )
            with contextlib.closing(connection):
                Follower(settings, cursor, connection.cursor()).run(begin)
    except psycopg2.Error as error:
        raise BackupError(f"PostgreSQL's log cannot be followed: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise BackupError(explain(error, settings.root())) from None


def _sign(settings, *names):
    """Touch the files by which the pod's probes see whether this process goes on (lives), and whether it follows (follows)."""
    for name in names:
        (settings.data / "run" / name).touch()


def unfollow(settings, _request):
    """Let the server keep nothing for us any more. Raises BackupError while somebody follows."""
    with database.session(settings) as cursor:
        cursor.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", (SLOT,))
        return {"changed": cursor.rowcount > 0}


def has(cursor, end):
    """Return whether the archive has the log up to the position `end`, which is in the last segment that counts."""
    upto = _archived(cursor)
    return upto is not None and upto >= -(-position(end) // SEGMENT_BYTES) * SEGMENT_BYTES


def _archived(cursor):
    """Return up to which position the server knows the log to be in the archive; None where there is no slot."""
    found = database.one(cursor, "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = %s", SLOT)
    return position(found[0]) if found and found[0] else None


def position(text):
    """Return a position in the log (LSN) as a number."""
    high, _unused, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def named(timeline, begin):
    """Return the name of the segment that begins at the position `begin`."""
    number = begin // SEGMENT_BYTES
    return f"{timeline:08X}{number // wal.SEGMENTS:08X}{number % wal.SEGMENTS:08X}"


def _slot(cursor):
    """See to the slot; return the beginning of the first segment that is not in the archive. Raises BackupError."""
    if database.one(cursor, "SELECT pg_size_bytes(current_setting('wal_segment_size'))")[0] != SEGMENT_BYTES:
        raise BackupError("PostgreSQL's log has segments of another size than 16 MiB, which initdb gives them: use backup_engine: dump")
    lost = database.one(cursor, "SELECT restart_lsn IS NULL OR wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s", SLOT)
    if lost and lost[0]:
        print(
            f"{now()} log: the server has given up what was to be archived (max_slot_wal_keep_size): times since then cannot be restored,"
            " but from the next backup on",
            flush=True,
        )
        cursor.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
    if not lost or lost[0]:
        cursor.execute("SELECT pg_create_physical_replication_slot(%s, true)", (SLOT,))
    return _archived(cursor) // SEGMENT_BYTES * SEGMENT_BYTES


class Follower:
    """One connection to the log."""

    def __init__(self, settings, cursor, log):
        """`cursor` is one of a session, `log` one of a replication's connection."""
        self.settings, self.cursor, self.log = settings, cursor, log
        log.execute("IDENTIFY_SYSTEM")
        system, self.timeline = log.fetchone()[:2]
        self.vault, self.folder = settings.vault(settings.installation), wal.folder(settings, system)
        # what was committed while nobody followed has to be archived too
        self.seen, self.switched = "", time.monotonic()

    def run(self, begin):
        """Never return. Raises BackupError, OSError and psycopg2.Error."""
        if self.timeline > 1:
            # how a recovery finds its way from the timelines of before
            self.log.execute(f"TIMELINE_HISTORY {self.timeline}")
            name, content = self.log.fetchone()
            wal.keep(self.vault, self.folder, name, bytes(content) if not isinstance(content, str) else content.encode())
        self.log.start_replication(slot_name=SLOT, start_lsn=begin, status_interval=STATUS_SECONDS)
        print(f"{now()} log: followed from {named(self.timeline, begin)} on, into {self.folder} of {self.vault.store.where}", flush=True)
        content = bytearray()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            while True:
                _sign(self.settings, "lives", "follows")
                self._switch()
                message = self.log.read_message()
                if message is None:
                    self._wait()
                    continue
                if message.data_start != begin + len(content):
                    raise BackupError(f"PostgreSQL sent {message.data_start:X} of its log instead of {begin + len(content):X}")
                content += message.payload
                while len(content) >= SEGMENT_BYTES:
                    self._keep(pool, begin, bytes(content[:SEGMENT_BYTES]))
                    del content[:SEGMENT_BYTES]
                    begin += SEGMENT_BYTES

    def _wait(self):
        """Return when the server sends, or soon. Raises psycopg2.Error where it ends.

        A server that is stopped ends its sessions first, and then waits until all of its log is confirmed, for as long as somebody follows.
        We confirm whole segments alone. So the end of the session is the end of this, too: the slot keeps the rest.
        """
        session = self.cursor.connection
        if session in select.select([self.log, session], [], [], 1)[0]:
            database.one(self.cursor, "SELECT 1")

    def _keep(self, pool, begin, content):
        """Archive a segment, and tell the server only then. Raises BackupError and OSError."""
        work = pool.submit(wal.keep, self.vault, self.folder, named(self.timeline, begin), content)
        while not concurrent.futures.wait([work], STATUS_SECONDS).done:
            # a slow destination: the server ends a connection that says nothing
            self.log.send_feedback(force=True)
            _sign(self.settings, "lives")
        work.result()
        end = begin + SEGMENT_BYTES
        self.log.send_feedback(write_lsn=end, flush_lsn=end, apply_lsn=end, force=True)

    def _switch(self):
        """Have a started segment ended after mlops_backup_wal_seconds where something was committed, as archive_timeout does."""
        if time.monotonic() - self.switched < self.settings.wal_seconds:
            return
        self.switched, found = time.monotonic(), self._transactions()
        # a server that does nothing writes too, at each checkpoint: of that no segment has to be made
        if found != self.seen:
            self.cursor.execute("SELECT pg_switch_wal()")
            self.seen = found

    def _transactions(self):
        """Return what changes with each transaction that has written."""
        return database.one(self.cursor, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0]
