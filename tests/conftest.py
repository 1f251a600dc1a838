"""Makes the clone importable as ``ansible_collections.mlops.platform``, as Ansible itself does."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

ROOT = Path(__file__).resolve().parents[1]
# `import ansible_collections` would else find only the collections that the `ansible` package carries
_AnsibleCollectionFinder(paths=[str(ROOT / "collections")])._install()
sys.path.insert(0, str(ROOT / "tests"))
