"""Renders what the roles apply to a cluster, without one: the tasks' own expressions, with the facts that a cluster would give."""

from __future__ import annotations

from pathlib import Path

import yaml

from lib.render import ROOT, SECRETS, Roles, within

COMPONENTS = ("kubernetes_cluster", "postgresql", "object_store", "mlflow", "backup")
KEPT = "mlops.platform.kubernetes_objects"
OPTIONAL_KINDS = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "Cluster": "postgresql.cnpg.io/v1",
    "ObjectStore": "barmancloud.cnpg.io/v1",
}
OPENSHIFT_KINDS = {
    "Route": "route.openshift.io/v1",
    "BuildConfig": "build.openshift.io/v1",
    "ImageStream": "image.openshift.io/v1",
    "Template": "template.openshift.io/v1",
}


def apis(version, openshift=False):
    """Return what a cluster of `version` serves, as mlops.platform.cluster_preflight says it."""
    minor = int(version.split(".")[1])
    return {
        "CronJob": "batch/v1" if minor >= 21 else "batch/v1beta1",
        "PodDisruptionBudget": "policy/v1" if minor >= 21 else "policy/v1beta1",
        "HorizontalPodAutoscaler": "autoscaling/v2" if minor >= 23 else "autoscaling/v2beta2",
        "Ingress": "networking.k8s.io/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        **OPTIONAL_KINDS,
        **(OPENSHIFT_KINDS if openshift else dict.fromkeys(OPENSHIFT_KINDS, "")),
    }


def cluster(version="1.32", password="a given one", openshift=False, **overrides):  # noqa: S107
    """Return the Roles of the whole platform in a cluster of `version`, with `password` wherever a user may give a secret."""
    keys = ("jwt_write_key", "jwt_read_key", "jwt_filer_write_key", "jwt_filer_read_key", "sse_key")
    store = {f"object_store_{name}": "0f" * 32 for name in keys}
    store.update({f"object_store_{who}_{key}": password for who in ("admin", "mlflow") for key in ("access_key", "secret_key")})
    database = dict.fromkeys(("superuser", "admin", "mlflow", "seaweedfs"), password)
    login = {"secrets": {f"postgresql_{name}_password": value for name, value in database.items()}, "previous": {}}
    facts = {
        "mlops_substrate": "openshift" if openshift else "kubernetes",
        "mlops_cluster": {
            "version": version,
            "git_version": f"v{version}.1",
            "server": "https://cluster.example.com:6443",
            "namespace": {"name": "mlops", "exists": False, "phase": "", "labels": {}, "annotations": {}},
            "bare": True,
            "apis": apis(version, openshift),
            "openshift": openshift,
            "storage_classes": ["standard"],
            "default_storage_class": "standard",
        },
        "postgresql_secrets": login,
        "postgresql_cluster_secret": login,
        "postgresql_server": {
            "resources": [{"spec": {"template": {"spec": {"containers": [{"image": "docker.io/library/postgres:16"}]}}}}]
        },
        "object_store_secrets": {"secrets": store, "previous": {}},
        "object_store_cluster_secret": {"secrets": store, "previous": {}},
        "object_store_certificate": {"certificate": "a certificate", "key": "a key"},
        "mlflow_authority": "an authority",
        **{f"mlflow_{one}_signed": {"certificate": f"the {one}'s certificate"} for one in ("authority", "certificate")},
        **{f"mlflow_{one}_key": {"privatekey": password} for one in ("authority", "certificate")},
        "inventory_hostname": "mlops",
        "backup_cluster_secret": {"secrets": {"backup_installation": "0f" * 8}},
        "backup_job_name": "mlops-backup-run",
        "backup_do": "backup",
        "backup_answer": {"name": "20261129T000000Z", "ended": 1, "size_bytes": 1, "where": "there"},
        # an upgrade asks an image
        "mlflow_look_image": "ghcr.io/mlflow/mlflow:v3.17.2-full",
        "mlflow_look_programs": [str(ROOT / "roles/upgrade/files" / name) for name in ("upgrade_look_pod.py", "upgrade_look.py")],
        # and garbage is deleted each day
        "mlflow_daily": "garbage",
        "mlflow_daily_wanted": True,
        "mlflow_daily_time": "03:30",
        "mlflow_daily_timeout": 86400,
        "mlflow_look_arguments": ["collect", 30, "-"],
        "mlflow_look_environment": [{"name": "HOME", "value": "/tmp"}],
        "mlflow_job_started": {"result": {"metadata": {"uid": "a-uid"}}},
        "mlflow_secrets": {"secrets": {**SECRETS["secrets"], "mlflow_admin_password": password}, "previous": {}},
        "mlflow_cluster_secret": {"secrets": {**SECRETS["secrets"], "mlflow_admin_password": password}, "previous": {}},
    }
    roles = Roles("kubernetes_objects", "garbage", *COMPONENTS, **{**facts, **overrides})
    more = ROOT / "roles" / "mlflow" / "vars" / "kubernetes.yml"
    roles.variables = {**roles.load(more), **roles.variables}
    # what wins over defaults and vars/main.yml is the file of the cluster, and over that a user
    roles.variables.update({**roles.load(more), **facts, **overrides})
    for role, name in (("postgresql", "facts_kubernetes.yml"), ("object_store", "facts.yml"), ("mlflow", "address.yml")):
        set_facts(roles, roles.tasks(role, name), overrides)
    return roles


