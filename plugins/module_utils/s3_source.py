# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The second connection of the modules that read from one server and write to another."""

from __future__ import annotations

import types

from ansible_collections.mlops.platform.plugins.module_utils.s3 import Connection, S3Error
from ansible_collections.mlops.platform.plugins.module_utils.s3_facts import MISSING
from ansible_collections.mlops.platform.plugins.module_utils.s3_names import bucket_name_problems

# what both modules take beside the connection to the target; nothing of the source is read from the environment, which is the target's
SOURCE = {
    "endpoint_url": {"type": "str", "required": True},
    "access_key": {"type": "str", "required": True, "no_log": False},
    "secret_key": {"type": "str", "required": True, "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "region": {"type": "str"},
    "ca_bundle": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
    "bucket": {"type": "str", "required": True},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "source": {"type": "dict", "required": True, "options": SOURCE},
    "versions": {"type": "str", "choices": ["all", "current"], "default": "all"},
    "state_file": {"type": "path"},
    "progress_file": {"type": "path"},
    "workers": {"type": "int", "default": 8},
}


def two_ends(module):
    """Return source and target, each as (connection, bucket).

    Raises S3Error that names every option that cannot work, and every bucket that is not there.
    """
    source, target = module.params["source"], module.params["name"]
    problems = [f"source.bucket {source['bucket']!r} is no S3 bucket name: {problem}" for problem in bucket_name_problems(source["bucket"])]
    problems += [f"name {target!r} is no S3 bucket name: {problem}" for problem in bucket_name_problems(target)]
    if not 1 <= module.params["workers"] <= 64:
        problems.append("workers: must be between 1 and 64")
    ends = {}
    given = types.SimpleNamespace(params=source, fail_json=module.fail_json, warn=module.warn, no_log_values=module.no_log_values)
    for name, options in (("source", given), ("target", module)):
        try:
            ends[name] = Connection(options)
        except S3Error as error:
            problems.append(f"{name}: {error}")
    if len(ends) == 2 and (ends["source"].endpoint, source["bucket"]) == (ends["target"].endpoint, target):
        problems.append("source and target are the same bucket")
    if problems:
        raise S3Error("; ".join(problems))
    found = {"source": (ends["source"], source["bucket"]), "target": (ends["target"], target)}
    _look_at(found)
    return found["source"], found["target"]


def _look_at(ends):
    """Refuse buckets that are not there: raises S3Error that says which of {what: (connection, bucket)}."""
    problems = []
    for what, (connection, bucket) in ends.items():
        try:
            connection.call(f"look at bucket {bucket}", "head_bucket", Bucket=bucket)
        except S3Error as error:
            problems.append(f"{what}: there is no bucket {bucket} at {connection.where}" if error.code in MISSING else f"{what}: {error}")
    if problems:
        raise S3Error("; ".join(problems))
