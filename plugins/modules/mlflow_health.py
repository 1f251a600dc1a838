#!/usr/bin/python
# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module mlflow_health: options and result; the work is in module_utils/mlflow_health.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_health
short_description: Wait for an MLflow server and say why it is not well
version_added: 0.1.0
author: [The mlops.platform maintainers (@mlops-platform)]
description:
  - Checks an MLflow tracking server from a user's side, and waits until it is well.
  - MLflow's own C(/health) answers C(OK) with its database stopped, with a schema that is out of date and with an object store that refuses
    its key. This module tells these apart, and says what to do about each.
extends_documentation_fragment:
  - mlops.platform.attributes
  - mlops.platform.mlflow
attributes:
  check_mode:
    support: full
    details:
      - A roundtrip writes, so in check mode the database is read instead, and RV(depth_reached) says so.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Changed only when a roundtrip had to make or restore its experiment.
options:
  depth:
    description:
      - How far to look.
      - V(liveness) - the process answers, is MLflow, and accepts this C(Host) header. Needs no login and
        does not read the database.
      - V(database) - also a login and a read that the server can only answer from its database.
      - V(roundtrip) - also writes a run with a parameter, a metric, a tag and an artifact through the server's proxy, reads them back,
        compares them byte by byte, and deletes them, also when it fails half-way.
    type: str
    choices: [liveness, database, roundtrip]
    default: database
  expect:
    description:
      - The states to wait for. The module fails if none of them is reached.
      - For example V(auth_required) with an empty O(username) proves that the server lets nobody in without a login, and V(unreachable)
        that it is stopped.
    type: list
    elements: str
    choices:
      - ok
      - artifact_store_unwritable
      - auth_failed
      - auth_required
      - client_incompatible
      - db_unavailable
      - db_unmigrated
      - host_rejected
      - not_mlflow
      - server_error
      - tls_error
      - unreachable
    default: [ok]
  wait_timeout:
    description: Seconds to wait for one of O(expect). V(0) looks once.
    type: int
    default: 60
  delay:
    description: Seconds between the first two attempts. The pause grows by half each time, up to 10 seconds.
    type: float
    default: 1
  grace:
    description:
      - Seconds after which a state that waiting cannot mend - such as a refused password, a wrong certificate, a rejected host or a missing
        bucket - ends the wait. It is not zero because a rolling start can show such a state for a moment.
    type: int
    default: 10
  client_version:
    description:
      - MLflow version of the clients that will use the server. RV(status=client_incompatible) if the server is of an older major version.
        A server that does not tell its version is asked for the logged-models API, which clients from 3.0 need.
      - A client may use features of a newer minor version than the server's; the server refuses these alone.
      - Needs O(depth=database) or O(depth=roundtrip).
    type: str
  experiment_name:
    description:
      - Experiment in which O(depth=roundtrip) works. It is made when it is missing, and kept.
      - MLflow's API deletes artifacts for good, but only marks runs as deleted until C(mlflow gc). So that a check that runs every minute
        does not fill the database, a run that a check of the last 24 hours deleted is restored and used again. What remains is one deleted
        run a day (one more for each check at the same time) with one metric value a check, until C(mlflow gc), and in a versioned
        bucket the deleted versions of the artifacts, until the bucket's lifecycle rule.
      - A user who is not an administrator needs EDIT on this experiment, or one of its own.
    type: str
    default: mlops-platform-health
seealso:
  - module: mlops.platform.mlflow_info
  - module: mlops.platform.client_pins
    description: Holds what files pin against a server's version, with the same rule.
"""

EXAMPLES = r"""
- name: Wait for MLflow and its database
  mlops.platform.mlflow_health:
    tracking_uri: "{{ mlflow_tracking_uri }}"
    username: "{{ mlflow_username }}"
    password: "{{ mlflow_password }}"
    depth: database
    wait_timeout: 120
    delay: 2
    grace: 15
    timeout: 20

- name: More checks of one server, with the connection given once
  module_defaults:
    group/mlops.platform.mlflow:
      tracking_uri: "{{ mlflow_tracking_uri }}"
      username: "{{ mlflow_username }}"
      password: "{{ mlflow_password }}"
  block:
    - name: Write, read back and delete a run and an artifact
      mlops.platform.mlflow_health:
        depth: roundtrip
        experiment_name: platform-health

    - name: Hold the version against the clients'
      mlops.platform.mlflow_health:
        client_version: "3.17.2"

    - name: See that nobody gets in without a login
      mlops.platform.mlflow_health:
        username: ""
        password: ""
        expect: [auth_required]
        wait_timeout: 10
"""

RETURN = r"""
status:
  description: V(ok), or why the server is not well.
  returned: always
  type: str
  sample: db_unavailable
cause:
  description: The cause within the status, such as V(certificate_expired) within V(tls_error); V(null) when well.
  returned: always
  type: str
  sample: db_unavailable
