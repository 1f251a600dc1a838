# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version of K3s may follow which."""

from __future__ import annotations

import re

FORM = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)")


def parse(version):
    """Return a version as a tuple that sorts, or None for a text that is none. A release candidate comes before its release."""
    match = FORM.fullmatch(version)
    if not match:
        return None
    major, minor, patch, candidate, build = match.groups()
    return int(major), int(minor), int(patch), int(candidate) if candidate else 10**6, int(build)


def step_problem(there, wanted):
    """Return why a host with the version `there` cannot get `wanted`, or an empty text. Both are of the right form."""
    before, after = parse(there), parse(wanted)
    if before is None or before == after:
        return ""
    if after < before:
        return (
            f"is a downgrade from {there}, which K3s does not support: etcd and the API may not read newer data. Set it to {there} or"
            " a later one"
        )
    if after[0] == before[0] and after[1] > before[1] + 1:
        return f"skips a minor version: the host has {there}. Set k3s_version to a v{before[0]}.{before[1] + 1} release first, then go on"
    return ""
