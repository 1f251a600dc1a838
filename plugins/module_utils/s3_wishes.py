# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of s3_bucket to the wanted facts; whatever is wrong with them is said at once, before any request."""

from __future__ import annotations

from ansible_collections.mlops.platform.plugins.module_utils.s3 import S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_lifecycle import by_id, clean_rule, rule_problems
from ansible_collections.mlops.platform.plugins.module_utils.s3_names import bucket_name_problems, tag_problems, tag_text
from ansible_collections.mlops.platform.plugins.module_utils.s3_policy import parse_policy


def checked_wishes(params):
    """Return the facts that `params` (the options of s3_bucket) ask for, each as a value or a function of the present value.

    Raises S3Error that names every option which cannot be met and what would be right.
    """
    problems = [f"name {params['name']!r} is no S3 bucket name: {problem}" for problem in bucket_name_problems(params["name"])]
    wishes = {}
    if params["state"] == "present":
        for read in (_versioning, _object_lock, _tags, _lifecycle_rules, _policy):
            read(params, wishes, problems)
    if problems:
        raise S3Error("; ".join(problems))
    return wishes


def _versioning(params, wishes, problems):
    if params["versioning"]:
        wishes["versioning"] = params["versioning"]
        if params["object_lock"] and params["versioning"] == "suspended":
            problems.append("versioning: a bucket with Object Lock must have versioning: enabled")


def _object_lock(params, wishes, problems):
    enabled, retention = params["object_lock"], params["object_lock_retention"]
    if enabled is None:
        return
    if retention is None:
        wishes["object_lock"] = lambda found: {**found, "enabled": enabled}
        return
    span = {unit: retention[unit] for unit in ("days", "years") if retention[unit] is not None}
    if not enabled:
        problems.append("object_lock_retention: needs object_lock: true")
    if len(span) != (retention["mode"] != "none"):
        problems.append("object_lock_retention: needs either days or years, and neither of them with mode: none")
    if any(value < 1 for value in span.values()):
        problems.append("object_lock_retention: days and years must be at least 1")
    wishes["object_lock"] = {"enabled": enabled, "mode": retention["mode"], **span}


def _tags(params, wishes, problems):
    if params["tags"] is None:
        return
    tags, purge = {str(key): tag_text(value) for key, value in params["tags"].items()}, params["purge_tags"]
    problems.extend(f"tags: {problem}" for problem in tag_problems(tags))
    wishes["tags"] = lambda found: {**{k: v for k, v in found.items() if not purge or k.startswith("aws:")}, **tags}


def _lifecycle_rules(params, wishes, problems):
    if params["lifecycle_rules"] is not None:
        problems.extend(f"lifecycle_rules: {problem}" for problem in rule_problems(params["lifecycle_rules"]))
        wishes["lifecycle_rules"] = by_id([clean_rule(rule) for rule in params["lifecycle_rules"]])


def _policy(params, wishes, problems):
    if params["policy"] is not None:
        try:
            wishes["policy"] = parse_policy(params["policy"])
        except ValueError as error:
            problems.append(f"policy: {error}")
