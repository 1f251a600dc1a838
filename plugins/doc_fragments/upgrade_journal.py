# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules that keep the journal of an upgrade, on a host and in a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """What is said to the journal; where it is kept each module has in options of its own (module_utils/upgrade_journal.py)."""

    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(claimed) writes O(run) down as the one that upgrades. If it is the turn of another run, nothing is written, and that run is
        returned as RV(held_by).
      - V(recorded) adds O(entry) to the journal.
      - V(released) adds O(entry), if there is one, and lets the next run in.
    type: str
    choices: [claimed, recorded, released]
    required: true
  run:
    description: This run, as the lookup P(mlops.platform.controller_run#lookup) describes it.
    type: dict
    required: true
  over:
    description: A run that is known to have ended, whose turn may be taken.
    type: dict
    default: {}
  entry:
    description: What the journal gets. The key C(state) must be among it.
    type: dict
    default: {}
  anew:
    description: Whether the journal begins with O(entry), and what an earlier upgrade has left is forgotten.
    type: bool
    default: false
"""
