# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version of MLflow may follow which. MLflow's databases have no way down, so a wrong step is refused before anything is touched."""

from __future__ import annotations

import re


def parse(text):
    """Return a release such as 3.17.2 as a tuple of three numbers, None where `text` is no release."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)$", str(text or ""))
    return tuple(map(int, match.groups())) if match else None


def problems(wanted, present, supported):
    """Return what is wrong with going from `present` (None: nothing is installed, or not known) to `wanted`, as (what, remedy).

    `supported`: the versions that this collection can install.
    """
    known = sorted(supported, key=parse)
    if wanted not in known:
        return [(f"mlflow_version is {wanted!r}, which this collection cannot install", f"set it to one of {', '.join(known)}")]
    before, after = parse(present), parse(wanted)
    if not before or before == after:
        return []
    if before > after:
        return [
            (
                f"mlflow_version is {wanted}, and the platform runs MLflow {present}, whose databases an older one cannot read",
                f"set it to {present}, or leave it out; to the version before the last upgrade leads playbooks/upgrade.yml"
                " -e upgrade_back=true, and to older ones a backup of that time",
            )
        ]
    if before[0] != after[0] or before < parse(known[0]):
        return [
            (
                f"the step from MLflow {present} to {wanted} is not a tested one",
                f"upgrade to {known[0]} first, with a release of this collection that has both",
            )
        ]
    return []
