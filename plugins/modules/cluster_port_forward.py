#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: makes a port of a cluster's pods reachable from the host that runs the module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_port_forward
short_description: Reach a port of a cluster's pods from this host
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Starts a process that listens on V(127.0.0.1) at a free port and passes every connection on to a ready pod, by the API server's
    C(portforward), so that it works wherever the API server can be reached. The process outlives the module; a play that wants the same
    later gets the same process.
  - Where the target can be connected to without that, for example from a pod of the cluster, no process is started and that address is
    returned.
  - When a pod goes away, new connections go to another one.
options:
  state:
    description:
      - With V(present) the target can be reached under the address that is returned.
      - With V(absent) the process is ended, with the connections that it has.
    type: str
    choices: [present, absent]
    default: present
  namespace:
    description: Namespace of the target.
    type: str
    required: true
  service:
    description: Name of a Service. One of its ready pods takes the connections.
    type: str
  pod:
    description: Name of a pod.
    type: str
  selector:
    description: Label selector of pods, for example V(app.kubernetes.io/name=mlflow). One that is ready takes the connections.
    type: str
  port:
    description: Port of the Service, or else of the pod's container.
    type: int
    required: true
  direct:
    description:
      - Address V(host:port) that is used instead where it takes connections.
      - Unset means the Service's name in the cluster's DNS, and only if that leads to the Service's own address. An empty string means
        none.
    type: str
  scheme:
    description: Protocol that the result RV(url) begins with.
    type: str
    default: http
  timeout:
    description: Seconds to wait for a pod that is ready.
    type: int
    default: 30
  idle_seconds:
    description: Seconds without a connection after which the process ends by itself.
    type: int
    default: 600
  session:
    description:
      - Forwards of different sessions are different processes. Where several hosts of a play are managed from one, the host's name keeps
        one from ending what another uses.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    details:
      - Forwards as well, since that changes nothing and what comes next in a play may want to look. Where there is nothing to forward to
        yet, RV(available) is false in check mode.
  diff_mode:
    support: N/A
    details: The module changes nothing of the cluster.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
requirements:
  - websocket-client on the host that runs the module, which the package kubernetes brings
notes:
  - The user of the connection needs C(get) on C(services), C(list) on C(pods) (C(get) for O(pod)), and C(get) and C(create) on
    C(pods/portforward) in the namespace.
  - RV(ignore:changed) is always false, as nothing of the cluster changes.
  - Notes about the processes, and their locks, are in a directory of the user's own, below E(XDG_RUNTIME_DIR) or the directory for
    temporary files.
"""

EXAMPLES = r"""
- name: Reach the object store from here
  mlops.platform.cluster_port_forward:
    namespace: mlops
    service: mlops-object-store
    port: 8333
  register: forward

- name: Make a bucket
  mlops.platform.s3_bucket:
    endpoint_url: "{{ forward.url }}"
    access_key: "{{ access_key }}"
    secret_key: "{{ secret_key }}"
    name: models

- name: End it
  mlops.platform.cluster_port_forward:
    namespace: mlops
    service: mlops-object-store
    port: 8333
    state: absent
"""

RETURN = r"""
host:
  description: Where the target is reached.
  returned: with O(state=present)
  type: str
  sample: 127.0.0.1
port:
  description: The port there, V(0) where RV(available) is false.
  returned: with O(state=present)
  type: int
  sample: 40213
url:
  description: Both as a URL.
  returned: with O(state=present)
  type: str
  sample: http://127.0.0.1:40213
forwarded:
  description: Whether a process forwards; else RV(host) is the target itself.
  returned: with O(state=present)
  type: bool
available:
  description: Whether there is something to reach. It is false in check mode alone.
  returned: with O(state=present)
  type: bool
pid:
  description: The process, null where there is none.
  returned: with O(state=present)
  type: int
stopped:
  description: Whether a process was ended, or would be.
  returned: with O(state=absent)
  type: bool
"""

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_start import start, state_of

OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "namespace": {"type": "str", "required": True},
    "service": {"type": "str"},
    "pod": {"type": "str"},
    "selector": {"type": "str"},
    "port": {"type": "int", "required": True},
    "direct": {"type": "str"},
    "scheme": {"type": "str", "default": "http"},
    "timeout": {"type": "int", "default": 30},
    "idle_seconds": {"type": "int", "default": 600},
    "session": {"type": "str", "default": ""},
}
TARGETS = ("service", "pod", "selector")


def present(module):
    """Return the result of a target that can be reached. Raises ClusterError."""
    given = module.params
    try:
        found = start({**given, "timeout": 0} if module.check_mode else given, state_of(given))
    except ClusterError as error:
        # no such Service or pod, or none is ready
        if not (module.check_mode and (error.status == 404 or "is ready" in error.what)):
            raise
        found = {"host": "127.0.0.1", "port": 0, "pid": None}
    host = f"[{found['host']}]" if ":" in found["host"] else found["host"]
    url = f"{given['scheme']}://{host}:{found['port']}"
    return {**found, "url": url, "forwarded": found["pid"] is not None, "available": found["port"] != 0}


def main():
    """Run the module."""
    module = new_module(OPTIONS, mutually_exclusive=[TARGETS], required_one_of=[TARGETS])
    given = module.params
    if given["direct"] and not given["direct"].rpartition(":")[2].isdigit():
        module.fail_json(msg=f"direct: {given['direct']!r} is no address; write it as host:port")
    try:
        if given["state"] == "present":
            result = present(module)
        else:
            state = state_of(given)
            result = {"stopped": bool(state.running()) if module.check_mode else state.stop()}
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
