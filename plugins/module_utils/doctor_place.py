# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a platform has its secrets, settings and logs: in files of a host, or in objects of a cluster's namespace; as values and in words.

The plan of a host has `data_dir`. The plan of a cluster has `namespace`, and once its Secrets were read `held`, {key: value}, and
`held_in`, {key: name of the Secret}.
"""

from __future__ import annotations

import os

from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import read


def in_cluster(plan):
    """Return whether the platform runs in a cluster."""
    return "namespace" in plan


def secret(plan, name):
    """Return a secret of the installation, "" where it cannot be read."""
    if in_cluster(plan):
        return plan["held"].get(name, "")
    return (read(os.path.join(plan["data_dir"], "secrets", name)) or "").rstrip("\n")


def secret_place(plan, names):
    """Return where secrets are, as people read it; `names` is a name, or the beginning of several with a * behind it."""
    if not in_cluster(plan):
        return f"secrets/{names}"
    found = sorted({plan["held_in"][key] for key in plan["held_in"] if key == names or (names[-1] == "*" and key.startswith(names[:-1]))})
    return f"{names} of the Secret {plan['namespace']}/{', '.join(found) or '(none)'}"


def settings_place(plan):
    """Return where MLflow's environment is."""
    return f"the Secret and the ConfigMap {plan['mlflow']['environment']}" if in_cluster(plan) else "etc/mlflow.env"


def log_place(plan, service):
    """Return what shows the log of a service of a host, of a component or a pod of a cluster."""
    if in_cluster(plan):
        pods = f"-l app.kubernetes.io/name={service} --prefix" if service in ("postgresql", "object-store") else service
        return f"kubectl -n {plan['namespace']} logs {pods}"
    return f"journalctl -u mlops-{service}" if plan["service_manager"] == "systemd" else f"{plan['data_dir']}/log/{service}.log"
