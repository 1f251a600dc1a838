# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MLflow: each process, the way through the entry point under every public name, logins, schemas, artifacts, and its clients' versions."""

from __future__ import annotations

import os
import re
import time

from ansible_collections.mlops.platform.plugins.module_utils import clients_seen as notes
from ansible_collections.mlops.platform.plugins.module_utils import mlflow_installed
from ansible_collections.mlops.platform.plugins.module_utils.client_rule import judge, release
from ansible_collections.mlops.platform.plugins.module_utils.doctor import UP, Check, NotApplicable, NotChecked, error, warning
from ansible_collections.mlops.platform.plugins.module_utils.doctor_clients import client_pins, of_version
from ansible_collections.mlops.platform.plugins.module_utils.doctor_clients_seen import clients_seen
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import get, output, read
from ansible_collections.mlops.platform.plugins.module_utils.doctor_place import in_cluster, log_place, secret, secret_place, settings_place
from ansible_collections.mlops.platform.plugins.module_utils.doctor_tls import REACHED

READS = "/api/2.0/mlflow/experiments/search?max_results=1"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts?path=mlops-platform-doctor"
# What everybody tries first. MLflow itself refuses its administrator the first of them from 3.17 on: then it is mlflow-admin-refused.
DEFAULTS = ("password1234", "password", "changeme1234")
# statuses with which an entry point says that no MLflow has answered it
LEADS_NOWHERE = (404, 502, 504)
# exit codes of mlflow_schema.py
EMPTY, BEHIND, NEWER, UNREACHABLE, FOREIGN, CONFIG = 10, 11, 12, 13, 14, 16
GATE = 'set -a; . "$1"; set +a; shift; exec "$@"'


def host_headers(plan, name):
    """Return the Host headers with which a client reaches `name`."""
    plain = f"[{name}]" if ":" in name else name
    return [f"{plain}:{plan['https_port']}"] + ([plain] if plan["https_port"] == 443 else [])


def schema(plan):
    """Return (exit code, words) of the platform's own program that holds both schemas against the installed MLflow."""
    etc, program = os.path.join(plan["data_dir"], "etc"), os.path.join(plan["data_dir"], "bin", "mlflow_schema.py")
    python = os.path.join(plan["environments"]["mlflow"], "bin", "python")
    command = ["env", "-i", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "/bin/sh", "-c", GATE, "schema"]
    code, _text, said = output([*plan["run_as"], *command, os.path.join(etc, "mlflow.env"), python, program, "check"], timeout=30)
    return code, said


def answered(answer):
    """Return the version that a server has told, None where it has told none."""
    found = answer["body"].strip().strip('"') if answer["status"] == 200 else None
    return found if release(found) else None


def through(up, login, *where, **how):
    """Return what MLflow says to nobody, to well-known passwords, and of its artifacts; `where` and `how` are get()'s. None if not `up`."""
    return {
        "nobody": get(*where, READS, None, **how) if up else None,
        "defaults": [one for one in DEFAULTS if up and get(*where, READS, (login[0], one), **how)["status"] == 200],
        "artifacts": get(*where, ARTIFACTS, login, timeout=20, **how) if up else None,
    }


def look(plan):
    """Return the facts of this layer."""
    login = (plan["mlflow"]["username"], secret(plan, "mlflow_admin_password"))
    host = REACHED.get(plan["bind_address"], plan["bind_address"])
    ask = {port: get("127.0.0.1", port, READS, login, timeout=10) for port in plan["mlflow"]["ports"]}
    entry = {
        name: [(header, get(host, plan["https_port"], READS, login, header, tls=True, timeout=10)) for header in host_headers(plan, name)]
        for name in plan["public_names"]
    }
    first = host_headers(plan, plan["public_names"][0])[0]
    up = any(answer["status"] for _header, answer in entry[plan["public_names"][0]])
    facts = {
        "processes": ask,
        "entry": entry,
        "schema": schema(plan),
        "password": login[1],
        "ping": get("127.0.0.1", plan["internal_port"], "/ping"),
    }
    facts.update(through(up, login, host, plan["https_port"], host_header=first, tls=True))
    facts["version"] = get("127.0.0.1", plan["mlflow"]["ports"][0], "/version", login)
    facts["server"] = answered(facts["version"]) or (mlflow_installed.installed(plan["data_dir"]) or {}).get("version")
    facts["now"] = time.time()
    facts["seen"] = notes.read(plan["data_dir"], facts["now"])
    facts["routes"] = read(os.path.join(plan["data_dir"], "etc", "traefik", "routes", "mlflow-servers.yml"))
    return facts


def processes(plan, facts):
    """Each process answers a call that reads the database."""
    for place, answer in facts["processes"].items():
        name, status = place if in_cluster(plan) else f"mlflow-{place}", answer["status"]
        where = f"in the pod {name}" if in_cluster(plan) else f"on port {place}"
        if status is None:
            where += "" if in_cluster(plan) else " (mlflow_port)"
            yield error(
                "mlflow-unreachable", f"MLflow does not answer {where}", f"{UP}; {log_place(plan, name)} says why", answer["said"], name
            )
        elif status == 401:
            yield error(
                "mlflow-admin-refused",
                f"MLflow refuses {plan['mlflow']['username']} with the password in {secret_place(plan, 'mlflow_admin_password')}",
                f"{UP} ARGS='-e @FILE' with mlflow_admin_password: the password that MLflow has now; a lost one: docs/troubleshooting.md",
                answer["said"],
                name,
            )
        elif status == 503 or "TEMPORARILY_UNAVAILABLE" in answer["body"]:
            yield error(
                "mlflow-no-database",
                f"MLflow {where} does not reach its database",
                "mend PostgreSQL; MLflow recovers by itself",
                answer["said"],
                name,
            )
        elif status != 200:
            yield error(
                "mlflow-failing", f"MLflow {where} answers {status}", f"{log_place(plan, name)} has the exception", answer["said"], name
            )


