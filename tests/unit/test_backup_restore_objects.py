"""Which object versions a restore writes, with their history, and which it leaves as they are."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_connection import S3Error
from lib.backup_program import LOST, Bucket, complete, settings
from mlops_backup import objects_restore, restore
from mlops_backup.catalog import Catalog
from mlops_backup.objects_restore import newer, run
from mlops_backup.problems import BackupError
from mlops_backup.store import Directory
from mlops_backup.vault import Vault

NAME = "20260101T000000Z"


@pytest.fixture
def source():
    bucket = Bucket()
    bucket.put("a", b"one", ContentType="text/plain")
    bucket.put("a", b"two", Metadata={"by": "a user"})
    bucket.put("gone", b"content")
    bucket.put("gone", None)
    return bucket


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(objects_restore, "PAUSES", (0, 0, 0, 0))


@pytest.fixture
def make(tmp_path, source):
    """Return a function that makes a backup of `source`, with `changed` in its manifest, and returns its Catalog."""

    def made(**changed):
        vault = Vault(Directory(tmp_path / "backups" / "42"), None)
        vault.store.prepare()
        complete(vault, NAME, source, **changed)
        return Catalog(vault)

    return made


def test_a_lost_bucket_gets_every_version_in_order(make, source):
    target = Bucket()
    counts = run(make(), NAME, target.end, 2)
    assert target.contents() == source.contents()
    assert (counts["written"], counts["changed"]) == (3, True)
    # two keys are written side by side: which of them comes first is chance
    assert [entry["headers"] for entry in target.entries if entry["body"] == b"one"] == [
        next(entry["headers"] for entry in source.entries if entry["body"] == b"one")
    ]
    assert run(make(), NAME, target.end, 2)["changed"] is False


def test_a_bucket_that_is_there_is_read_and_left_alone(make, source):
    catalog, before = make(), list(source.entries)
    counts = run(catalog, NAME, source.end, 2)
    assert (counts["written"], counts["checked"], counts["changed"]) == (0, 3, False)
    assert source.entries == before


def test_what_came_since_the_backup_is_counted_by_versions(make, source):
    catalog = make()
    assert newer(catalog, NAME, source.end) == 0
    source.put("a", b"three")
    source.put("b", b"one")
    assert newer(catalog, NAME, source.end) == 2


def test_names_without_content_are_written_anew_with_their_history(make, source):
    catalog, contents = make(), source.contents()
    source.entries[0]["body"] = LOST
    counts = run(catalog, NAME, source.end, 2)
    assert source.contents()["a"] == contents["a"]
    assert counts["unreadable"] == 1


def test_what_came_after_the_backup_stays_when_something_older_is_broken(make, source):
    catalog = make()
    source.entries[0]["body"] = LOST
    source.put("a", b"three")
    run(catalog, NAME, source.end, 2)
    assert source.contents()["a"] == [b"two", b"three"]


class Interrupted(Bucket):
    """One that gives `before` contents, then none for `away` requests, and then all again; `answers`: whether it is there meanwhile."""

    before, away, answers = 0, 0, False

    def get_object(self, what, **arguments):
        if self.before:
            self.before -= 1
        elif self.away:
            self.away -= 1
            raise S3Error(f"cannot {what}: connection refused")
        return super().get_object(what, **arguments)

    def head_bucket(self, what, **_arguments):
        if self.away and not self.answers:
            raise S3Error(f"cannot {what}: connection refused")
        return {}


def interrupted(source, **changed):
    """Return a server with what `source` has, and one version more that no backup has."""
    target = Interrupted()
    target.entries, target.number = source.entries, source.number
    target.put("a", b"three")
    vars(target).update(changed)
    return target


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("away", [1, 2, 4])
def test_a_store_that_was_away_for_a_moment_loses_nothing(make, source, before, away):
    """Least of all a version that is in no backup: what cannot be read is removed only when it cannot be read five times."""
    catalog = make()
    target = interrupted(source, before=before, away=away, answers=True)
    there = target.contents()
    run(catalog, NAME, target.end, 1)
    assert target.contents() == there


def test_a_store_that_stays_away_is_told_and_nothing_is_removed(make, source):
    catalog = make()
    target = interrupted(source, before=1, away=1000)
    before = target.contents()
    with pytest.raises(BackupError, match="the object store: .*connection refused"):
        run(catalog, NAME, target.end, 2)
    target.away = 0
    assert target.contents() == before
    run(catalog, NAME, target.end, 2)
    assert target.contents() == before


def test_a_content_that_is_another_is_found_though_its_size_is_the_same(make, source):
    catalog = make()
    source.entries[1]["body"] = b"TWO"
    assert run(catalog, NAME, source.end, 2)["unreadable"] == 1
    assert source.contents()["a"] == [b"one", b"two"]


def at(number):
    """Return the time at which the bucket of these tests says that its version `number` came, as text."""
    return datetime.datetime.fromtimestamp(number, datetime.timezone.utc).isoformat()


@pytest.fixture
def moved_on(make, source):
    """A backup of `source`, and `source` as it is some versions later: {what came: its time}."""
    catalog = make(point={"time": at(source.number), "consistent": at(source.number), "lsn": ""})
    for key, body in (("a", b"three"), ("new", b"1"), ("gone", b"again"), ("a", None), ("new", b"2"), ("gone", None), ("late", b"l")):
        source.put(key, body)
    return catalog, source.number - 7


@pytest.mark.parametrize(
    "when, expected",
    [
        # what readers get now
        ("", {"a": None, "gone": None, "new": b"2", "late": b"l"}),
        # rows of a key that came later are not there, so nobody asks for it
        ("backup", {"a": b"two", "gone": None, "new": b"2", "late": b"l"}),
        (1, {"a": b"three", "gone": None, "new": b"2", "late": b"l"}),
        (2, {"a": b"three", "gone": None, "new": b"1", "late": b"l"}),
        (3, {"a": b"three", "gone": b"again", "new": b"1", "late": b"l"}),
        (4, {"a": None, "gone": b"again", "new": b"1", "late": b"l"}),
        (6, {"a": None, "gone": None, "new": b"2", "late": b"l"}),
    ],
)
def test_readers_get_what_they_got_then(moved_on, source, when, expected):
    catalog, first = moved_on
    when = when if isinstance(when, str) else at(first + when)
    before = {key: list(bodies) for key, bodies in source.contents().items()}
    run(catalog, NAME, source.end, 2, when)
    after = source.contents()
    assert {key: bodies[-1] for key, bodies in after.items()} == expected
    # nothing is lost: what was there is below
    assert all(after[key][: len(bodies)] == bodies for key, bodies in before.items())
    assert run(catalog, NAME, source.end, 2, when)["changed"] is False
    assert source.contents() == after


def test_what_an_earlier_restore_wrote_is_of_the_time_at_which_it_wrote(moved_on, source):
    """A history that was lost and came back from the backup is later than the time: then readers got what the backup has."""
    catalog, first = moved_on
    source.entries = [entry for entry in source.entries if entry["key"] != "a"]
    run(catalog, NAME, source.end, 1)
    source.put("a", b"five")
    run(catalog, NAME, source.end, 1, at(first + 1))
    assert source.contents()["a"] == [b"one", b"two", b"five", b"two"]


def test_headers_come_with_a_content_that_only_the_server_has(moved_on, source):
    catalog, _first = moved_on
    source.put("a", b"six", ContentType="text/csv", Metadata={"by": "a user"})
    then = at(source.number)
    source.put("a", b"seven")
    run(catalog, NAME, source.end, 2, then)
    assert source.newest("a")["headers"] == {"ContentType": "text/csv", "Metadata": {"by": "a user"}}


def test_what_only_the_server_had_and_has_lost_stays_and_is_counted(moved_on, source):
    catalog, first = moved_on
    next(entry for entry in source.entries if entry["body"] == b"1")["body"] = LOST
    counts = run(catalog, NAME, source.end, 2, at(first + 2))
    assert source.contents()["new"] == [LOST, b"2"]
    assert counts["unreadable"] == 1


@pytest.mark.parametrize(
    "engine, names, expected", [("base", True, None), ("base", False, b"two"), ("dump", True, b"two"), ("dump", False, b"two")]
)
def test_objects_go_back_with_the_rows_where_their_names_did_not(moved_on, source, tmp_path, monkeypatch, engine, names, expected):
    """A base backup of the server that holds the object store's names has taken those back already."""
    catalog, _first = moved_on
    manifest = catalog.read(NAME)
    catalog.write(NAME, {**manifest, "engine": engine})
    found = settings(tmp_path, object_store={"bucket": source.end[1], "data": "", "names_in_postgresql": names})
    monkeypatch.setattr(type(found), "s3", lambda _self: source.end)
    restore.objects(found, {"installation": "42", "backup": NAME, "time": "backup"})
    assert source.contents()["a"][-1] == expected


def test_a_damaged_object_of_the_backup_is_told_and_not_written(make, tmp_path):
    catalog = make()
    for path in (tmp_path / "backups/42/objects").rglob("*"):
        if path.is_file() and path.read_bytes() == b"two":
            path.write_bytes(b"twx")
    target = Bucket()
    with pytest.raises(BackupError, match="'a'.*damaged"):
        run(catalog, NAME, target.end, 2)
    assert b"twx" not in target.contents().get("a", [])
