"""Which versions are missing, what a page of a list says, and the record of a copy, without any server."""

from __future__ import annotations

import datetime
import hashlib
import json
import types

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import s3_copy_state as states
from ansible_collections.mlops.platform.plugins.module_utils import s3_history as histories
from ansible_collections.mlops.platform.plugins.module_utils import s3_transfer
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_ends import each

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def entries(text):
    """One entry per letter: the content, or a delete marker for `-`."""
    return [
        histories.Entry("k", None if letter == "-" else 1, "" if letter == "-" else letter, f"v{number}", number == len(text) - 1)
        for number, letter in enumerate(text)
    ]


def never(*_entries):
    return False


@pytest.mark.parametrize(
    "source, target, expected",
    [
        ("abc", "", (3, 0)),
        ("abc", "a", (2, 0)),
        ("abc", "abc", (0, 0)),
        ("a-b", "a-", (1, 0)),
        ("aaa", "a", (2, 0)),
        # the source's lifecycle removed the oldest since
        ("bc", "ab", (1, 1)),
        ("c", "abc", (0, 2)),
        # another way
        ("abc", "x", (None, 0)),
        ("a", "ab", (None, 0)),
        ("ab", "a-", (None, 0)),
        ("", "ab", (0, 2)),
    ],
)
def test_missing(source, target, expected):
    assert histories.missing(entries(source), entries(target), never) == expected


def test_sizes_decide_before_anything_is_read():
    one, other = entries("a")[0], entries("b")[0]
    assert histories.same(one, other, lambda *_both: True)
    assert not histories.same(one, other._replace(size=2), lambda *_both: pytest.fail("read"))
    assert histories.same(one._replace(size=0), other._replace(size=0), lambda *_both: pytest.fail("read"))


class Server:
    """Lists the pages that it was given, as botocore parses them, with the order that the XML has."""

    where = "http://s3.test"

    def __init__(self, pages):
        self.pages, self.handler = pages, None

    def listen(self, event, handler):
        assert event == histories.EVENT
        self.handler = handler

    def call(self, _what, operation, KeyMarker="0", **_arguments):
        assert operation == "list_object_versions"
        kinds, versions, markers = self.pages[int(KeyMarker)]
        text = "".join({"V": "<Version><Key>a</Key></Version>", "D": "<DeleteMarker></DeleteMarker>"}[kind] for kind in kinds)
        page = {"Versions": versions, "DeleteMarkers": markers, "IsTruncated": int(KeyMarker) + 1 < len(self.pages)}
        page["NextKeyMarker"] = str(int(KeyMarker) + 1)
        self.handler(types.SimpleNamespace(status_code=200, content=f"<R>{text}</R>".encode()), page)
        return page


def listed(version, latest=False, **more):
    return {"Key": "a", "VersionId": version, "IsLatest": latest, "LastModified": NOW, **more}


def test_versions_and_markers_of_one_second_keep_the_order_of_the_list():
    size = {"Size": 1, "ETag": '"x"'}
    pages = [
        ("VDV", [listed("5", True, **size), listed("3", **size)], [listed("4")]),
        ("DV", [listed("1", **size)], [listed("2")]),
    ]
    found = histories.history(Server(pages), "bkt")
    assert [entry.version for entry in found["a"]] == ["1", "2", "3", "4", "5"]
    assert [entry.size for entry in found["a"]] == [1, None, 1, None, 1]
    assert histories.totals(found) == {"keys": 1, "versions": 3, "delete_markers": 2, "bytes": 3}
    assert [entry.version for entry in histories.newest(found["a"])] == ["5"]


def test_a_list_that_does_not_get_on_is_an_error():
    server = Server([("V", [listed("1", Size=1, ETag="x")], [])] * 3)
    server.call = lambda *_unused, **_more: {"IsTruncated": True, "NextKeyMarker": "a"}
    with pytest.raises(S3Error, match="does not get on"):
        histories.history(server, "bkt")


def test_the_record_survives_a_kill_in_the_middle_of_a_line(tmp_path):
    path = str(tmp_path / "state")
    state = states.State(path, "a to b")
    state.note(entries("a")[0], "t1", "sha", verified=True)
    state.close()
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"key":"k","sour')
    again = states.State(path, "a to b")
    assert again.of(entries("a")[0])["target"] == "t1" and again.knows("k") and not again.knows("other")
    again.note(entries("b")[0], "t2", "sha", verified=False)
    again.close()
    assert states.State(path, "a to b", write=False).of(entries("b")[0])["target"] == "t2"
    with pytest.raises(ValueError, match="give another file"):
        states.State(path, "a to c")


def test_progress_is_one_line_of_json(tmp_path):
    progress = states.Progress(str(tmp_path / "progress"))
    progress.all["bytes"] = 10
    progress.add(bytes=4, keys=1)
    progress.end()
    said = json.loads((tmp_path / "progress").read_text())
    assert said["done"]["bytes"] == 4 and said["of"]["bytes"] == 10 and said["done"]["keys"] == 1


def test_many_problems_end_the_work():
    tried = []

    def fail(item):
        tried.append(item)
        raise S3Error("no")

    assert len(list(each(fail, range(1000), 2))) == len(tried) < 40
    with pytest.raises(ZeroDivisionError):
        list(each(lambda item: 1 // item, [0], 1))


def test_a_broken_connection_is_read_again(monkeypatch):
    monkeypatch.setattr(s3_transfer.time, "sleep", lambda _seconds: None)
    bodies = [b"ab", b"abcd"]

    class Body:
        def __init__(self, content):
            self.parts = [content, b""]

        def read(self, _size):
            return self.parts.pop(0)

        def close(self):
            pass

    server = types.SimpleNamespace(where="s3", call=lambda *_unused, **_more: {"Body": Body(bodies.pop(0))})
    entry = histories.Entry("k", 4, "etag", "v", True)
    assert s3_transfer.sha256(server, "bkt", entry) == hashlib.sha256(b"abcd").hexdigest()
    bodies[:] = [b"a", b"b", b"c"]
    with pytest.raises(S3Error, match="1 bytes came instead of 4"):
        s3_transfer.sha256(server, "bkt", entry)
