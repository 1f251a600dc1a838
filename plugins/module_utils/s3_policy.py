# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bucket policies: two documents that grant the same are the same, however a server writes them down."""

from __future__ import annotations

import json
import re

# the language version that a document without "Version" has:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
OLDEST_VERSION = "2008-10-17"
_ACCOUNT_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root")


def parse_policy(text):
    """Return the policy in the JSON text `text` as a dict; an empty text, null and {} are the empty policy.

    Raises ValueError with words when it is not JSON or not an object.
    """
    if not text.strip():
        return {}
    try:
        policy = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if policy is None:
        return {}
    if not isinstance(policy, dict):
        raise ValueError("it must be a dictionary, or JSON text of one, with the keys Version and Statement")
    if policy and not policy.get("Statement"):
        raise ValueError("it has no Statement; to remove the policy, give {}")
    return policy


def canonical_policy(policy):
    """Return `policy` in a form that is equal for all documents of the same meaning (only for comparison)."""
    if not policy:
        return {}
    statements = {json.dumps(_statement(entry), sort_keys=True) for entry in _as_list(policy.get("Statement"))}
    rest = {key: value for key, value in policy.items() if key not in ("Version", "Statement") and value != ""}
    return {**rest, "Version": policy.get("Version") or OLDEST_VERSION, "Statement": sorted(statements)}


def _statement(entry):
    """Return one statement with lists sorted and every short form written out."""
    if not isinstance(entry, dict):
        return entry
    result = {}
    for key, value in entry.items():
        if key in ("Principal", "NotPrincipal"):
            result[key] = _principal(value)
        elif key in ("Action", "NotAction"):  # case does not count in action names
            result[key] = sorted({str(item).lower() for item in _as_list(value)})
        elif key in ("Resource", "NotResource"):
            result[key] = sorted({str(item) for item in _as_list(value)})
        elif key == "Condition":
            result[key] = _condition(value)
        elif value != "":  # an empty Sid is none
            result[key] = value
    return {key: value for key, value in result.items() if not (key == "Condition" and not value)}


def _principal(value):
    """Return a principal as a dict of sorted lists: "*" is {"AWS": "*"}, an account's number is its root."""
    if not isinstance(value, dict):
        value = {"AWS": value}
    return {kind: sorted({_account(str(item)) for item in _as_list(items)}) for kind, items in value.items()}


def _account(item):
    """Return the number of an account for each form of its name, and any other principal as it is."""
    match = _ACCOUNT_ROOT.fullmatch(item)
    return match.group(1) if match else item


def _condition(value):
    """Return conditions with sorted text values; the case of key names does not count."""
    if not isinstance(value, dict):
        return value
    result = {}
    for operator, tests in value.items():
        if not isinstance(tests, dict):
            result[operator] = tests
        elif tests:
            result[operator] = {str(key).lower(): sorted({_text(item) for item in _as_list(items)}) for key, items in tests.items()}
    return result


def _text(item):
    """Return a condition's value as policies compare it: text, booleans in lower case."""
    return str(item).lower() if isinstance(item, bool) else str(item)


def _as_list(value):
    """Return `value` in a list, unless it is one; nothing is the empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
