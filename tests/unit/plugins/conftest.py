"""What the tests of plugins share."""

from __future__ import annotations

import pytest
from lib import modules
from lib.api_server import ApiServer

modules.FORKED = True


@pytest.fixture
def api():
    """A stand-in for a Kubernetes API server."""
    server = ApiServer()
    yield server
    server.close()
