#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: take K3s from a host, with all that it has made there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_reset
short_description: Remove K3s from a host
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Stops K3s and its containers, unmounts what they had, removes links, network namespaces, control groups and rules of iptables, the
    units, the binary and the configuration. Rules of others stay.
  - Data stays unless O(data) says otherwise. It tells no cluster that the node is gone; M(mlops.platform.k3s_node) does.
options:
  data:
    description: Whether the data goes, too. That is etcd with all objects of the cluster, local volumes, images, and this node's identity.
    type: bool
    default: false
  data_dir:
    description: K3s's data directory.
    type: path
    default: /var/lib/rancher/k3s
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Remove K3s, and keep what it stored
  mlops.platform.k3s_reset:
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/k3s.service, link cni0]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils import k3s_clean, k3s_files, k3s_lock, k3s_service

UNITS = ("k3s.service", "k3s-agent.service")
FOLDER = "/etc/systemd/system"


def files(data, data_dir):
    """Return the paths of all that is removed from the disk."""
    found = [os.path.join(FOLDER, unit) for unit in UNITS]
    # of the script of K3s, whose units these have replaced
    found += [os.path.join(FOLDER, f"{unit}.env") for unit in UNITS]
    binaries = os.path.dirname(k3s_files.BINARY)
    for name in ("kubectl", "crictl", "ctr"):
        path = os.path.join(binaries, name)
        if os.path.islink(path) and os.path.basename(os.readlink(path)) == "k3s":
            found.append(path)
    found += [k3s_files.BINARY, os.path.dirname(k3s_files.RECORD), k3s_service.STARTED, k3s_lock.LOCK, "/var/lib/mlops-k3s-release"]
    found += ["/run/k3s", "/run/flannel", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers"]
    # the identity of the node and the token are what its data is bound to
    found += ["/etc/rancher", data_dir] if data else ["/etc/rancher/k3s"]
    return [path for path in found if os.path.lexists(path)]


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"data": {"type": "bool", "default": False}, "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"}},
        supports_check_mode=True,
    )
    data, data_dir = module.params["data"], module.params["data_dir"].rstrip("/")
    if data_dir.count("/") < 2:
        module.fail_json(msg=f"k3s_data_dir {data_dir!r} is a directory of the system: it was not removed; name K3s's own")
    roots = ["/run/k3s", "/var/lib/kubelet", "/run/netns/cni-", data_dir]
    removed = files(data, data_dir)
    removed += [f"process {pid}" for pid in k3s_clean.leftovers(data_dir)]
    removed += [f"mount {place}" for place in k3s_clean.mounts(roots)]
    removed += [f"link {name}" for name in k3s_clean.links()] + [f"network namespace {name}" for name in k3s_clean.namespaces()]
    removed += [f"control group {path}" for path in k3s_clean.groups()] + k3s_clean.remains() + k3s_clean.folders()
    removed += [f"rules of {program}" for program in k3s_clean.rules()]
    if removed and not module.check_mode:
        try:
            for unit in UNITS:
                if k3s_service.state(unit)["LoadState"] == "loaded":
                    k3s_service.systemctl("disable", "--now", unit)
            k3s_clean.kill(data_dir)
            k3s_clean.unmount(roots)
            k3s_clean.remove_namespaces()
            k3s_clean.remove_groups()
            k3s_clean.remove_links()
            k3s_clean.remove_rules()
            for path in [*k3s_clean.remains(), *files(data, data_dir)]:
                k3s_clean.remove(path)
            k3s_clean.remove_folders()
            parent = os.path.dirname(data_dir)
            if data and os.path.isdir(parent) and not os.listdir(parent) and parent == "/var/lib/rancher":
                os.rmdir(parent)
            k3s_service.systemctl("daemon-reload")
            for unit in UNITS:
                # of these alone; one that has not failed is none to forget
                k3s_clean.run("systemctl", "reset-failed", unit)
        except (k3s_clean.Failed, k3s_service.Failed, OSError) as error:
            module.fail_json(msg=f"K3s was not wholly removed; run again once that is put right. {error}")
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
