"""Makes the clone importable as ``ansible_collections.mlops.platform``, as Ansible itself does, and every end an orderly one."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

ROOT = Path(__file__).resolve().parents[1]
# `import ansible_collections` would else find only the collections that the `ansible` package carries
_AnsibleCollectionFinder(paths=[str(ROOT / "collections")])._install()
sys.path.insert(0, str(ROOT / "tests"))


def pytest_configure(config):
    """Turn SIGTERM into an orderly end, so that what tests have made is removed when the runner stops them."""
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, lambda *_unused: pytest.exit("stopped by SIGTERM", returncode=143))