def set_facts(roles, tasks, overrides):
    """Set what the tasks' set_fact says, where a test has not set it."""
    for task in flat(tasks):
        for name, value in (task.get("ansible.builtin.set_fact") or {}).items():
            if name.endswith("_endpoint") or name in ("object_store_control_url", "object_store_admin"):
                roles.variables[name] = overrides[name] if name in overrides else roles.template(value)


def flat(tasks):
    """Return the tasks, those of blocks too."""
    found = []
    for task in tasks or []:
        inner = [task.get(part) for part in ("block", "rescue", "always")]
        found += [task] if not any(inner) else flat([one for part in inner for one in part or []])
    return found


def calls(roles, role):
    """Return what `role` gives to the internal role that applies objects, filled in, for each place where it does."""
    found = []
    for file in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        for task in flat(roles.tasks(role, file.name)):
            used = task.get("ansible.builtin.import_role") or task.get("ansible.builtin.include_role") or {}
            if used.get("name") == KEPT:
                for item in task.get("loop", [None]):
                    given = {"item": roles.template(item, **within(role))} if item is not None else {}
                    names = ("component", "version", "items", "secrets")
                    wanted = {f"kubernetes_objects_{name}": task["vars"].get(f"kubernetes_objects_{name}") for name in names}
                    # what else the task says to the role's templates
                    given |= {key: value for key, value in task["vars"].items() if not key.startswith(("kubernetes_objects_", "ansible_"))}
                    found.append({key: roles.template(one, **within(role), **given) for key, one in wanted.items() if one is not None})
    return found


# when the task files that apply objects past the internal role do so
BY_THEMSELVES = {
    "major_job.yml": "postgresql_engine == 'statefulset'",
    "deploy_cluster.yml": "postgresql_engine == 'cloudnative_pg'",
    "authority.yml": "mlflow_tls_own",
    "certificate_own.yml": "mlflow_tls_own",
    "administrator_kubernetes.yml": "true",
    "look_kubernetes.yml": "true",
    "verify_kubernetes.yml": "mlflow_tls_own or not mlflow_tls",
    "program_kubernetes.yml": "true",
    "remember.yml": "true",
}


def by_themselves(roles, role):
    """Return the objects that `role` applies past the internal role: what only starts, or must never be pruned. Complete, too."""
    found = []
    for file in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        tasks = flat(roles.tasks(role, file.name))
        jobs = [task["vars"] for task in tasks if task.get("ansible.builtin.include_tasks") == "job.yml"]
        if file.name == "job.yml" or not (jobs or any("kubernetes_objects(" in str(definition(task)) for task in tasks)):
            continue
        if not roles.value(BY_THEMSELVES[file.name]):
            continue
        for given in jobs:
            given = {"mlflow_job_name": f"{role}-{file.stem}".replace("_", "-"), **given}
            for task in flat(roles.tasks(role, "job.yml")):
                if definition(task) and ("mlflow_job_secret" not in str(definition(task)) or "mlflow_job_secret" in given):
                    found.append(roles.template(definition(task), **within(role), **given, **task.get("vars", {})))
        # several tasks may be needed for it, and none of them asks the server here
        found += [roles.template(definition(task), **within(role)) for task in tasks if "kubernetes_objects(" in str(definition(task))]
    return [one for item in found for one in (item if isinstance(item, list) else [item])]


def definition(task):
    """Return what a task applies, as it is written; None for another task, and for one that removes."""
    options = task.get("kubernetes.core.k8s") or {}
    return options.get("resource_definition") if options.get("apply") else None


def manifests(roles, only=COMPONENTS):
    """Return every object that the roles apply, complete: with namespace and labels, as the internal role's own expressions make them."""
    complete = roles.tasks("kubernetes_objects", "main.yml")[0]["ansible.builtin.set_fact"]["kubernetes_objects_wanted"]
    found = []
    for role in only:
        if role == "backup" and roles.value("backup_problems", **within(role)):
            # refused before anything of it is applied
            continue
        for call in calls(roles, role):
            found += roles.template(complete, **call)
            found += roles.value("kubernetes_objects_hidden", **call)
        found += by_themselves(roles, role)
    if "kubernetes_cluster" in only:
        found.append(yaml.safe_load(roles.render("kubernetes_cluster", "namespace.yml.j2", **within("kubernetes_cluster"))))
    return [plain(one) for one in found]


def plain(value):
    """Return `value` without Ansible's own types."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def pods(objects):
    """Return [(kind/name, pod specification)] of all pods that `objects` describe."""
    found = []
    for one in objects:
        spec = one.get("spec") or {}
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if one["kind"] == "Pod":
            template = one
        if isinstance(template, dict) and "spec" in template:
            found.append((f"{one['kind']}/{one['metadata']['name']}", template["spec"]))
    return found


def templates():
    """Return the template files of all objects."""
    return {path for role in COMPONENTS for path in Path(ROOT, "roles", role, "templates").rglob("*.yml.j2") if is_object(path)}


def is_object(path):
    text = path.read_text(encoding="utf-8")
    return "apiVersion:" in text and "kind:" in text
