# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lifecycle rules: from the module's options to S3's form and back."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3_names import tag_text

# option of a rule -> where S3 keeps it
ACTIONS = {
    "expiration_days": ("Expiration", "Days"),
    "expired_object_delete_marker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "noncurrent_version_expiration_days": ("NoncurrentVersionExpiration", "NoncurrentDays"),
    "newer_noncurrent_versions": ("NoncurrentVersionExpiration", "NewerNoncurrentVersions"),
    "abort_incomplete_multipart_days": ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
MAX_RULES, MAX_ID, MAX_NEWER_VERSIONS = 1000, 255, 100

RULE_SPEC = {
    "id": {"type": "str", "required": True},
    "enabled": {"type": "bool", "default": True},
    "prefix": {"type": "str"},
    "tags": {"type": "dict"},
    "expiration_days": {"type": "int"},
    "expired_object_delete_marker": {"type": "bool"},
    "noncurrent_version_expiration_days": {"type": "int"},
    "newer_noncurrent_versions": {"type": "int"},
    "abort_incomplete_multipart_days": {"type": "int"},
}


def rule_problems(rules):
    """Return a list of what is wrong with `rules` (dicts of RULE_SPEC), each in words that name the rule."""
    problems = [f"there are {len(rules)} rules and at most {MAX_RULES} are allowed"] if len(rules) > MAX_RULES else []
    seen = set()
    for rule in rules:
        found = _one_rule_problems(rule)
        if rule["id"] in seen:
            found.append("the id is used twice")
        seen.add(rule["id"])
        problems.extend(f"rule {rule['id']!r}: {problem}" for problem in found)
    return problems


def _one_rule_problems(rule):
    """Return what is wrong with one rule in itself."""
    found = []
    if not 1 <= len(rule["id"]) <= MAX_ID:
        found.append(f"the id must have 1 to {MAX_ID} characters")
    for name in ACTIONS:
        if name != "expired_object_delete_marker" and rule[name] is not None and rule[name] < 1:
            found.append(f"{name} must be at least 1")
    if not any(rule[name] for name in ACTIONS if name != "newer_noncurrent_versions"):
        found.append("it does nothing; give at least one of " + ", ".join(n for n in ACTIONS if n != "newer_noncurrent_versions"))
    if rule["expiration_days"] and rule["expired_object_delete_marker"]:
        found.append("expiration_days and expired_object_delete_marker exclude each other; make two rules")
    if rule["newer_noncurrent_versions"] is not None:
        if not rule["noncurrent_version_expiration_days"]:
            found.append("newer_noncurrent_versions needs noncurrent_version_expiration_days")
        if rule["newer_noncurrent_versions"] > MAX_NEWER_VERSIONS:
            found.append(f"newer_noncurrent_versions can be at most {MAX_NEWER_VERSIONS}")
    if rule["tags"]:
        for name in ("expired_object_delete_marker", "abort_incomplete_multipart_days"):
            if rule[name]:
                found.append(f"{name} cannot be limited by tags; make a rule without tags for it")
    return found


def clean_rule(rule):
    """Return `rule` (a dict of RULE_SPEC) with what has a meaning alone: nothing unset, false, or filtering by nothing."""
    result = {"id": rule["id"], "enabled": rule["enabled"]}
    for name in ("prefix", "tags", *ACTIONS):
        if rule.get(name):
            result[name] = {str(key): tag_text(value) for key, value in rule[name].items()} if name == "tags" else rule[name]
    return result


def to_s3(rule):
    """Return a clean rule in S3's form."""
    prefix, tags = rule.get("prefix", ""), [{"Key": key, "Value": value} for key, value in sorted(rule.get("tags", {}).items())]
    if not tags:
        chosen = {"Prefix": prefix}
    elif len(tags) == 1 and not prefix:
        chosen = {"Tag": tags[0]}
    else:
        chosen = {"And": {**({"Prefix": prefix} if prefix else {}), "Tags": tags}}
    result = {"ID": rule["id"], "Status": "Enabled" if rule["enabled"] else "Disabled", "Filter": chosen}
    for name, (group, key) in ACTIONS.items():
        if name in rule:
            result.setdefault(group, {})[key] = rule[name]
    return result


def from_s3(rule):
    """Return a server's rule as a clean rule; what no option can say stands under `other`, so that it counts as a difference.

    Knows the forms of one meaning: the prefix in the rule itself (the oldest), in Filter, or in Filter/And, and filters by nothing.
    """
    rest = {key: value for key, value in rule.items() if key not in ("ID", "Status", "Prefix", "Filter")}
    chosen = dict(rule.get("Filter") or {})
    both = dict(chosen.pop("And", None) or {})
    prefix = "".join(place or "" for place in (rule.get("Prefix"), chosen.pop("Prefix", None), both.pop("Prefix", None)))
    tags = list(both.pop("Tags", None) or []) + ([chosen.pop("Tag")] if chosen.get("Tag") else [])
    result = {"id": rule.get("ID", ""), "enabled": rule.get("Status") == "Enabled"}
    if prefix:
        result["prefix"] = prefix
    if tags:
        result["tags"] = {tag["Key"]: tag["Value"] for tag in tags}
    for name, (group, key) in ACTIONS.items():
        if isinstance(rest.get(group), dict):
            rest[group] = dict(rest[group])
            value = rest[group].pop(key, None)
            if value:
                result[name] = value
    chosen = {key: value for key, value in {**chosen, **both}.items() if value not in (None, "", 0)}
    other = {key: value for key, value in {**rest, "Filter": chosen}.items() if value}
    if other:
        result["other"] = other
    return result


def by_id(rules):
    """Return `rules` in an order of their own: S3 gives the order no meaning, and servers change it."""
    return sorted(rules, key=lambda rule: rule["id"])
