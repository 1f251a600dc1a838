"""Tier changes: what changed variables, kills and power cuts do to the local substrate.

It has a platform of its own, so that it can run beside the tier integration: on ports of its own, where MLOPS_TEST_PORTS names none.
"""

import os
import sys

import pytest_tier

os.environ.setdefault("MLOPS_TEST_PORTS", "17000")
sys.exit(pytest_tier.main("tests/changes"))
