"""A platform of these tests' own, which they change, kill and cut the power of (lib.platform_session says how to keep it)."""

from __future__ import annotations

import pytest
from lib.platform_session import session_platform

# order of the files: what kills comes last
ORDER = (
    "test_platform_outage.py",
    "test_platform_doctor.py",
    "test_platform_secrets.py",
    "test_platform_changes.py",
    "test_platform_durability.py",
    "test_platform_kill.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(item.path.name) if item.path.name in ORDER else -1)


@pytest.fixture(scope="session")
def platform():
    """A running platform of these tests' own (lib.platform.Platform)."""
    with session_platform() as platform:
        yield platform
