"""Another way in, a port of every node with TLS, and the rights of a user of the namespace alone."""

from __future__ import annotations

import os
import re
import secrets
import ssl

import pytest
from lib import platform_clients as clients
from lib.platform_proc import wait_until


def test_down_with_the_documented_rights_and_up_behind_tls(platform, cluster):
    """The next run has another way in: a port of every node, with a certificate of the platform's own authority."""
    run_id, content = platform.new_run("tls"), os.urandom(300_000)
    platform.put_artifact(run_id, "data.bin", content)
    platform.run("playbooks/down.yml", extra=platform.as_tenant()).ok()
    wait_until("no pod is left", lambda: not platform.pods(), 120)
    address, port = cluster.node_address(), 30000 + secrets.randbelow(2700)
    platform.variables.update(mlflow_expose="nodeport", mlops_public_names=[address], mlflow_node_port=port)
    run = platform.run().ok()
    assert f"read back and removed through https://{address}:{port}" in re.sub(r"\s+", " ", run.output)
    platform.wait_until_up()
    assert platform.artifact(run_id, "data.bin") == content
    # by the platform's own authority alone
    with pytest.raises(ssl.SSLCertVerificationError):
        clients.Http(platform.url, ca=ssl.get_default_verify_paths().cafile)("GET", "/health")
    platform.run().unchanged()
    for name in ("mlflow_expose", "mlops_public_names", "mlflow_node_port"):
        platform.variables.pop(name)
    platform.run().ok()
    platform.wait_until_up()
