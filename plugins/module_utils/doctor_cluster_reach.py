# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers behind a cluster's Services, as the doctor's checks of a host see them: through a forward to a pod, opened for a moment.

A server that cannot be reached because of the cluster is a fact, not an error: the checks tell it, and the next server is looked at.
"""

from __future__ import annotations

import base64
import contextlib

from ansible_collections.mlops.platform.plugins.module_utils import cluster_exec, doctor_cluster, doctor_postgresql, doctor_storage
from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, connection_params
from ansible_collections.mlops.platform.plugins.module_utils.cluster_api import Cluster
from ansible_collections.mlops.platform.plugins.module_utils.cluster_forward_start import start, state_of
from ansible_collections.mlops.platform.plugins.module_utils.doctor import NotChecked

# seconds for a pod that is ready to take a connection; one that is not ready is not waited for
WAIT = 3
# seconds without a connection after which a forward ends, should this process be killed
IDLE = 60
FORBIDDEN = (401, 403)
# the keys of the platform's own Secrets; others may have a key of the same name
OWN_SECRETS = "-secrets"


class Behind:
    """What is behind the Services of one namespace."""

    def __init__(self, params, given=None):
        """`params`: the module's; `given`: {name: value} of secrets that no Secret has, as those of a server outside."""
        self.params, self.given = params, {name: value for name, value in (given or {}).items() if value}
        self.facts = None
        self._cluster = None

    def connection(self):
        """Return the connection to the API server, which is one for all layers. Raises ClusterError."""
        if self._cluster is None:
            self._cluster = Cluster(self.params)
        return self._cluster

    def lists(self, plan):
        """Return what the API says (doctor_cluster.look), asked once; the plan knows the platform's secrets then."""
        if self.facts is None:
            try:
                self.facts = doctor_cluster.look(self.connection(), plan["namespace"], plan["secret_objects"])
            except ClusterError as error:
                self.facts = {"unreachable": error.what, "remedy": error.remedy}
            plan.update(held={**self.given}, held_in={})
            for secret in doctor_cluster.listed(self.facts, "secrets"):
                if secret["metadata"]["name"].endswith(OWN_SECRETS):
                    for key in secret.get("data") or {}:
                        plan["held_in"][key] = secret["metadata"]["name"]
                        plan["held"].setdefault(key, decoded(secret, key))
        return self.facts

    def with_secrets(self, plan):
        """Return the lists. Raises NotChecked where the platform's secrets cannot be read."""
        facts = self.lists(plan)
        doctor_cluster.items(facts, "secrets")
        return facts

    @contextlib.contextmanager
    def way(self, plan, port, service=None, pod=None):
        """Open a way to a port of a Service or a pod; gives {"host", "port"}. Raises ClusterError, or NotChecked for want of rights."""
        target = {"namespace": plan["namespace"], "service": service, "pod": pod, "selector": None, "port": port}
        how = {"session": "doctor", "direct": None, "timeout": WAIT, "idle_seconds": IDLE}
        # the options that are not set have their places too
        params = {**self.params, **connection_params(self.params), **target, **how}
        state = state_of(params)
        try:
            found = start(params, state)
        except ClusterError as error:
            if error.status in FORBIDDEN:
                raise NotChecked(str(error)) from None
            raise
        try:
            yield found
        finally:
            state.stop()

    def run(self, plan, pod, container, argv):
        """Run a program in a pod; return (exit code, stdout, stderr). Raises ClusterError."""
        return cluster_exec.run(self.connection(), plan["namespace"], pod, container, argv)

    @contextlib.contextmanager
    def to_database(self, plan):
        """Open a way to PostgreSQL where a Service leads to it; gives the plan with its address from here. Raises as way()."""
        server = plan["postgresql"]
        if not server["service"]:
            yield plan
            return
        with self.way(plan, server["port"], service=server["service"]) as found:
            yield {**plan, "postgresql": {**server, "host": found["host"], "port": found["port"]}}

    def database(self, plan):
        """Look at PostgreSQL (doctor_postgresql)."""
        self.with_secrets(plan)
        server = plan["postgresql"]
        try:
            with self.to_database(plan) as reached:
                facts = doctor_postgresql.look(reached)
        except ClusterError as error:
            return {"reached": False, "said": error.what, "driver": True, "logins": {}, "server": None, "public_schema": {}}
        if not server["service"] and not facts["reached"]:
            raise NotChecked(f"{server['host']}:{server['port']} is not reached from here ({facts['said']}); the pods may reach it")
        return facts

    def storage(self, plan):
        """Look at the object store (doctor_storage)."""
        facts, store = self.with_secrets(plan), plan["object_store"]
        env = environment(facts, plan["mlflow"]["environment"])
        # a path in a pod
        env.pop("AWS_CA_BUNDLE", None)
        if not store["service"]:
            found = doctor_storage.ask(plan, env)
            if found["listed"][0] in doctor_storage.NO_ANSWER:
                raise NotChecked(f"{store['url']} is not reached from here ({found['listed'][1]}); the pods may reach it")
            return found
        try:
            with self.way(plan, store["port"], service=store["service"]) as found:
                through = {**store, "through": f"http://{found['host']}:{found['port']}"}
                return doctor_storage.ask({**plan, "object_store": through}, env)
        except ClusterError as error:
            return {"environment": env, "listed": (doctor_storage.NO_ANSWER[0], error.what)}


def decoded(secret, key):
    """Return a value of a Secret as text, "" where it is none."""
    try:
        return base64.b64decode(secret["data"][key] or "").decode()
    except ValueError:
        return ""


def environment(facts, name):
    """Return {variable: value} of the ConfigMap and the Secret `name`: what the pods get from both."""
    found = {}
    for entry in doctor_cluster.listed(facts, "configmaps"):
        if entry["metadata"]["name"] == name:
            found.update(entry.get("data") or {})
    for entry in doctor_cluster.listed(facts, "secrets"):
        if entry["metadata"]["name"] == name:
            found.update({key: decoded(entry, key) for key in entry.get("data") or {}})
    return found
