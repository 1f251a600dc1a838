"""Strict schemas of Kubernetes' kinds in several versions, and of others': no field that they do not name is allowed."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jsonschema
import yaml
from kubernetes_validate import utils

FOLDER = Path(__file__).resolve().parents[1] / "unit" / "schemas"
# in the repository, as today's kubernetes-validate does not carry them any more
OLD = sorted(path.stem.split("-")[1] for path in FOLDER.glob("kubernetes-*.json"))
NEWEST = ".".join(utils.latest_version().split(".")[:2])


@functools.cache
def old(version):
    return json.loads((FOLDER / f"kubernetes-{version}.json").read_text(encoding="utf-8"))


@functools.cache
def extensions():
    """Return {`apiVersion kind`: schema}."""
    found = yaml.safe_load((FOLDER / "extensions.yml").read_text(encoding="utf-8"))
    definitions = {**old("1.24")["definitions"], **found["definitions"]}
    schemas = {}
    for name, spec in found["kinds"].items():
        api_version, kind = name.split()
        schemas[name] = {
            "type": "object",
            "additionalProperties": False,
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {
                "apiVersion": {"const": api_version},
                "kind": {"const": kind},
                "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
                "spec": {"type": "object", "additionalProperties": False, **spec},
            },
            "definitions": definitions,
        }
    for name, properties in found["kinds_without_spec"].items():
        api_version, kind = name.split()
        schemas[name] = {
            "type": "object",
            "additionalProperties": False,
            "required": ["apiVersion", "kind", "metadata", *properties],
            "properties": {
                "apiVersion": {"const": api_version},
                "kind": {"const": kind},
                "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
                **properties,
            },
            "definitions": definitions,
        }
    return schemas


@functools.cache
def validator(version, name):
    """Return a validator for `name` (`apiVersion kind`) in `version`; None where that version has no such kind."""
    if name in extensions():
        return jsonschema.Draft202012Validator(extensions()[name])
    kinds = old(version)
    if name not in kinds["kinds"]:
        return None
    schema = {"$ref": f"#/definitions/{kinds['kinds'][name]}", "definitions": kinds["definitions"]}
    return jsonschema.Draft202012Validator(schema)


@functools.cache
def of_package(version, name):
    """Return kubernetes-validate's own validator, which it would read from a file of 2 MB for every object."""
    api_version, kind = name.split()
    full = next(one for one in reversed(utils.all_versions()) if one.startswith(f"{version}."))
    folder = f"kubernetes-json-schema/v{full}-local-strict"
    group = api_version.split("/")[0].split(".")[0] + "-" + api_version.split("/")[1] if "/" in api_version else api_version
    try:
        schema = utils.schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    except FileNotFoundError:
        return None
    registry = utils.Resource.from_contents(definitions_of(folder, version)) @ (utils.Resource.from_contents(schema) @ utils.Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def definitions_of(folder, version):
    return utils.schema_contents(f"{folder}/_definitions.json", version)


def problems(manifest, version):
    """Return what is wrong with `manifest` in Kubernetes `version`, each as a text."""
    name = f"{manifest['apiVersion']} {manifest['kind']}"
    found = validator(version, name) if version in OLD or name in extensions() else of_package(version, name)
    if found is None:
        return [f"{name}: Kubernetes {version} does not serve it, or nothing here knows it"]
    where = f"{manifest['kind']}/{manifest['metadata'].get('name')}"
    return [f"{where} {error.json_path}: {error.message[:300]}" for error in found.iter_errors(manifest)]
