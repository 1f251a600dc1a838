"""Requests to an API server: what is sent, and what its errors become."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster, namespaced
from lib.api_server import Refused


def refuse(*arguments, **keywords):
    def answer(_asked):
        raise Refused(*arguments, **keywords)

    return answer


def test_paths():
    assert namespaced("a", "pods") == "/api/v1/namespaces/a/pods"
    assert namespaced("a", "jobs", "b/c", "batch") == "/apis/batch/v1/namespaces/a/jobs/b%2Fc"


def test_one_request(api):
    api.answers["/x"] = {"kind": "X"}
    cluster = Cluster(api.params)
    assert cluster.call("ask", "PATCH", "/x", {"dryRun": "All", "flag": True}, {"a": 1}) == {"kind": "X"}
    asked = api.asked[0]
    headers = dict(asked.headers)
    assert (asked.method, asked.query, asked.body) == ("PATCH", {"dryRun": "All", "flag": "true"}, {"a": 1})
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["authorization"] == "Bearer a-token-of-the-tests"
    assert cluster.requests == 1 and cluster.time > 0


def test_a_user_to_act_as_has_each_group(api):
    api.answers["/x"] = {}
    Cluster({**api.params, "impersonate_user": "joe", "impersonate_groups": ["a", "b"]}).get("ask", "/x")
    found = [pair for pair in api.asked[0].headers if pair[0].startswith("Impersonate")]
    assert found == [("Impersonate-User", "joe"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]


def test_a_text_is_no_json(api):
    api.answers["/log"] = '{"level": "info"}\n'
    assert Cluster(api.params).get("read", "/log") == '{"level": "info"}\n'


def test_find_what_is_not_there(api):
    assert Cluster(api.params).find("read it", "/nothing") is None
    with pytest.raises(ClusterError, match="cannot read it: /nothing not found"):
        Cluster(api.params).get("read it", "/nothing")


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (401, "Unauthorized", "does not accept the credentials"),
        (403, 'User "system:anonymous" cannot get', "does not accept the credentials"),
        (403, 'pods "a" is forbidden: exceeded quota: q', "raise the namespace's ResourceQuota"),
        (403, 'pods "a" is forbidden: violates PodSecurity "restricted"', "security policy"),
        (403, "unable to validate against any security context constraint", "security policy"),
        (403, 'User "joe" cannot get resource', "ask the cluster's administrator"),
        (422, "spec.x: Invalid value", "cannot make it: spec.x: Invalid value"),
    ],
)
def test_what_to_do_about_an_error(api, code, message, words):
    api.answers["/x"] = refuse(code, message, "Some")
    with pytest.raises(ClusterError) as caught:
        Cluster(api.params).get("make it", "/x")
    assert words in str(caught.value) and message in str(caught.value)
    assert (caught.value.status, caught.value.reason) == (code, "Some")


def test_an_error_of_something_in_front(api):
    api.answers["/x"] = refuse(502, "")
    with pytest.raises(ClusterError, match="cannot ask: HTTP 502"):
        Cluster(api.params).get("ask", "/x")


def test_a_busy_server_is_asked_again_when_it_says(api):
    def answer(_asked):
        if len(api.asked) < 3:
            raise Refused(429, "too many requests", headers={"Retry-After": "0"})
        return {"done": True}

    api.answers["/x"] = answer
    assert Cluster(api.params).get("ask", "/x") == {"done": True}


def test_a_busy_server_at_last(api):
    api.answers["/x"] = refuse(429, "too many requests", headers={"Retry-After": "0"})
    with pytest.raises(ClusterError, match="too many requests"):
        Cluster(api.params).get("ask", "/x")
    assert len(api.asked) == 3


def test_nobody_answers():
    cluster = Cluster({"host": "https://127.0.0.1:1", "api_key": "one-token"})
    with pytest.raises(ClusterError) as caught:
        cluster.get("ask", "/x")
    assert "cannot ask: the server https://127.0.0.1:1 of the option host does not answer as it should" in caught.value.what
    assert "Connection refused" in caught.value.what
    assert "check that the cluster is up" in caught.value.remedy
    assert caught.value.status == 0
