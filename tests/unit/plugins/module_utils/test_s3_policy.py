from __future__ import annotations

import copy

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_policy import canonical_policy, parse_policy

STATEMENT = {
    "Sid": "one",
    "Effect": "Deny",
    "Principal": {"AWS": ["111122223333"]},
    "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": ["arn:aws:s3:::b/*"],
    "Condition": {"Bool": {"aws:SecureTransport": ["false"]}, "StringLike": {"aws:Referer": ["a", "b"]}},
}
OTHER = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/pub/*"}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT, OTHER]}


def changed(**statement):
    return {"Version": "2012-10-17", "Statement": [{**STATEMENT, **statement}, OTHER]}


def without(key):
    return {"Version": "2012-10-17", "Statement": [{k: v for k, v in STATEMENT.items() if k != key}, OTHER]}


@pytest.mark.parametrize(
    "policy",
    [
        {"Statement": [OTHER, STATEMENT], "Version": "2012-10-17"},
        {**POLICY, "Id": ""},
        changed(Action=["s3:putobject", "S3:GetObject", "s3:GetObject"]),
        changed(Resource="arn:aws:s3:::b/*"),
        changed(Principal={"AWS": "arn:aws:iam::111122223333:root"}),
        changed(Principal={"AWS": ["arn:aws-cn:iam::111122223333:root", "111122223333"]}),
        changed(Condition={"StringLike": {"AWS:referer": ["b", "a"]}, "Bool": {"aws:SecureTransport": False}}),
        {"Version": "2012-10-17", "Statement": [STATEMENT, {**OTHER, "Principal": {"AWS": "*"}, "Sid": "", "Condition": {}}]},
        {"Version": "2012-10-17", "Statement": [STATEMENT, {**OTHER, "Principal": {"AWS": ["*"]}}]},
    ],
)
def test_same_meaning(policy):
    assert canonical_policy(policy) == canonical_policy(POLICY)


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {**POLICY, "Version": "2008-10-17"},
        {"Statement": POLICY["Statement"]},
        {**POLICY, "Id": "x"},
        {**POLICY, "Statement": [STATEMENT]},
        changed(Sid="two"),
        changed(Effect="Allow"),
        changed(Action="s3:GetObject"),
        changed(Resource="arn:aws:s3:::B/*"),
        changed(Principal="*"),
        changed(Principal={"AWS": "111122223334"}),
        changed(Principal={"AWS": "arn:aws:iam::111122223333:user/root"}),
        changed(Principal={"Federated": "111122223333"}),
        changed(Condition={}),
        changed(Condition={"Bool": {"aws:SecureTransport": True}, "StringLike": {"aws:Referer": ["a", "b"]}}),
        changed(Condition={"Bool": {"aws:SecureTransport": ["false"]}, "StringLike": {"aws:Referer": ["A", "b"]}}),
        without("Sid"),
        without("Condition"),
    ],
)
def test_other_meaning(policy):
    assert canonical_policy(policy) != canonical_policy(POLICY)


def test_action_is_not_notaction():
    statement = {key: value for key, value in STATEMENT.items() if key != "Action"}
    assert canonical_policy({"Version": "x", "Statement": {**statement, "NotAction": "s3:GetObject"}}) != canonical_policy(
        {"Version": "x", "Statement": {**statement, "Action": "s3:GetObject"}}
    )


def test_no_version_is_the_oldest():
    assert canonical_policy({"Statement": OTHER}) == canonical_policy({"Version": "2008-10-17", "Statement": [OTHER]})


def test_the_policy_itself_is_left_alone():
    policy = copy.deepcopy(POLICY)
    canonical_policy(policy)
    assert policy == POLICY


@pytest.mark.parametrize("text", ["", "  ", "{}", "null", "{ }"])
def test_parse_nothing(text):
    assert parse_policy(text) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "dictionary"),
        ('"x"', "dictionary"),
        ('{"Version": "2012-10-17"}', "no Statement"),
        ('{"Statement": []}', "no Statement"),
    ],
)
def test_parse_refuses(text, words):
    with pytest.raises(ValueError, match=words):
        parse_policy(text)
