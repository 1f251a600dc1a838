"""Tier integration: real servers on the local substrate.

The fixtures of tests/integration start them, unless MLOPS_TEST_CONNECTIONS names some that run.
"""

import sys

import pytest_tier

sys.exit(pytest_tier.main("tests/integration"))
