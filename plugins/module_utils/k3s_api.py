# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The least of a client for a K3s server's API, with the certificates that K3s keeps on the host: a host has no Kubernetes client."""

from __future__ import annotations

import http.client
import json
import os
import ssl

PORT = 6443
# where an agent finds all servers
AGENT_PORT = 6444
# set on a node that was made unschedulable here, so that no other one is made schedulable again
MARK = "mlops.platform/cordoned"


class ApiError(Exception):
    """An answer of the API that is no success; `status` is HTTP's."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text.strip()[:500]}")
        self.status = status


class Api:
    """Questions to one server."""

    def __init__(self, address, port, authority, certificate, key, timeout=5):
        """Prepare the connections. Raises OSError where a file is missing: nothing was started here yet."""
        self.address, self.port, self.timeout = address, port, timeout
        self.tls = ssl.create_default_context(cafile=authority)
        # the cluster's own authority signed the certificate; the address may be one that it does not name, such as 127.0.0.1
        self.tls.check_hostname = False
        self.tls.load_cert_chain(certificate, key)

    def call(self, method, path, body=None, kind="application/json"):
        """Return what the API answers, parsed where it is JSON. Raises ApiError, OSError."""
        connection = http.client.HTTPSConnection(self.address, self.port, context=self.tls, timeout=self.timeout)
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body), {"Content-Type": kind, "Accept": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__} {error}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def find(self, path):
        """Return an object, or None where there is none. Raises ApiError, OSError."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def trouble(self):
        """Return why this server is not ready, with its etcd, or an empty text."""
        try:
            self.call("GET", "/readyz")
        except ApiError as error:
            failed = [line for line in str(error).splitlines() if line.startswith("[-]")]
            return "; ".join(failed) or str(error)
        except OSError as error:
            return f"https://{self.address}:{self.port}: {error}"
        return ""

    def nodes(self):
        """Return all nodes as `node_view` shows them. Raises ApiError, OSError."""
        return [node_view(item) for item in self.call("GET", "/api/v1/nodes")["items"]]

    def node(self, name):
        """Return one node as `node_view` shows it, or None. Raises ApiError, OSError."""
        item = self.find(f"/api/v1/nodes/{name}")
        return node_view(item) if item else None


def server_api(data_dir, address="127.0.0.1", timeout=5):
    """Return the API of the server at `address`, as the administrator whose certificate this server has. Raises OSError."""
    tls = os.path.join(data_dir, "server", "tls")
    files = [os.path.join(tls, name) for name in ("server-ca.crt", "client-admin.crt", "client-admin.key")]
    return Api(address, PORT, *files, timeout=timeout)


def agent_api(data_dir, timeout=5):
    """Return the API as the kubelet of this agent reaches it, which may read its own node. Raises OSError."""
    folder = os.path.join(data_dir, "agent")
    files = [os.path.join(folder, name) for name in ("server-ca.crt", "client-kubelet.crt", "client-kubelet.key")]
    return Api("127.0.0.1", AGENT_PORT, *files, timeout=timeout)


def node_view(item):
    """Return what matters of a Node object."""
    meta, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    labels = meta.get("labels", {})
    ready = conditions.get("Ready", {})
    return {
        "name": meta["name"],
        "server": any(f"node-role.kubernetes.io/{role}" in labels for role in ("control-plane", "master", "etcd")),
        "address": next((one["address"] for one in status.get("addresses", []) if one["type"] == "InternalIP"), ""),
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "ready": ready.get("status") == "True",
        "reason": ready.get("message", ""),
        # K3s says so of its etcd members; a learner does not vote yet
        "voter": conditions.get("EtcdIsVoter", {}).get("status", "True") == "True",
        "schedulable": not spec.get("unschedulable", False),
        "cordoned_here": MARK in meta.get("annotations", {}),
    }
