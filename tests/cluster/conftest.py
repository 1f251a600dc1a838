"""The cluster of these tests, and a platform of their own in it, made by site.yml in a namespace of its own.

`KUBECONFIG` names the cluster (`make test ARGS=cluster` makes one where it is not set). For whoever writes tests: `MLOPS_TEST_KEEP=1`
leaves the platform running at the end and says where it is; `MLOPS_TEST_NAMESPACE` takes that one again, and leaves it running as well.
"""

from __future__ import annotations

import os
import secrets

import pytest
from lib.cluster_platform import Cluster, ClusterPlatform, given_kubeconfig
from lib.long_tests import LONG

# what only looks comes first, what kills comes last
ORDER = (
    "test_cluster_contract.py",
    "test_cluster_doctor.py",
    "test_cluster_rollout.py",
    "test_cluster_recovery.py",
    "test_cluster_secrets.py",
    "test_cluster_rotate.py",
    "test_cluster_access.py",
    # loses both volumes, and restores them
    "test_cluster_backup.py",
    "test_cluster_log.py",
    "test_cluster_garbage.py",
    "test_cluster_upgrade.py",
    # takes the platform's own object store away and makes it anew
    "test_cluster_migration.py",
    # removes the platform in the end
    "test_cluster_playbooks.py",
    "test_cluster_split.py",
    "test_cluster_refusals.py",
    "test_cluster_outside.py",
    "test_cluster_bucket.py",
    "test_cluster_reset.py",
)


# whole runs under load; with them CI would take longer than the hour and a half that it has
LONG_FILES = {
    "test_cluster_rollout.py",
    "test_cluster_rotate.py",
    "test_cluster_access.py",
    "test_cluster_migration.py",
    "test_cluster_split.py",
}


def pytest_collection_modifyitems(items):
    # a file that is left out would come last, after the one that removes the platform
    stray = {item.path.name for item in items if "platform" in item.fixturenames and item.path.name not in ORDER}
    if stray:
        raise pytest.UsageError(f"ORDER in tests/cluster/conftest.py does not say when {', '.join(sorted(stray))} may have the platform")
    items.sort(key=lambda item: ORDER.index(item.path.name) if item.path.name in ORDER else len(ORDER))
    for item in items:
        if item.path.name in LONG_FILES:
            item.add_marker(LONG)


@pytest.fixture(scope="session")
def kubeconfig():
    """The path of an administrator's kubeconfig."""
    found = given_kubeconfig()
    if not found:
        pytest.skip("KUBECONFIG names no cluster")
    return found


@pytest.fixture(scope="session")
def cluster(kubeconfig):
    return Cluster(kubeconfig)


@pytest.fixture
def namespace(cluster):
    """The name of a namespace of the test's own, which does not exist yet and does not exist any more afterwards."""
    name = f"mlops-test-{secrets.token_hex(3)}"
    yield name
    cluster.remove_namespace(name)


@pytest.fixture(scope="session")
def platform(kubeconfig):
    """A running platform of these tests' own (lib.cluster_platform.ClusterPlatform)."""
    kept = os.environ.get("MLOPS_TEST_NAMESPACE")
    platform = ClusterPlatform.with_secrets(kubeconfig, kept)
    try:
        # on the empty cluster: what the first run does must be foreseen
        platform.empty_check = None if kept else platform.run(check=True, diff=True)
        platform.install()
        yield platform
    finally:
        if kept or os.environ.get("MLOPS_TEST_KEEP"):
            print(f"\nkept: MLOPS_TEST_NAMESPACE={platform.namespace}")
        else:
            platform.remove()
