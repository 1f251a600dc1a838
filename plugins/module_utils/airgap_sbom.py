# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The software bill of materials of a bundle, in CycloneDX's JSON, without a time or a random number: the same bundle has the same one."""

from __future__ import annotations

import hashlib
import json
import uuid

SPEC = "1.6"


def licences(component):
    """Return the licences of a component: a SPDX expression, or the name that its own metadata has."""
    if component["expression"]:
        return [{"expression": component["expression"]}]
    return [{"license": {"name": component["licence"]}}] if component["licence"] else []


def entry(component):
    """Return one component as CycloneDX writes it."""
    found = {"type": component["type"], "bom-ref": component["path"], "name": component["name"], "version": component["version"]}
    found["hashes"] = [{"alg": "SHA-256", "content": component["sha256"]}]
    if licences(component):
        found["licenses"] = licences(component)
    if component["purl"]:
        found["purl"] = component["purl"]
    found["properties"] = [{"name": "mlops:path", "value": component["path"]}]
    return found


def document(version, components):
    """Return the document for a bundle of the collection's `version`."""
    entries = [entry(component) for component in sorted(components, key=lambda component: component["path"])]
    content = json.dumps([version, entries], sort_keys=True).encode()
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(content).hexdigest()[:32], version=4)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "bundle", "name": "mlops.platform bundle", "version": version}},
        "components": entries,
        "dependencies": [{"ref": "bundle", "dependsOn": [entry["bom-ref"] for entry in entries]}],
    }


def text(version, components):
    """Return the document as the text of a file."""
    return json.dumps(document(version, components), indent=1) + "\n"
