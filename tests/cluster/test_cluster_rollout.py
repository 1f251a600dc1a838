"""Clients log metrics all the time while the platform is scaled and rolled: no request fails, and no metric is lost."""

from __future__ import annotations

from lib.platform_clients import Load

MLFLOW = "mlflow"


def servers(platform):
    return {name: pod.metadata.uid for name, pod in platform.pods(MLFLOW).items()}


def test_scaling_and_rolling_under_load(platform):
    """2 replicas, 3, and 2 again with a setting that rolls every pod: one run each."""
    steps = ({"mlflow_replicas": 3}, {"mlflow_auth_cache_seconds": 61})
    first = servers(platform)
    assert len(first) == 2
    with Load(platform, pause=0.1) as load:
        found = []
        for extra in steps:
            platform.run(extra=extra).ok()
            found.append(servers(platform))
    assert load.done > 200
    assert [len(names) for names in found] == [3, 2]
    # scaling leaves the pods alone, a changed setting replaces every one
    assert set(first.values()) <= set(found[0].values())
    assert not set(found[0].values()) & set(found[1].values())
    print(f"{load.done} requests, {len(load.failures)} failed, {len(load.written)} metrics written")
    assert not load.failures, f"{len(load.failures)} of {load.done}: {load.failures[:10]}"
    assert not load.lost()
    platform.run(extra=steps[-1]).unchanged()
