"""Writes cyclonedx-1.6.json, the part of CycloneDX's own schema that a bundle's list of components uses, from the published schema.

    .venv/bin/python tests/unit/schemas/make_cyclonedx.py bom-1.6.schema.json

The schema (Apache-2.0) is at https://cyclonedx.org/schema/bom-1.6.schema.json. What is kept is as it was published, without the texts for
readers; what a bundle does not write (signatures, services, formulation and so on) is not accepted by what is left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TEXTS = {"title", "description", "examples", "meta:enum", "deprecated", "$comment"}
TOP = {"$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"}
KEPT = {
    "metadata": {"component"},
    "component": {"type", "bom-ref", "name", "version", "hashes", "licenses", "purl", "properties"},
    "license": {"name"},
    "dependency": {"ref", "dependsOn"},
}


def plain(value):
    """Return a part of the schema without what is for readers. A property may have the name of one of them."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: plain(one) for name, one in inner.items()} if key == "properties" and isinstance(inner, dict) else plain(inner)
        for key, inner in value.items()
        if key not in TEXTS or isinstance(inner, dict)
    }


def named(value):
    """Return the definitions that a part of the schema refers to."""
    if isinstance(value, list):
        return {name for one in value for name in named(one)}
    if not isinstance(value, dict):
        return set()
    found = {name for one in value.values() for name in named(one)}
    return found | ({value["$ref"].rpartition("/")[2]} if "$ref" in value else set())


def main(source):
    """Write the reduced schema."""
    schema = plain(json.loads(Path(source).read_text(encoding="utf-8")))
    definitions = schema.pop("definitions")
    schema["properties"] = {name: one for name, one in schema["properties"].items() if name in TOP}
    for name, properties in KEPT.items():
        whole = definitions[name]
        whole["properties"] = {key: one for key, one in whole["properties"].items() if key in properties}
        # of the licence either an SPDX id or a name is asked for; a bundle writes names
        whole.pop("oneOf", None) if name == "license" else None
    wanted, kept = named(schema), {}
    while wanted:
        name = wanted.pop()
        kept[name] = definitions[name]
        wanted |= named(kept[name]) - set(kept)
    schema["definitions"] = dict(sorted(kept.items()))
    Path(__file__).with_name("cyclonedx-1.6.json").write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
