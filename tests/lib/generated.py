"""The parts of the documentation that are written from the code: tables of variables, modules, health causes, ports, metrics, measurements.

    .venv/bin/python tests/lib/generated.py      writes them anew; tests/unit/test_docs.py holds them against the code

A part stands between the lines `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import yaml

# as a program it finds its neighbours only so
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lib import compatibility

ROOT = Path(__file__).resolve().parents[2]
PART = re.compile(r"(<!-- generated: (?P<name>[\w ]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


def load(path):
    """Return the YAML file `path`, relative to the repository, or None where there is none."""
    file = ROOT / path
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None


def plain(text):
    """Return Ansible's markup as Markdown, fit for a cell of a table."""
    text = re.sub(r"\b[CVO]\(([^()]*(?:\([^()]*\)[^()]*)*)\)", r"`\1`", " ".join(text) if isinstance(text, list) else text)
    text = re.sub(r"\bM\(([\w.]+)\)", r"`\1`", text)
    return text.replace("|", "\\|").replace("\n", " ")


def table(head, rows):
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def shown(value):
    """Return a default as a user would write it."""
    if value in ("", None):
        return ""
    return "`" + yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip() + "`"


def variables(role):
    """Return the table of a role's variables, from its argument_specs."""
    options = next(iter(load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values())).get("options") or {}
    rows = []
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        if option.get("choices"):
            kind += ": " + ", ".join(f"`{choice}`" for choice in option["choices"])
        default = "required" if option.get("required") else shown(option.get("default"))
        rows.append([f"`{name}`", kind, default, plain(option["description"])])
    return table(["Variable", "Type", "Default", "Meaning"], rows) if rows else "None.\n"


def constants(path):
    """Return the YAML documents of a plugin's DOCUMENTATION, without importing it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "DOCUMENTATION":
            return yaml.safe_load(node.value.value)
    return None


def plugins(kind):
    """Return the table of all modules, filters or lookups."""
    groups = {name: group for group, names in load("meta/runtime.yml")["action_groups"].items() for name in names}
    rows = []
    for path in sorted((ROOT / "plugins" / kind).glob("*.py")):
        doc = constants(path)
        row = [f"[`{path.stem}`](../plugins/{kind}/{path.name})", plain(doc["short_description"])]
        if kind == "modules":
            row.append(f"`{groups[path.stem]}`" if path.stem in groups else "")
            row += [doc["attributes"][key]["support"] for key in ("check_mode", "diff_mode")]
        rows.append(row)
    return table(
        ["Module", "What it does", "Group", "Check mode", "Diff"] if kind == "modules" else [kind.capitalize(), "What it does"], rows
    )


def causes():
    """Return the table of every cause that mlflow_health names, with its remedy."""
    tree = ast.parse((ROOT / "plugins/module_utils/mlflow_remedies.py").read_text(encoding="utf-8"))
    found = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "CAUSES")
    rows = []
    for cause, (status, waits, remedy) in ast.literal_eval(found).items():
        rows.append([f"`{status}`", f"`{cause}`", "yes" if waits else "no", plain(remedy)])
    return table(["Status", "Cause", "Waiting can help", "Remedy"], rows)


def ports():
    """Return the table of the ports that the role host opens, from its map."""
    who = {"clients": "users (anybody, or `host_firewall_clients`)", "nodes": "nodes", "servers": "servers"}
    chosen = {"k3s": "always", "etcd": "more than one server", "flannel_vxlan": "`host_flannel_backend: vxlan`"}
    chosen["flannel_wireguard"] = "`host_flannel_backend: wireguard-native`"
    rows = []
    for entry in load("roles/host/vars/main/ports.yml")["host_port_map"]:
        numbers = ", ".join(f"{port}/{protocol}" for port in entry["ports"] for protocol in entry["protocols"])
        when = chosen.get(entry["component"], f"`host_components` has `{entry['component']}`")
        rows.append([numbers, entry["to"], who[entry["from"]], when, plain(entry["purpose"])])
    return table(["Port", "To", "From", "When", "What for"], rows)


# the files whose HELP has the metrics, by role
METRICS = {"backup": "roles/backup/files/mlops_backup/metrics.py", "garbage": "roles/garbage/files/garbage_schedule.py"}


def measured(role):
    """Return {metric: meaning} of what the program of a role measures."""
    tree = ast.parse((ROOT / METRICS[role]).read_text(encoding="utf-8"))
    found = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "HELP")
    return ast.literal_eval(found)


def metrics(role):
    """Return the table of what the program of a role measures."""
    return table(["Metric", "Meaning"], [[f"`{name}`", meaning] for name, meaning in measured(role).items()])


def part(name):
    """Return the text of the generated part `name`. Raises KeyError for a name that is none."""
    kind, _unused, argument = name.partition(" ")
    kinds = {"variables": variables, "plugins": plugins}
    kinds["compatibility"] = lambda argument: table(*compatibility.TABLES[argument]())
    kinds.update(causes=lambda _argument: causes(), ports=lambda _argument: ports(), metrics=metrics)
    return kinds[kind](argument)


def documents():
    """Return the Markdown files of the repository."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "roles").glob("*/README.md"))]


def filled(text):
    """Return `text` with every generated part as it should be."""
    return PART.sub(lambda match: match[1] + "\n" + part(match["name"]) + "\n" + match[4], text)


def main():
    """Write every generated part anew; return the exit code."""
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if filled(text) != text:
            path.write_text(filled(text), encoding="utf-8")
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
