# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The requirements on MLflow in pyproject.toml, Pipfile, and the lock files of Poetry, uv, pylock and Pipenv."""

from __future__ import annotations

import json
import re

from ansible_collections.mlops.platform.plugins.module_utils.client_pin import NAMES, Pin, canonical, from_location, from_text, shown

try:
    import tomllib
except ImportError:
    # Python 3.11 has it
    tomllib = None

# where a list of requirements stands, * for any key; other lists hold the word mlflow too, such as keywords
LISTS = (
    ("project", "dependencies"),
    ("project", "optional-dependencies", "*"),
    ("dependency-groups", "*"),
    ("tool", "uv", "dev-dependencies"),
    ("tool", "pdm", "dev-dependencies", "*"),
    ("tool", "hatch", "envs", "*", "dependencies"),
    ("tool", "hatch", "envs", "*", "extra-dependencies"),
)
CONSTRAINTS = (("tool", "uv", "constraint-dependencies"), ("tool", "uv", "override-dependencies"))
# where a table has a package for each key
TABLES = (
    ("tool", "poetry", "dependencies"),
    ("tool", "poetry", "dev-dependencies"),
    ("tool", "poetry", "group", "*", "dependencies"),
    ("packages",),
    ("dev-packages",),
)
# where a lock file has its packages
LOCKED = (("package",), ("packages",))


def at(tree, path):
    """Yield what stands at a path."""
    if not path:
        yield tree
    elif isinstance(tree, dict):
        for key in tree if path[0] == "*" else [path[0]]:
            if key in tree:
                yield from at(tree[key], path[1:])


def line_of(text, *patterns):
    """Return the number of the first line that matches any of the patterns, the first pattern first; 1 where none does."""
    for pattern in patterns:
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(pattern, line):
                return number
    return 1


def upper(numbers, place):
    """Return the first version that differs from `numbers` at `place` or before it."""
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1]))


def from_poetry(text):
    """Return the specifiers, of which any may hold, of a constraint as Poetry writes them: ^3.1, ~3.1, 3.1, *, >=2,<4, 2.* || 3.*."""
    alternatives = []
    for part in re.split(r"\s*\|\|?\s*", text.strip()):
        terms = []
        for term in filter(None, re.split(r"[,\s]+", re.sub(r"([\^~<>=!])\s+", r"\1", part))):
            match = re.fullmatch(r"([\^~])\s*(\d+(?:\.\d+)*)\w*", term)
            if match:
                numbers = [int(number) for number in match[2].split(".")]
                place = min(1, len(numbers) - 1)
                if match[1] == "^":
                    place = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
                terms.append(f">={match[2]},<{upper(numbers, place)}")
            elif re.match(r"\d", term):
                terms.append(f"=={term}")
            elif term != "*":
                terms.append(re.sub(r"^=(?!=)", "==", term))
        alternatives.append(",".join(terms))
    return alternatives


def listed(tree, text, path):
    """Yield the pins of the lists of requirements."""
    for places, constraint in ((LISTS, False), (CONSTRAINTS, True)):
        for place in places:
            for found in at(tree, place):
                for entry in found if isinstance(found, list) else []:
                    pin = from_text(entry, path, 0, constraint=constraint) if isinstance(entry, str) else None
                    if pin:
                        yield pin._replace(line=line_of(text, rf"[\"']{re.escape(entry)}[\"']", re.escape(pin.name)))


def tabled(tree, text, path):
    """Yield the pins of the tables with a package for each key."""
    for place in TABLES:
        for found in at(tree, place):
            for key, values in found.items() if isinstance(found, dict) else []:
                name = canonical(key)
                for value in values if isinstance(values, list) else [values]:
                    if name in NAMES:
                        number = line_of(text, rf"^\s*[\"']?{re.escape(key)}[\"']?\s*=", rf"\.{re.escape(key)}\]")
                        yield of_value(name, value, path, number)


def of_value(name, value, path, number):
    """Return the pin of a value in a table: a constraint, or a table of its own with one in it."""
    options = value if isinstance(value, dict) else {"version": str(value)}
    text = shown(f"{name} = {json.dumps(value, default=str)}")
    if "version" in options:
        return Pin(path, number, name, text, from_poetry(str(options["version"])), str(options.get("markers") or ""))
    alternatives, problem = from_location(str(options.get("url") or f"{options.get('git', '')}://@{options.get('tag', '')}"))
    return Pin(path, number, name, text, alternatives, str(options.get("markers") or ""), problem)


def locked(tree, text, path):
    """Yield the pins of the packages of a lock file."""
    for place in LOCKED:
        for found in at(tree, place):
            for entry in found if isinstance(found, list) else []:
                name = canonical(str(entry.get("name", ""))) if isinstance(entry, dict) else ""
                if name in NAMES and entry.get("version"):
                    version = str(entry["version"])
                    marker = entry.get("marker") or entry.get("markers") or ""
                    yield Pin(
                        path,
                        line_of(text, rf"^name = \"{name}\"", rf"[\"']?{name}[\"']?"),
                        name,
                        f"{name} {version}",
                        [f"=={version}"],
                        marker if isinstance(marker, str) else "",
                    )


def pins(text, path):
    """Return the pins of a TOML file. Raises ValueError where it is none, RuntimeError where this Python cannot read TOML."""
    if tomllib is None:
        raise RuntimeError("it needs Python 3.11, which has tomllib")
    tree = tomllib.loads(text)
    return [*listed(tree, text, path), *tabled(tree, text, path), *locked(tree, text, path)]


def pins_of_pipfile_lock(text, path):
    """Return the pins of Pipfile.lock, which is JSON. Raises ValueError where it is none."""
    tree, found = json.loads(text), []
    for section in ("default", "develop"):
        for entry in at(tree, (section,)):
            for key, value in entry.items() if isinstance(entry, dict) else []:
                if canonical(key) in NAMES:
                    found.append(of_value(canonical(key), value, path, line_of(text, rf"\"{re.escape(key)}\"\s*:")))
    return found
