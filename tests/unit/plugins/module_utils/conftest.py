"""What the tests share that wait for workloads."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import cluster_rollout
from lib.rollout_world import World


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    found = Clock()
    monkeypatch.setattr(cluster_rollout, "time", found)
    return found


@pytest.fixture
def world(api, clock):
    return World(api)
