#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: waits until workloads are out, and says early and in words why they cannot be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_rollout
short_description: Wait until Deployments, StatefulSets, Jobs and PostgreSQL Clusters are out
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Waits until the newest revision of every workload is fully out - seen by its controller, all pods of the newest revision and ready, no
    old ones left - and until every Job is complete. A workload of no replicas is out when its last pod has ended.
  - A Cluster of CloudNativePG is out when its operator says that it is healthy, and its servers' pods are all there, ready, and of the
    image that it names; what the operator says alone may be of before the last change. One that hibernates is out when its last pod has
    ended.
  - Fails within a minute where waiting does not help - an image that cannot be pulled, a pod that no node can take, a missing Secret, a
    pod that a quota or a security policy refuses, a volume that nothing provides, a container that crashes again and again, a failed Job,
    pods of a Cluster's Job that fail one after the other, a phase that CloudNativePG does not leave by itself.
    The error names the workload, the pod and the container, and has their events, their last log lines, and what to do.
  - Pods that have been failing since before the module started are deleted once, so that they are tried again at once; see
    O(restart_broken).
options:
  namespace:
    description: Namespace of the workloads.
    type: str
    required: true
  workloads:
    description: What to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: Kind of the workload.
        type: str
        choices: [Deployment, StatefulSet, Job, Cluster]
        required: true
      name:
        description: Name of the workload.
        type: str
        required: true
  timeout:
    description: Seconds that all of it may take together.
    type: int
    default: 300
  restart_broken:
    description:
      - Whether pods of a Deployment or a StatefulSet that cannot start are deleted, so that their controller makes new ones, where nothing
        else gets them out of it in time. Those are pods that wait for their next try since before the module started, which may take five
        minutes although the reason is mended by now, and broken pods of an old revision that a StatefulSet waits for before it makes new
        ones.
      - A pod that works, or may still come to work, is never deleted, and no pod of a Cluster.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details: Returns at once, without a request and with C(ready) false, as what is waited for need not exist.
  diff_mode:
    support: N/A
    details: The module changes no object that anybody describes.
  idempotent:
    support: full
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.cluster
notes:
  - Kubernetes counts a pod without a readiness probe as ready from its start on, also where it crashes a second later. Give it a probe, or
    the Deployment C(minReadySeconds), which the module waits for.
  - A pod that no node can take is waited for as long as a cluster autoscaler is getting a node for it.
  - The user of the connection needs C(get) on the workloads, C(list) on C(pods), C(replicasets), C(events) and C(persistentvolumeclaims),
    C(get) on C(pods/log), and C(delete) on C(pods) for O(restart_broken). Without those on events, claims, logs and deletion it works,
    and says less.
"""

EXAMPLES = r"""
- name: Wait for the server and its database
  mlops.platform.cluster_rollout:
    namespace: mlops
    workloads:
      - {kind: StatefulSet, name: mlops-postgresql}
      - {kind: Deployment, name: mlops-mlflow}
    timeout: 300

- name: Run a Job to its end
  mlops.platform.cluster_rollout:
    namespace: mlops
    workloads: [{kind: Job, name: mlops-mlflow-migrate}]
  register: migration

- name: Show what it has left in its termination message
  ansible.builtin.debug:
    var: migration.workloads[0].termination_message
"""

RETURN = r"""
workloads:
  description: Every workload, in the order of O(workloads).
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the workload.
      type: str
    name:
      description: Name of the workload.
      type: str
    ready:
      description: Whether its newest revision is out, or the Job is complete.
      type: bool
    revision:
      description: The newest revision, a Deployment's number, a StatefulSet's hash, or the uid of a Job or Cluster.
      type: str
    pods:
      description: Names of the pods of the newest revision.
      type: list
      elements: str
    restarts:
      description: How often containers of these pods were started again.
      type: int
    seconds:
      description: After how many seconds this was so.
      type: float
    exit_code:
      description: Exit code of a Job's newest pod, null for what is no Job.
      type: int
    termination_message:
      description: What a Job's newest pod has written as its termination message.
      type: str
restarted:
  description: Names of the pods that were deleted because of O(restart_broken).
  returned: always
  type: list
  elements: str
trouble:
  description: Where a rollout failed. C(kind) and C(name) of the workload, C(pod), C(container) and C(reason), as far as they are known.
  returned: failure
  type: dict
  sample: {"kind": "Deployment", "name": "mlops-mlflow", "pod": "mlops-mlflow-5d7c-x2v", "container": "mlflow", "reason": "ErrImagePull"}
requests:
  description: How many requests were sent.
  returned: always
  type: int
"""

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, new_module
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_rollout import Rollout, RolloutError

OPTIONS = {
    "namespace": {"type": "str", "required": True},
    "workloads": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "kind": {"type": "str", "choices": ["Deployment", "StatefulSet", "Job", "Cluster"], "required": True},
            "name": {"type": "str", "required": True},
        },
    },
    "timeout": {"type": "int", "default": 300},
    "restart_broken": {"type": "bool", "default": True},
}


def main():
    """Run the module."""
    module = new_module(OPTIONS)
    given = module.params
    result = {"workloads": [], "restarted": [], "requests": 0}
    try:
        cluster = Cluster(given)
        rollout = Rollout(cluster, given["namespace"], given["workloads"], given["timeout"], given["restart_broken"])
        result["workloads"], result["restarted"] = rollout.results(), rollout.restarted
        if not module.check_mode:
            rollout.wait()
        result["requests"] = cluster.requests
    except RolloutError as error:
        result["requests"] = cluster.requests
        module.fail_json(msg=str(error), trouble=error.trouble, changed=bool(result["restarted"]), **result)
    except ClusterError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(changed=bool(result["restarted"]), **result)


if __name__ == "__main__":
    main()
