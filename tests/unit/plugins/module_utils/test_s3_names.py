from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3_names import bucket_name_problems, tag_problems, tag_text


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my-bucket", "my.bucket.1", "1.2.3", "0ab", "256.1.1.1.1"])
def test_good_names(name):
    assert bucket_name_problems(name) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ab", "2 characters"),
        ("a" * 64, "64 characters"),
        ("", "0 characters"),
        ("Mlflow", "'M'"),
        ("my_bucket", "'_'"),
        ("a b/c", "' ' '/'"),
        ("bücket", "'ü'"),
        ("abc\n", r"'\n'"),
        ("-abc", "begin and end"),
        ("abc-", "begin and end"),
        (".abc", "begin and end"),
        ("a..b", "two dots"),
        ("192.168.5.4", "IP address"),
        ("xn--abc", "'xn--'"),
        ("sthree-abc", "'sthree-'"),
        ("amzn-s3-demo-a", "'amzn-s3-demo-'"),
        ("abc-s3alias", "'-s3alias'"),
        ("abc--ol-s3", "'--ol-s3'"),
        ("abc.mrap", "'.mrap'"),
        ("abc--x-s3", "'--x-s3'"),
    ],
)
def test_bad_names_say_which_rule(name, words):
    problems = bucket_name_problems(name)
    assert any(words in problem for problem in problems), problems


def test_all_broken_rules_are_named():
    assert len(bucket_name_problems("A..")) == 3


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (3, "3"), (1.5, "1.5"), (None, ""), ("No", "No")])
def test_tag_text(value, text):
    assert tag_text(value) == text


def test_tags_within_the_limits():
    assert tag_problems({f"{'k' * 120}{n}": "v" * 256 for n in range(50)}) == []


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({str(n): "" for n in range(51)}, "51 tags"),
        ({"": "x"}, "0 characters"),
        ({"k" * 129: "x"}, "129 characters"),
        ({"k": "v" * 257}, "257 characters"),
        ({"AWS:x": "y"}, "reserved"),
    ],
)
def test_tags_beyond_the_limits(tags, words):
    (problem,) = tag_problems(tags)
    assert words in problem
