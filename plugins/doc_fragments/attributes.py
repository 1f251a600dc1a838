# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes that every module of this collection declares, and that the tests hold it to."""

from __future__ import annotations


class ModuleDocFragment:
    """Check mode, diff mode and idempotence, declared per module as C(attributes)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row outside C(check_mode) with the same arguments, the second run reports no change.
"""
