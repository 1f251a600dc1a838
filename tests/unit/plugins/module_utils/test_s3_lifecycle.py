from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_lifecycle import RULE_SPEC, by_id, clean_rule, from_s3, rule_problems, to_s3


def given(**options):
    """Return a rule as Ansible hands it to the module: every option there, unset ones None."""
    return {**dict.fromkeys(RULE_SPEC), "enabled": True, "id": "r", **options}


FULL = given(
    prefix="a/",
    noncurrent_version_expiration_days=30,
    newer_noncurrent_versions=3,
    abort_incomplete_multipart_days=7,
    expired_object_delete_marker=True,
)


@pytest.mark.parametrize(
    "rule",
    [
        given(expiration_days=1),
        given(expiration_days=1, prefix=""),
        given(expiration_days=1, prefix="a/"),
        given(expiration_days=1, tags={"k": "v"}),
        given(expiration_days=1, tags={"k": "v", "l": ""}),
        given(expiration_days=1, tags={"k": "v"}, prefix="a/"),
        given(expiration_days=1, enabled=False),
        FULL,
    ],
)
def test_there_and_back(rule):
    assert rule_problems([rule]) == []
    assert from_s3(to_s3(clean_rule(rule))) == clean_rule(rule)


def test_form_of_s3():
    assert to_s3(clean_rule(FULL)) == {
        "ID": "r",
        "Status": "Enabled",
        "Filter": {"Prefix": "a/"},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    both = to_s3(clean_rule(given(expiration_days=1, prefix="p", tags={"b": 2, "a": True})))
    assert both["Filter"] == {"And": {"Prefix": "p", "Tags": [{"Key": "a", "Value": "true"}, {"Key": "b", "Value": "2"}]}}
    assert to_s3(clean_rule(given(expiration_days=1, tags={"a": ""})))["Filter"] == {"Tag": {"Key": "a", "Value": ""}}


@pytest.mark.parametrize(
    "form",
    [
        {"Prefix": ""},
        {},
        {"Filter": {}},
        {"Filter": {"Prefix": ""}},
        {"Filter": {"And": {"Prefix": "", "Tags": []}}},
        {"Filter": {"Prefix": "", "ObjectSizeGreaterThan": 0}},
    ],
)
def test_every_form_of_no_filter_is_the_same(form):
    rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": False}, **form}
    assert from_s3(rule) == {"id": "r", "enabled": True, "expiration_days": 1}


@pytest.mark.parametrize("form", [{"Prefix": "p"}, {"Filter": {"Prefix": "p"}}, {"Filter": {"And": {"Prefix": "p"}}}])
def test_every_form_of_a_prefix_is_the_same(form):
    assert from_s3({"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}, **form})["prefix"] == "p"


@pytest.mark.parametrize(
    "form", [{"Filter": {"Tag": {"Key": "k", "Value": "v"}}}, {"Filter": {"And": {"Tags": [{"Key": "k", "Value": "v"}]}}}]
)
def test_every_form_of_a_tag_is_the_same(form):
    assert from_s3({"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}, **form})["tags"] == {"k": "v"}


@pytest.mark.parametrize(
    "extra",
    [
        {"Transitions": [{"Days": 3, "StorageClass": "GLACIER"}]},
        {"Expiration": {"Days": 1, "Date": "2030-01-01"}},
        {"Filter": {"ObjectSizeGreaterThan": 5}},
        {"Filter": {"And": {"Prefix": "p", "ObjectSizeLessThan": 5}}},
    ],
)
def test_what_no_option_can_say_is_a_difference(extra):
    rule = from_s3({"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}, **extra})
    assert rule["other"]


def test_from_s3_leaves_its_argument_alone():
    rule = to_s3(clean_rule(given(expiration_days=1, prefix="p", tags={"k": "v"})))
    from_s3(rule)
    assert rule == to_s3(clean_rule(given(expiration_days=1, prefix="p", tags={"k": "v"})))


def test_order():
    assert [rule["id"] for rule in by_id([{"id": "b"}, {"id": "a"}])] == ["a", "b"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (given(), "does nothing"),
        (given(prefix="a"), "does nothing"),
        (given(expired_object_delete_marker=False), "does nothing"),
        (given(expiration_days=0), "expiration_days must be at least 1"),
        (given(abort_incomplete_multipart_days=-1), "abort_incomplete_multipart_days must be at least 1"),
        (given(expiration_days=1, expired_object_delete_marker=True), "exclude each other"),
        (given(expiration_days=1, newer_noncurrent_versions=1), "needs noncurrent_version_expiration_days"),
        (given(noncurrent_version_expiration_days=1, newer_noncurrent_versions=101), "at most 100"),
        (given(tags={"a": "b"}, abort_incomplete_multipart_days=1), "cannot be limited by tags"),
        (given(tags={"a": "b"}, expired_object_delete_marker=True), "cannot be limited by tags"),
        (given(id="x" * 256, expiration_days=1), "255 characters"),
        (given(id="", expiration_days=1), "255 characters"),
    ],
)
def test_bad_rules(rule, words):
    problems = rule_problems([rule])
    assert any(words in problem and repr(rule["id"]) in problem for problem in problems), problems


def test_ids_are_unique():
    (problem,) = rule_problems([given(expiration_days=1), given(expiration_days=2)])
    assert "used twice" in problem


def test_number_of_rules():
    rules = [given(id=str(number), expiration_days=1) for number in range(1001)]
    assert rule_problems(rules[:1000]) == []
    assert "1001 rules" in rule_problems(rules)[0]
