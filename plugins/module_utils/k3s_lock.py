# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One module at a time installs or restarts K3s on a host.

A playbook that is killed leaves its module running on the host until that is done. The next run's would write the same files beside it, and
restart once more what it restarts.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

# gone with a reboot, as whoever held it is
LOCK = "/run/mlops-k3s.lock"


@contextmanager
def alone(needed=True):
    """Wait until no other module of K3s's runs on this host, and let none begin during the block. Does nothing where it is not `needed`."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600) if needed else None
    try:
        if needed:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # what ends the lock, too
        if needed:
            os.close(descriptor)