def entry_point(plan, facts):
    """Users reach MLflow under every public name."""
    if facts["ping"]["status"] is None:
        yield error(
            "ingress-unreachable",
            f"the entry point does not answer on port {plan['internal_port']} (ingress_internal_port)",
            UP,
            facts["ping"]["said"],
        )
    for name, asked in facts["entry"].items():
        for header, answer in asked:
            yield from of_public_name(name, header, answer, f"{UP}; the log of the service traefik says why")


def of_public_name(name, header, answer, remedy, failing=LEADS_NOWHERE):
    """Yield what is wrong with the answer under a public name, asked for as `header`. `failing`: statuses that are not MLflow's own."""
    status = answer["status"]
    if status == 403 and "host" in answer["body"].lower():
        mend = f"put {name} into mlops_public_names (or mlflow_extra_allowed_hosts) and run {UP}"
        yield error("mlflow-host-refused", f"MLflow refuses the public name {header}", mend, answer["said"], name)
    elif status is None or status in failing:
        yield error("ingress-failing", f"https://{header} does not lead to MLflow: {status or 'no answer'}", remedy, answer["said"], name)


def drained(plan, facts):
    """Every process is in the entry point's list: one that a cut-off restart left out does no work."""
    if facts["routes"] is None:
        raise NotChecked("etc/traefik/routes/mlflow-servers.yml cannot be read")
    for port in plan["mlflow"]["ports"]:
        if not re.search(rf":{port}\b", facts["routes"]):
            yield warning(
                "mlflow-drained",
                f"the entry point sends nothing to the process on port {port}",
                f"{UP} puts it back",
                subject=f"mlflow-{port}",
            )


def logins(plan, facts):
    """A login is needed, and not a well-known one."""
    if facts["nobody"] is None:
        raise NotChecked("MLflow does not answer" if in_cluster(plan) else "the entry point does not answer")
    if facts["nobody"]["status"] == 200:
        yield error(
            "mlflow-open",
            "MLflow answers without a login",
            f"{UP} gives the processes basic authentication back (MLFLOW_AUTH_CONFIG_PATH in {settings_place(plan)})",
            facts["nobody"]["said"],
        )
        return
    if facts["defaults"]:
        yield error(
            "mlflow-default-password",
            f"{plan['mlflow']['username']} has a password that everybody knows",
            f"{UP} ARGS='-e @FILE' with mlflow_admin_password, of at least 12 characters",
        )


def schemas(plan, facts):
    """Both schemas are those of the installed MLflow."""
    code, said = facts["schema"]
    if code == 0:
        return
    if code is None and in_cluster(plan):
        raise NotChecked(said)
    if code == UNREACHABLE:
        raise NotChecked(f"PostgreSQL does not tell: {said}")
    lines = [line for line in said.splitlines() if line] or ["no answer"]
    found = {
        EMPTY: ("schema-empty", f"{UP} makes it; or restore a backup: make restore"),
        BEHIND: ("schema-behind", f"take a backup (make backup), then {UP} migrates it"),
        NEWER: (
            "schema-newer",
            "install the collection whose MLflow wrote it, or restore the backup from before: make restore; there is no downgrade",
        ),
        FOREIGN: ("schema-foreign", "another program's tables are in MLflow's database: move them, or restore a backup"),
        CONFIG: ("schema-unknown", UP),
    }
    ident, remedy = found.get(code, ("schema-unknown", f"{UP}; mlflow_schema.py could not be run"))
    yield error(ident, f"MLflow's schema is not the one of the installed version: {lines[0].split(';')[0]}", remedy, " ".join(lines))


def artifacts(plan, facts):
    """MLflow reaches its artifacts."""
    answer = facts["artifacts"]
    if answer is None:
        raise NotChecked("MLflow does not answer" if in_cluster(plan) else "the entry point does not answer")
    if answer["status"] in (401, 403, 502, 503):
        raise NotChecked(f"MLflow does not let the doctor ask: {answer['status']}")
    if answer["status"] != 200:
        yield error(
            "artifact-store-failing",
            f"MLflow cannot list its artifacts: {answer['status'] or 'no answer'}",
            f"mend the object store (above), or the keys in {settings_place(plan)}: {UP}",
            answer["said"],
        )


def clients(plan, facts):
    """Clients of known versions work with the server."""
    if not plan["client_versions"]:
        raise NotApplicable("no MLflow beside Ansible, and none in doctor_client_versions")
    server = answered(facts["version"])
    if server is None:
        raise NotChecked("MLflow does not tell its version")
    for version in plan["client_versions"]:
        if release(version) is not None:
            yield from of_version(version, judge(version, server), server)


CHECKS = [
    Check("mlflow-processes", "mlflow", processes),
    Check("entry-point", "mlflow", entry_point),
    Check("entry-point-list", "mlflow", drained),
    Check("logins", "mlflow", logins),
    Check("schemas", "mlflow", schemas),
    Check("artifacts", "mlflow", artifacts),
    Check("clients", "mlflow", clients),
    Check("client-pins", "mlflow", client_pins),
    Check("clients-seen", "mlflow", clients_seen),
]
