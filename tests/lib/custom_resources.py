"""The definitions of custom resources as their projects publish them, where a mirror of those files lies beside the repository."""

from __future__ import annotations

import functools

import jsonschema
import yaml

from lib.render import ROOT, Roles

MIRROR = ROOT.parent / "shared" / "mirror"
MONITORS = (
    "raw.githubusercontent.com/prometheus-operator/prometheus-operator/*/example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
)
# CloudNativePG's archive; no run installs it
PLUGIN = "github.com/cloudnative-pg/plugin-barman-cloud/releases/download/*/manifest.yaml"


def files():
    """Return the files that define the roles' kinds: of CloudNativePG the version that a run installs."""
    operator = MIRROR / Roles().value("mlops_downloads.cloudnative_pg.path")
    others = (*(MONITORS.format(name) for name in ("servicemonitors", "podmonitors")), PLUGIN)
    return [path for path in (operator, *(one for name in others for one in MIRROR.glob(name))) if path.is_file()]


def metallb():
    """Return the manifest of the pinned MetalLB, whose definitions are in it; with FRR it has all that the other one has."""
    return MIRROR / Roles().value("mlops_downloads.metallb_frr.path")


@functools.cache
def validators():
    """Return {`apiVersion kind`: a validator that allows no field which the definition does not name}."""
    found = {}
    for path in [*files(), *(one for one in [metallb()] if one.is_file())]:
        with path.open(encoding="utf-8") as stream:
            documents = [one for one in yaml.load_all(stream, yaml.CSafeLoader) if one and one["kind"] == "CustomResourceDefinition"]
        for spec in (one["spec"] for one in documents):
            for version in (one for one in spec["versions"] if one["served"]):
                name = f"{spec['group']}/{version['name']} {spec['names']['kind']}"
                found[name] = jsonschema.Draft202012Validator(strict(version["schema"]["openAPIV3Schema"]))
    return found


def strict(schema):
    """Return the schema without room for fields that it does not name. The server would drop those, or refuse them."""
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items() if key not in ("properties", "required", "enum", "default")}
    found |= {key: schema[key] for key in ("required", "enum") if key in schema}
    if "properties" in schema:
        found["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
    return {**found, **{key: [strict(one) for one in schema[key]] for key in ("allOf", "anyOf", "oneOf") if key in schema}}


def problems(manifest):
    """Return what is wrong with a custom resource, each as a text."""
    validator = validators()[f"{manifest['apiVersion']} {manifest['kind']}"]
    where = f"{manifest['kind']}/{manifest['metadata']['name']}"
    return [f"{where} {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(manifest)]
