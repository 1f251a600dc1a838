from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_wishes import checked_wishes

UNSET = dict.fromkeys(("versioning", "object_lock", "object_lock_retention", "tags", "policy", "lifecycle_rules"))


def wishes(**options):
    return checked_wishes({"name": "bkt", "state": "present", "purge_tags": True, **UNSET, **options})


def retention(mode, days=None, years=None):
    return {"mode": mode, "days": days, "years": years}


def test_unset_is_untouched():
    assert wishes() == {}


def test_absent_ignores_the_settings():
    assert wishes(state="absent", versioning="enabled", policy="{") == {}


def test_tags():
    found = {"aws:x": "1", "old": "2"}
    assert wishes(tags={"a": True})["tags"](found) == {"aws:x": "1", "a": "true"}
    assert wishes(tags={"a": 1}, purge_tags=False)["tags"](found) == {**found, "a": "1"}
    assert wishes(tags={})["tags"](found) == {"aws:x": "1"}


def test_policy():
    assert wishes(policy="")["policy"] == {}
    assert wishes(policy='{"Statement": ["x"]}')["policy"] == {"Statement": ["x"]}


def test_object_lock_without_a_retention_keeps_the_one_there_is():
    found = {"enabled": True, "mode": "governance", "days": 3}
    assert wishes(object_lock=True)["object_lock"](found) == found


def test_object_lock_retention():
    assert wishes(object_lock=True, object_lock_retention=retention("none"))["object_lock"] == {"enabled": True, "mode": "none"}
    wish = wishes(object_lock=True, object_lock_retention=retention("compliance", years=1))["object_lock"]
    assert wish == {"enabled": True, "mode": "compliance", "years": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"object_lock": True, "versioning": "suspended"}, "must have versioning: enabled"),
        ({"object_lock": False, "object_lock_retention": retention("none")}, "needs object_lock: true"),
        ({"object_lock": True, "object_lock_retention": retention("governance")}, "either days or years"),
        ({"object_lock": True, "object_lock_retention": retention("governance", 1, 1)}, "either days or years"),
        ({"object_lock": True, "object_lock_retention": retention("none", 1)}, "either days or years"),
        ({"object_lock": True, "object_lock_retention": retention("governance", 0)}, "at least 1"),
        ({"policy": "{"}, "policy: it is not JSON"),
        ({"tags": {"aws:a": ""}}, "tags: the key"),
    ],
)
def test_refused(options, words):
    with pytest.raises(S3Error, match=words):
        wishes(**options)


def test_all_problems_are_named_at_once():
    with pytest.raises(S3Error) as error:
        wishes(name="A", policy="[", tags={"": "x"})
    assert all(words in str(error.value) for words in ("1 characters", "'A'", "policy:", "tags:"))