message:
  description: The server's own words, or the network's.
  returned: always
  type: str
  sample: 'HTTP 503: (psycopg2.OperationalError) connection to server at "10.0.0.5", port 5432 failed: Connection refused'
remedy:
  description: What to do about it; empty when well.
  returned: always
  type: str
  sample: MLflow runs, its database does not answer. Check that PostgreSQL runs and that the server reaches it with its URL.
step:
  description: The step that failed; V(null) when well.
  returned: always
  type: str
  sample: read_database
depth_reached:
  description: The deepest level that was well, V(none), V(liveness), V(database) or V(roundtrip).
  returned: always
  type: str
  sample: liveness
latency_ms:
  description: Milliseconds of each step of the last attempt.
  returned: always
  type: dict
  sample: {"health": 1.4, "server_info": 2.0, "version": 8.1, "read_database": 9.3}
server_version:
  description: MLflow version of the server; V(null) where it is not known without a login.
  returned: always
  type: str
  sample: 3.17.2
attempts:
  description: How often the server was looked at.
  returned: always
  type: int
  sample: 3
elapsed:
  description: Seconds from the first attempt to the end of the last.
  returned: always
  type: float
  sample: 4.2
seen:
  description: The states that were seen, in their order, each with the seconds after which it showed first.
  returned: always
  type: list
  elements: dict
  sample: [{"status": "unreachable", "cause": "refused", "after": 0.0}, {"status": "ok", "cause": null, "after": 4.2}]
leftovers:
  description: What a roundtrip made and could not delete.
  returned: always
  type: list
  elements: str
  sample: []
notes:
  description: What was not checked, and why.
  returned: always
  type: list
  elements: str
  sample: ["artifacts were not checked: the server runs with --no-serve-artifacts"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import release
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection, mlflow_argument_spec
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import DEPTHS, LIVENESS, HealthCheck, Waiter
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_remedies import STATUSES


def _problems(params):
    """Return what is wrong with the module's own options."""
    if params["wait_timeout"] < 0 or params["grace"] < 0 or params["delay"] <= 0:
        yield "wait_timeout and grace: 0 or more seconds; delay: more than 0"
    if params["client_version"] and release(params["client_version"]) is None:
        yield f"client_version: {params['client_version']!r} is not a version such as 3.17.2"
    if params["client_version"] and params["depth"] == LIVENESS:
        yield "client_version: needs depth database or roundtrip"


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec=mlflow_argument_spec(
            depth={"type": "str", "choices": list(DEPTHS), "default": "database"},
            expect={"type": "list", "elements": "str", "choices": STATUSES, "default": ["ok"]},
            wait_timeout={"type": "int", "default": 60},
            delay={"type": "float", "default": 1},
            grace={"type": "int", "default": 10},
            client_version={"type": "str"},
            experiment_name={"type": "str", "default": "mlops-platform-health"},
        ),
        supports_check_mode=True,
    )
    params = module.params
    problems = list(_problems(params))
    try:
        connection = MlflowConnection(params)
    except ValueError as exc:
        problems.append(str(exc))
    if problems:
        module.fail_json(msg="; ".join(problems))

    result = {"changed": False}

    def attempt(seconds_left):
        # no request may outlive the wait by much; one that is tried at all gets a second
        connection.timeout = params["timeout"] if params["wait_timeout"] == 0 else max(1, min(params["timeout"], seconds_left))
        check = HealthCheck(
            connection,
            params["depth"],
            client_version=params["client_version"],
            experiment_name=params["experiment_name"],
            check_mode=module.check_mode,
        )
        diagnosis = check.run()
        result.update(
            changed=result["changed"] or check.changed,
            status=diagnosis.status if diagnosis else "ok",
            cause=diagnosis.cause if diagnosis else None,
            message=diagnosis.message if diagnosis else "OK",
            remedy=diagnosis.remedy if diagnosis else "",
            step=diagnosis.step if diagnosis else None,
            depth_reached=check.depth_reached,
            latency_ms=check.latency_ms,
            server_version=check.server_version,
            leftovers=check.leftovers,
            notes=check.notes,
        )
        return result["status"], result["cause"], diagnosis is None or diagnosis.waiting_helps

    waiter = Waiter(params["expect"], params["wait_timeout"], params["delay"], params["grace"])
    reached = waiter.run(attempt)
    result.update(attempts=waiter.attempts, elapsed=waiter.elapsed, seen=waiter.seen)
    if not reached:
        wanted = "" if params["expect"] == ["ok"] else f" instead of {' or '.join(params['expect'])}"
        said = result["message"] if result["message"].endswith(".") else result["message"] + "."
        module.fail_json(
            msg=f"MLflow at {connection.tracking_uri} is {result['status']}{wanted} after {waiter.elapsed} s "
            f"and {waiter.attempts} attempt(s): {said} {result['remedy']}".strip(),
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
