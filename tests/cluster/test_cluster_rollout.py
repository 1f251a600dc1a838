"""Clients log metrics all the time while the platform is scaled and rolled: no request fails, and no metric is lost."""

from __future__ import annotations

from lib.platform_clients import Load

MLFLOW = "mlflow"


def servers(platform):
    return {name: pod.metadata.uid for name, pod in platform.pods(MLFLOW).items()}


def test_scaling_and_rolling_under_load(platform):
    """2 replicas, 3 with a setting that rolls every pod, and 2 again as they were, which rolls them too: one run each."""
    steps = ({"mlflow_replicas": 3, "mlflow_auth_cache_seconds": 61}, {})
    first = servers(platform)
    assert len(first) == 2
    with Load(platform) as load:
        found = []
        for extra in steps:
            platform.run(extra=extra).ok()
            found.append(servers(platform))
    print(f"{load.done} requests, {len(load.failures)} failed, {len(load.written)} metrics written")
    assert not load.failures, f"{len(load.failures)} of {load.done}: {load.failures[:10]}"
    assert load.done > 200
    assert not load.lost()
    assert [len(names) for names in found] == [3, 2]
    for old, new in zip([first, found[0]], found):
        assert not set(old.values()) & set(new.values())
    platform.run().unchanged()
