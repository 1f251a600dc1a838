"""The journal of an upgrade in a ConfigMap: one run at a time, also where two write in the same moment."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal
from ansible_collections.mlops.platform.plugins.module_utils import upgrade_journal_cluster as journal
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from lib.api_server import Refused

PATH = "/api/v1/namespaces/ns/configmaps"
ALICE = {"host": "laptop", "user": "alice", "machine": "m1", "pid": 4711, "started": "1"}
BOB = {"host": "server", "user": "bob", "machine": "m2", "pid": 4711, "started": "1"}


class Store:
    """The ConfigMap of a server, with versions as a real one has them; `late` is done before the next write."""

    def __init__(self, api):
        self.stored, self.version, self.late = None, 1, None
        api.answers[f"{PATH}/u"] = self.object
        api.answers[f"POST {PATH}"] = self.create
        api.answers[f"PATCH {PATH}/u"] = self.patch

    def object(self, _asked=None):
        if self.stored is None:
            raise Refused(404, 'configmaps "u" not found', "NotFound")
        return {"metadata": {"resourceVersion": str(self.version)}, "data": dict(self.stored)}

    def meanwhile(self):
        late, self.late = self.late, None
        if late:
            late()

    def create(self, asked):
        self.meanwhile()
        if self.stored is not None:
            raise Refused(409, 'configmaps "u" already exists', "AlreadyExists")
        assert asked.body["metadata"]["labels"] == {"a": "b"}
        self.stored = dict(asked.body["data"])
        return self.object()

    def patch(self, asked):
        self.meanwhile()
        if asked.body["metadata"]["resourceVersion"] != str(self.version):
            raise Refused(409, "the object has been modified", "Conflict")
        self.stored, self.version = {**self.stored, **asked.body["data"]}, self.version + 1
        return self.object()


@pytest.fixture
def store(api):
    return Store(api)


@pytest.fixture
def notes(api, store):
    return journal.Notes(Cluster(api.params), "ns", "u", {"a": "b"})


def test_one_at_a_time(notes):
    assert journal.claim(notes, ALICE) is None
    assert journal.claim(notes, ALICE) is None
    assert "alice on laptop, process 4711, since 20" in upgrade_journal.words(journal.claim(notes, BOB))
    with pytest.raises(upgrade_journal.Lost, match="alice on laptop"):
        journal.release(notes, BOB)
    journal.release(notes, ALICE)
    assert journal.claim(notes, BOB) is None


def test_of_two_in_the_same_moment_one_has_it(notes, store):
    """Both where the ConfigMap is made and where it is there."""
    store.late = lambda: journal.claim(notes, BOB)
    assert journal.claim(notes, ALICE)["user"] == "bob"
    journal.release(notes, BOB)
    store.late = lambda: journal.claim(notes, BOB)
    assert journal.claim(notes, ALICE)["user"] == "bob"


def test_the_turn_of_a_dead_run_is_taken_and_only_of_that_one(notes):
    journal.claim(notes, ALICE)
    assert journal.claim(notes, BOB, over={**ALICE, "started": "2"})
    assert journal.claim(notes, BOB, over=ALICE) is None
    assert journal.claim(notes, ALICE, over=ALICE)["user"] == "bob"


def test_the_journal_keeps_when_it_began(notes):
    journal.claim(notes, ALICE)
    first = journal.record(notes, ALICE, {"state": "preparing", "from": {"image": "m:1"}})
    second = journal.record(notes, ALICE, {"state": "migrating", "backup": "b"})
    assert second["since"] == first["since"]
    assert (second["state"], second["from"], second["backup"]) == ("migrating", {"image": "m:1"}, "b")
    assert journal.read(notes) == second
    assert "backup" not in journal.record(notes, ALICE, {"state": "preparing"}, anew=True)


def test_who_has_lost_the_turn_writes_nothing(notes, store):
    """Also where it is taken in the moment between a run's question and its writing."""
    journal.claim(notes, ALICE)
    journal.record(notes, ALICE, {"state": "stopped"})
    store.late = lambda: journal.claim(notes, BOB, over=ALICE)
    with pytest.raises(upgrade_journal.Lost, match="bob on server"):
        journal.record(notes, ALICE, {"state": "migrating"})
    assert journal.read(notes)["state"] == "stopped"


def test_what_is_no_journal_is_named(notes, store):
    for text, words in (("{", "u in the namespace ns, journal: "), ("[1]", "journal holds no dictionary")):
        store.stored = {"journal": text}
        with pytest.raises(ValueError, match=words):
            journal.read(notes)
    store.stored = {"journal": json.dumps({"state": "done"})}
    assert journal.read(notes) == {"state": "done"}
    with pytest.raises(ValueError, match="no state of an upgrade: 'finished'"):
        journal.claim(notes, ALICE)
        journal.record(notes, ALICE, {"state": "finished"})


def test_who_may_not_write_is_told(notes, api):
    def refuse(_asked):
        raise Refused(403, "configmaps is forbidden", "Forbidden")

    api.answers[f"POST {PATH}"] = refuse
    with pytest.raises(ClusterError, match="forbidden; ask the cluster's administrator"):
        journal.claim(notes, ALICE)


@pytest.mark.parametrize("check, state", [(True, {}), (False, {"state": "preparing"})])
def test_the_module_records_but_in_check_mode(notes, check, state):
    journal.claim(notes, ALICE)
    given = {"state": "recorded", "run": ALICE, "over": {}, "entry": {"state": "preparing"}, "anew": True}
    result = upgrade_journal.act(journal, notes, given, check)
    assert {key: result["journal"][key] for key in state} == state and bool(result["journal"]) is not check
    assert (result["held_by"], result["holder"]) == ({}, "")
