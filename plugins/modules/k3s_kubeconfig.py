#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: a K3s server's kubeconfig on the controller, with an address that works from there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_kubeconfig
short_description: Keep a K3s cluster's kubeconfig on the controller
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Writes the kubeconfig that a server has made for itself, with another address in it, readable by its owner alone, and proves that the
    API
    answers at that address with it. A file that works stays, if the server has merely renewed its certificate, until it is a month old.
options:
  content:
    description: The server's C(/etc/rancher/k3s/k3s.yaml).
    type: str
    required: true
  address:
    description: The name or address, with C(:PORT) where it is not 6443, under which the controller reaches the API.
    type: str
    required: true
  path:
    description: The file. Its directory is made with mode V(0700) when it is missing.
    type: path
    required: true
  timeout:
    description: Seconds to wait for the API.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The diff says that the file changes, and shows nothing of it.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Keep the kubeconfig
  mlops.platform.k3s_kubeconfig:
    content: "{{ server_kubeconfig.content | b64decode }}"
    address: 192.0.2.11
    path: "{{ inventory_dir }}/artifacts/kubeconfig"
  delegate_to: localhost
"""

RETURN = r"""
server:
  description: The URL in the file.
  returned: success
  type: str
  sample: https://192.0.2.11:6443
"""

import base64
import http.client
import os
import re
import ssl
import tempfile
import time
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import hold, replace_file
from ansible_collections.mlops.platform.plugins.module_utils.k3s_plan import at_port

MONTH = 30 * 24 * 3600


def data(content, key):
    """Return what a kubeconfig has under KEY-data, decoded."""
    match = re.search(rf"{key}-data: *(\S+)", content)
    return base64.b64decode(match.group(1)) if match else b""


def trouble(content, server):
    """Return why the API does not answer, or an empty text."""
    where = urllib.parse.urlsplit(server)
    try:
        tls = ssl.create_default_context(cadata=data(content, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as both:
            both.write(data(content, "client-certificate") + b"\n" + data(content, "client-key"))
            both.flush()
            tls.load_cert_chain(both.name)
        connection = http.client.HTTPSConnection(where.hostname, where.port, context=tls, timeout=10)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return "" if answer.status == 200 else f"{answer.status} {answer.reason}"
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error)


def still_good(before, content, server, path):
    """Return whether the file can stay although the server has another certificate now, as it may have after each restart.

    One that is a month old is replaced, long before it expires.
    """
    if before is None or f"server: {server}" not in before:
        return False
    authority = "certificate-authority"
    if data(before, authority) != data(content, authority) or time.time() - os.stat(path).st_mtime > MONTH:
        return False
    return not trouble(before, server)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "str", "required": True, "no_log": True},
            "address": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    path, server = given["path"], f"https://{at_port(given['address'])}"
    content, count = re.subn(r"(?m)^(\s+server:) .*$", rf"\1 {server}", given["content"])
    if count != 1:
        module.fail_json(msg="what the server has is no kubeconfig of K3s: it has no server in it")
    try:
        with open(path, encoding="utf-8") as stream:
            before = stream.read()
    except OSError:
        before = None
    changed = before != content and not still_good(before, content, server, path)
    if not changed:
        content = before
    try:
        if changed and not module.check_mode:
            if not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path), mode=0o700)
            replace_file(path, content.encode(), 0o600)
        elif before is not None:
            changed |= hold(path, 0o600, check=module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{path}: {error}; set k3s_kubeconfig to a file that this user may write")
    end = time.monotonic() + given["timeout"]
    why = trouble(content, server)
    while why and time.monotonic() < end:
        time.sleep(2)
        why = trouble(content, server)
    if why:
        module.fail_json(
            msg=f"the API does not answer at {server} from the controller: {why}. Open the port to it, or set"
            " k3s_kubeconfig_address, or k3s_api_endpoint, to an address that the controller reaches; a name that the certificate"
            " does not have yet belongs into k3s_tls_sans"
        )
    diff = {"before_header": path, "after_header": path, "before": "", "after": "(changes; the content is secret)\n" if changed else ""}
    module.exit_json(changed=changed, server=server, diff=diff)


if __name__ == "__main__":
    main()
