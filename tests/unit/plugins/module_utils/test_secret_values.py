"""What is refused as a secret, in words and without the value, and what is generated."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import secret_values


@pytest.mark.parametrize(
    "name, spec, value, words",
    [
        ("../a", {}, None, "the name must be"),
        (".a", {}, None, "the name must be"),
        ("a/b", {}, None, "the name must be"),
        ("a", {"size": 3}, None, "unknown keys ['size']"),
        ("a", {"charset": "binary"}, None, "charset must be one of"),
        ("a", {"length": 15}, None, "between 16 and 512"),
        ("a", {"length": 513}, None, "between 16 and 512"),
        ("a", {"min_length": 12}, "hunter2", "has 7 characters and needs at least 12"),
        ("a", {}, "line\nbreak", "control character"),
        ("a", {}, "nul\0", "control character"),
        ("a", {}, 12345678, "put it in quotes"),
    ],
)
def test_a_request_that_cannot_be_met_is_told_without_the_value(name, spec, value, words):
    with pytest.raises(secret_values.SecretError) as caught:
        secret_values.wanted(name, spec, value)
    assert words in str(caught.value)
    assert not value or str(value) not in str(caught.value)


@pytest.mark.parametrize("charset, base", [("alphanumeric", 36), ("hex", 16)])
def test_a_generated_secret_is_as_long_as_asked_for_and_of_its_charset(charset, base):
    spec = secret_values.wanted("a", {"charset": charset, "length": 512}, None)
    value = secret_values.generate(spec)
    assert len(value) == 512
    int(value, base)
    # 512 draws leave hardly a character out: a generator that prefers some of them would
    assert len(set(value)) > len(secret_values.CHARSETS[charset]) * 0.9
    assert value != secret_values.generate(spec)


def test_a_secret_that_nobody_describes_has_the_default_length():
    assert len(secret_values.generate(secret_values.wanted("a", None, None))) == secret_values.DEFAULT_LENGTH
