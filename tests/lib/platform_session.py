"""A platform for a whole session of tests: made by site.yml before the first test that asks for it, and removed after the last.

For whoever writes tests: `MLOPS_TEST_KEEP=1` leaves the platform running at the end and says where it is; `MLOPS_TEST_DATA_DIR` takes that
one again, in seconds, and leaves it running as well.
"""

from __future__ import annotations

import contextlib
import os

from lib.platform import Platform, remove_user, user_exists


@contextlib.contextmanager
def session_platform(install=Platform.install):
    """Give a running platform (lib.platform.Platform); `install` makes a new one run."""
    kept = os.environ.get("MLOPS_TEST_DATA_DIR")
    had_user = user_exists()
    platform = Platform.at(kept) if kept else Platform.new()
    try:
        if kept:
            platform.install()
        else:
            install(platform)
        yield platform
    finally:
        if kept or os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_DATA_DIR={platform.data_dir}")
        else:
            platform.reset()
            if not had_user:
                remove_user()
