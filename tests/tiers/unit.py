"""Tier unit: no server, no root, seconds."""

import sys

import pytest_tier

sys.exit(pytest_tier.main("tests/unit"))
