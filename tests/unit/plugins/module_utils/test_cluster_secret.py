"""Secrets in a Secret: what is written when, and what two runs at once do."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_secret import ATTEMPTS, SecretKeeper, encode, plan
from ansible_collections.mlops.platform.plugins.module_utils.secret_values import SecretError, wanted
from lib.api_server import Refused

PATH = "/api/v1/namespaces/ns/secrets"


def specs(given=None, **secrets):
    return {name: wanted(name, spec, (given or {}).get(name)) for name, spec in secrets.items()}


def data(**values):
    return {name.replace("__", "."): encode(value) for name, value in values.items()}


class Store:
    """The Secrets of a server, with versions as a real one has them."""

    def __init__(self, api, stored=None):
        self.api, self.stored, self.version, self.before_write = api, stored, 1, lambda: None
        api.answers[f"{PATH}/s"] = self.object
        api.answers[f"POST {PATH}"] = self.create
        api.answers[f"PATCH {PATH}/s"] = self.patch

    def object(self, _asked=None):
        if self.stored is None:
            raise Refused(404, 'secrets "s" not found', "NotFound")
        return {"metadata": {"resourceVersion": str(self.version), "labels": {"old": "1"}}, "type": "Opaque", "data": dict(self.stored)}

    def write(self, values):
        self.stored = {key: value for key, value in {**(self.stored or {}), **values}.items() if value is not None}
        self.version += 1
        return self.object()

    def create(self, asked):
        self.before_write()
        if self.stored is not None:
            raise Refused(409, 'secrets "s" already exists', "AlreadyExists")
        return self.write(asked.body["data"])

    def patch(self, asked):
        self.before_write()
        self.object()
        if asked.body["metadata"]["resourceVersion"] != str(self.version):
            raise Refused(409, "the object has been modified", "Conflict")
        return self.write(asked.body["data"])

    def values(self):
        return {key: base64.b64decode(value).decode() for key, value in self.stored.items()}

    def writes(self):
        return [asked for asked in self.api.asked if asked.method != "GET"]


def keeper(api):
    return SecretKeeper(Cluster(api.params), "ns", "s")


class TestPlan:
    def test_what_is_missing_is_generated(self):
        changes, result = plan(data(a="kept"), specs(a={}, b={"length": 64, "charset": "hex"}))
        assert set(changes) == {"b"} and result["generated"] == ["b"]
        assert result["secrets"]["a"] == "kept" and len(result["secrets"]["b"]) == 64

    def test_nothing_to_do(self):
        changes, result = plan(data(a="kept", other="not ours"), specs({"a": ""}, a={}))
        assert changes == {} and result["secrets"] == {"a": "kept"}

    def test_a_given_value_replaces_and_is_remembered(self):
        changes, result = plan(data(a="two", a__previous="one"), specs({"a": "three"}, a={"keep_previous": True}))
        assert changes == data(a="three", a__previous="two\none")
        assert result["replaced"] == ["a"] and result["previous"] == {"a": ["two", "one"]}

    def test_a_replaced_value_that_nobody_asks_for_is_not_kept(self):
        changes, result = plan(data(a="one"), specs({"a": "two"}, a={}))
        assert changes == data(a="two") and result["previous"] == {}

    def test_back_to_an_earlier_value(self):
        _changes, result = plan(data(a="two", a__previous="one"), specs({"a": "one"}, a={"keep_previous": True}))
        assert result["previous"] == {"a": ["two", "one"]}

    def test_forget(self):
        changes, result = plan(data(a="two", a__previous="one"), specs(a={"keep_previous": True}), forget=["a"])
        assert changes == {"a.previous": None}
        assert result["previous"] == {} and result["forgotten"] == ["a"]

    def test_nothing_to_forget(self):
        assert plan(data(a="two"), specs(a={"keep_previous": True}), forget=["a"])[0] == {}

    def test_what_this_run_replaces_is_not_forgotten(self):
        changes, result = plan(data(a="two", a__previous="one"), specs({"a": "three"}, a={"keep_previous": True}), forget=["a"])
        assert changes == data(a="three", a__previous="two")
        assert result["previous"] == {"a": ["two"]}

    def test_an_empty_value_is_no_secret(self):
        assert plan({"a": ""}, specs(a={}))[1]["generated"] == ["a"]

    @pytest.mark.parametrize("stored", ["not base64!", base64.b64encode(b"\xff\xfe").decode()])
    def test_what_is_no_text(self, stored):
        with pytest.raises(SecretError, match="secret a: what is stored is no text"):
            plan({"a": stored}, specs(a={}))


class TestKeeper:
    def test_a_new_one(self, api):
        store = Store(api)
        result = keeper(api).keep(specs(a={}), labels={"x": 1})
        assert result["changed"] and result["secrets"] == store.values()
        body = store.writes()[0].body
        assert (body["type"], body["metadata"]) == ("Opaque", {"name": "s", "labels": {"x": "1"}})

    def test_the_second_run_only_reads(self, api):
        store = Store(api, data(a="kept"))
        result = keeper(api).keep(specs(a={}), labels={"old": "1"})
        assert not result["changed"] and not store.writes() and len(api.asked) == 1

    def test_check_mode_only_reads(self, api):
        store = Store(api)
        result = keeper(api).keep(specs(a={}), check=True)
        assert result["changed"] and result["generated"] == ["a"] and not store.writes()

    def test_a_label_that_is_missing(self, api):
        store = Store(api, data(a="kept"))
        result = keeper(api).keep(specs(a={}), labels={"old": "1", "new": "2"})
        assert result["changed"] and result["labels_changed"] == ["new"]
        assert store.writes()[0].body == {"metadata": {"labels": {"new": "2"}, "resourceVersion": "1"}, "data": {}}

    @pytest.mark.parametrize("stored", [None, {}])
    def test_two_runs_at_once_agree(self, api, stored):
        store = Store(api, stored)

        def other():
            store.before_write = lambda: None
            store.write(data(a="of the other run"))

        store.before_write = other
        result = keeper(api).keep(specs(a={}, b={}))
        assert result["secrets"]["a"] == "of the other run" and result["generated"] == ["b"]
        assert store.values() == result["secrets"]

    def test_one_that_is_deleted_meanwhile_is_made_again(self, api):
        store = Store(api, data(a="kept"))

        def other():
            store.before_write, store.stored = (lambda: None), None

        store.before_write = other
        result = keeper(api).keep(specs({"a": "new"}, a={}))
        assert store.values() == {"a": "new"} == result["secrets"]

    def test_somebody_writes_all_the_time(self, api):
        store = Store(api, {})
        store.before_write = lambda: store.write({})
        with pytest.raises(ClusterError, match="something else writes it all the time"):
            keeper(api).keep(specs(a={}))
        assert len(store.writes()) == ATTEMPTS

    def test_another_type(self, api):
        Store(api, {})
        with pytest.raises(ClusterError, match="has the type Opaque, and kubernetes.io/tls is wanted"):
            keeper(api).keep(specs(a={}), kind="kubernetes.io/tls")

    def test_no_namespace(self, api):
        with pytest.raises(ClusterError, match="create the namespace first: kubectl create namespace ns"):
            keeper(api).keep(specs(a={}))

    def test_no_permission(self, api):
        def refuse(_asked):
            raise Refused(403, 'secrets "s" is forbidden')

        api.answers[f"{PATH}/s"] = refuse
        with pytest.raises(ClusterError, match="cannot read the Secret s in the namespace ns: .*administrator"):
            keeper(api).keep(specs(a={}))
