#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: a cluster of k3d from a configuration, and its kubeconfig."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3d_cluster
short_description: Make or remove a K3s cluster in Docker's containers
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Makes a cluster from a configuration of k3d (C(k3d.io/v1alpha5), C(Simple)), starts one that is stopped, and writes its kubeconfig,
    mode 0600.
  - A cluster that is there is not changed. Where its configuration is another one than O(config) the module fails and says what differs,
    or, with O(recreate), deletes it with its data and makes it anew.
  - The configuration that a cluster was made with is noted in O(directory). Of a cluster without such a note only the numbers of nodes,
    the image and the ports are compared.
options:
  name:
    description: The cluster's name.
    type: str
    required: true
  state:
    description: Whether it is there. V(absent) removes its volumes, too.
    type: str
    choices: [present, absent]
    default: present
  config:
    description: The configuration, without its head and the name, and without passwords. Required with O(state=present).
    type: dict
  secret_config:
    description: More of the configuration, which is merged into O(config) and shown nowhere, such as C(token) and C(registries).
    type: dict
    default: {}
  directory:
    description: Where configurations are kept, mode 0700.
    type: path
    required: true
  kubeconfig:
    description: The file of the kubeconfig. Unset means none.
    type: path
  recreate:
    description: Whether a cluster with another configuration is deleted, with all data in it, and made anew.
    type: bool
    default: false
  program:
    description: The program C(k3d).
    type: path
    default: k3d
attributes:
  check_mode:
    support: full
    details: Where the program is not there yet, a real run installs it first; then the cluster is taken for missing.
  diff_mode:
    support: full
    details: What may hold passwords is named and not shown.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
"""

EXAMPLES = r"""
- name: Make a cluster
  mlops.platform.k3d_cluster:
    name: mlops
    directory: ~/.config/mlops-k3d
    kubeconfig: ~/.config/mlops-k3d/kubeconfig
    config:
      servers: 1
      image: docker.io/rancher/k3s:v1.35.8-k3s1
      ports:
        - port: 127.0.0.1:30500:30500
          nodeFilters: [loadbalancer]

- name: Remove it with its data
  mlops.platform.k3d_cluster:
    name: mlops
    directory: ~/.config/mlops-k3d
    kubeconfig: ~/.config/mlops-k3d/kubeconfig
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [created]
differences:
  description: What the cluster's configuration had otherwise.
  returned: always
  type: list
  elements: str
  sample: ["agents: 0 -> 2"]
"""

import json
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.dict_transformations import dict_merge
from ansible_collections.mlops.platform.plugins.module_utils import k3d
from ansible_collections.mlops.platform.plugins.module_utils.host_paths import replace_file


class Cluster:
    """One cluster, with the notes of it."""

    def __init__(self, module):
        self.given, self.check = module.params, module.check_mode
        folder, name = self.given["directory"], self.given["name"]
        # the one is what a finished cluster was made with; the other is there while it is made
        self.note, self.pending = os.path.join(folder, f"{name}.yaml"), os.path.join(folder, f"{name}.new.yaml")
        self.actions, self.differences = [], []
        there = shutil.which(self.given["program"])
        if not there and not self.check and self.given["state"] == "present":
            raise k3d.Failed(f"there is no program {self.given['program']}")
        self.found = k3d.clusters(self.given["program"]).get(name) if there else None

    def wanted(self):
        """Return the whole configuration."""
        head = {"apiVersion": "k3d.io/v1alpha5", "kind": "Simple", "metadata": {"name": self.given["name"]}}
        return dict_merge({**head, **self.given["config"]}, self.given["secret_config"])

    def compare(self):
        """Return what the cluster has otherwise."""
        if os.path.isfile(self.note):
            with open(self.note, encoding="utf-8") as stream:
                return k3d.differences(json.load(stream), self.wanted())
        return k3d.seen(self.found, self.wanted())

    def delete(self, action):
        """Delete the cluster."""
        self.actions.append(action)
        if not self.check:
            k3d.run(self.given["program"], "cluster", "delete", self.given["name"])
            for path in (self.note, self.pending):
                if os.path.exists(path):
                    os.unlink(path)

    def create(self):
        """Make the cluster. One whose making was interrupted is known by its note."""
        self.actions.append("created")
        if self.check:
            return
        os.makedirs(self.given["directory"], mode=0o700, exist_ok=True)
        # JSON is YAML; k3d wants the ending
        replace_file(self.pending, (json.dumps(self.wanted(), indent=1) + "\n").encode(), 0o600)
        k3d.run(self.given["program"], "cluster", "create", "--config", self.pending)
        os.rename(self.pending, self.note)

    def present(self):
        """Bring the cluster to what is wanted. Raises k3d.Failed where that takes a new one, and nobody asked for it."""
        if self.found is not None and os.path.isfile(self.pending):
            # its making did not end: there is nothing in it yet
            self.delete("removed an unfinished one")
            self.found = None
        if self.found is not None:
            found = self.compare()
            self.differences = k3d.in_words(found)
            if found and not self.given["recreate"]:
                raise k3d.Failed(
                    f"the cluster {self.given['name']} was made with another configuration, and k3d cannot change it:"
                    f" {'; '.join(self.differences)}."
                    " Set the variables back, or delete it with everything in it and make it anew: -e k3d_recreate=true"
                )
            if found:
                self.delete("deleted")
                self.found = None
        if self.found is None:
            self.create()
        elif k3d.stopped(self.found):
            self.actions.append("started")
            if not self.check:
                k3d.run(self.given["program"], "cluster", "start", self.given["name"])
        self.keep_kubeconfig()

    def keep_kubeconfig(self):
        """Write the kubeconfig where it is another one."""
        path = self.given["kubeconfig"]
        if not path:
            return
        before, mode = None, None
        if os.path.isfile(path):
            mode = os.stat(path).st_mode & 0o777
            with open(path, encoding="utf-8") as stream:
                before = stream.read()
        if self.check and self.actions:
            # a new cluster has a new authority
            self.actions.append("kubeconfig")
            return
        content = k3d.run(self.given["program"], "kubeconfig", "get", self.given["name"])
        if (before, mode) != (content, 0o600):
            self.actions.append("kubeconfig")
            if not self.check:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                replace_file(path, content.encode(), 0o600)

    def absent(self):
        """Remove the cluster, its kubeconfig and the notes of it."""
        if self.found is not None:
            self.delete("deleted")
        images = os.path.join(self.given["directory"], f"{self.given['name']}.images.json")
        paths = [self.given["kubeconfig"], self.note, self.pending, images]
        for path in paths:
            if path and os.path.isfile(path):
                self.actions.append(f"removed {path}")
                if not self.check:
                    os.unlink(path)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "config": {"type": "dict"},
            "secret_config": {"type": "dict", "default": {}, "no_log": True},
            "directory": {"type": "path", "required": True},
            "kubeconfig": {"type": "path"},
            "recreate": {"type": "bool", "default": False},
            "program": {"type": "path", "default": "k3d"},
        },
        required_if=[("state", "present", ["config"])],
        supports_check_mode=True,
    )
    cluster = None
    try:
        cluster = Cluster(module)
        cluster.present() if module.params["state"] == "present" else cluster.absent()
    except (k3d.Failed, OSError, ValueError) as error:
        module.fail_json(msg=str(error), differences=cluster.differences if cluster else [])
    module.exit_json(
        changed=bool(cluster.actions),
        actions=cluster.actions,
        differences=cluster.differences,
        diff={"before": "", "after": "".join(f"{line}\n" for line in cluster.differences + cluster.actions)},
    )


if __name__ == "__main__":
    main()
