# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules for S3 names: buckets and tags, checked before any request."""

from __future__ import annotations

import re

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html
MAX_TAGS, MAX_TAG_KEY, MAX_TAG_VALUE = 50, 128, 256


def bucket_name_problems(name):
    """Return a list of the rules of S3 that `name` breaks, each in words; empty when it is a good bucket name."""
    problems = []
    if not 3 <= len(name) <= 63:
        problems.append(f"it has {len(name)} characters and must have 3 to 63")
    wrong = sorted(set(re.findall(r"[^a-z0-9.-]", name)))
    if wrong:
        problems.append(f"it has {' '.join(map(repr, wrong))}; only lower-case letters, digits, '-' and '.' are allowed")
    if name and not (re.match(r"[a-z0-9]", name) and re.search(r"[a-z0-9]\Z", name)):
        problems.append("it must begin and end with a lower-case letter or a digit")
    if ".." in name:
        problems.append("it has two dots in a row")
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name):
        problems.append("it looks like an IP address")
    problems.extend(f"the beginning {prefix!r} is reserved" for prefix in PREFIXES if name.startswith(prefix))
    problems.extend(f"the end {suffix!r} is reserved" for suffix in SUFFIXES if name.endswith(suffix))
    return problems


def tag_text(value):
    """Return a tag's value as S3 stores it: text; a boolean in lower case, as YAML writes it, and null as the empty text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def tag_problems(tags):
    """Return a list of the rules of S3 that `tags` (a dict of texts) break, each in words."""
    problems = [f"there are {len(tags)} tags and at most {MAX_TAGS} are allowed"] if len(tags) > MAX_TAGS else []
    for key, value in tags.items():
        if not 1 <= len(key) <= MAX_TAG_KEY:
            problems.append(f"the key {key[:40]!r} has {len(key)} characters and must have 1 to {MAX_TAG_KEY}")
        if key.lower().startswith("aws:"):
            problems.append(f"the key {key!r} is reserved by its beginning 'aws:'")
        if len(value) > MAX_TAG_VALUE:
            problems.append(f"the value of {key!r} has {len(value)} characters and may have {MAX_TAG_VALUE}")
    return problems
