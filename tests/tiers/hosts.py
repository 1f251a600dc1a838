"""Where the programs are that give the tests disposable hosts with systemd, and whether they can be used here."""

from __future__ import annotations

import os
from pathlib import Path

from results import ROOT

PROGRAM = Path(os.environ.get("MLOPS_TEST_HOSTS") or ROOT.parent / "shared" / "kube" / "hosts")


def obstacle() -> str:
    """Return why no hosts can be made here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root, to make hosts with systemd"
    if not os.access(PROGRAM, os.X_OK):
        return "the program that makes hosts is not here; MLOPS_TEST_HOSTS can name it"
    return ""
