# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The requirements on MLflow in an environment file of conda, with those for pip in it, and in a lock file of conda-lock."""

from __future__ import annotations

import re

from ansible_collections.mlops.platform.plugins.module_utils.client_files_requirements import one
from ansible_collections.mlops.platform.plugins.module_utils.client_pin import NAMES, Pin, canonical, shown

try:
    import yaml
except ImportError:
    yaml = None

_SPEC = re.compile(r"(?:[^\s:\[]+::)?(?P<name>[\w.-]+?)\s*(?P<rest>[=<>!~\[].*|\s+\S.*)?")


def from_conda(rest):
    """Return the specifiers, of which any may hold, of what follows a name in a spec of conda: =3.17, ==3.17.2, >=2,<4, " 3.17.2 build"."""
    bracket = re.search(r"version\s*=\s*[\"']?([^\"'\]]+)", rest) if rest.startswith("[") else None
    rest = bracket[1].strip() if bracket else "" if rest.startswith("[") else rest.split("[")[0].strip()
    rest = re.sub(r"([<>=!~|,])\s+", r"\1", rest).split(" ")[0]
    build = re.fullmatch(r"=([^=<>!~,|]+)=[^=]+", rest)
    if build:
        return [f"=={build[1]}"]
    alternatives = []
    for part in rest.split("|"):
        terms = []
        for term in filter(None, part.split(",")):
            operator, version = re.fullmatch(r"([<>=!~]*)(.*)", term).groups()
            if version in ("", "*"):
                continue
            bare = version.rstrip("*").rstrip(".")
            if operator == "=" or (operator in ("", "==") and version.endswith("*")):
                terms.append(f"=={bare}.*")
            elif operator in ("", "==", "!="):
                terms.append(f"{operator or '=='}{version}")
            else:
                terms.append(f"{operator}{bare}")
        alternatives.append(",".join(terms))
    return alternatives


def of_spec(text, path, number):
    """Return the pin of a spec of conda, None where it is none on MLflow."""
    match = _SPEC.fullmatch(text.partition(" #")[0].strip())
    name = canonical(match["name"]) if match else ""
    if name not in NAMES:
        return None
    return Pin(path, number, name, shown(text), from_conda(match["rest"] or ""))


def child(node, key):
    """Return the node under `key` of a mapping, None where there is none."""
    for name, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if name.value == key:
            return value
    return None


def items(node):
    """Return the nodes of a sequence, none of anything else."""
    return node.value if isinstance(node, yaml.SequenceNode) else []


def pins(text, path, constraint, follow):
    """Yield the pins of a YAML file. Raises ValueError where it is none, RuntimeError where this Python cannot read YAML."""
    if yaml is None:
        raise RuntimeError("it needs PyYAML")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())) from problem
    for node in items(child(tree, "dependencies")):
        if isinstance(node, yaml.ScalarNode):
            pin = of_spec(node.value, path, node.start_mark.line + 1)
            if pin:
                yield pin._replace(constraint=constraint)
        for line in items(child(node, "pip")):
            if isinstance(line, yaml.ScalarNode):
                yield from one(line.value.strip(), path, line.start_mark.line + 1, constraint, follow)
    for node in items(child(tree, "package")):
        name, version = child(node, "name"), child(node, "version")
        if name is not None and version is not None and canonical(str(name.value)) in NAMES:
            text_of = f"{name.value} {version.value}"
            yield Pin(path, name.start_mark.line + 1, canonical(name.value), text_of, [f"=={version.value}"])
