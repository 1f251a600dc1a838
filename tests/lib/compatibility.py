"""What was measured of MLflow's clients and servers (tests/compatibility/results.json), and its table in the documentation."""

from __future__ import annotations

import ast
import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "compatibility"
RESULTS = FOLDER / "results.json"
# what an operation is called in the table
TITLES = {
    "experiment": "create an experiment",
    "start": "start a run",
    "log": "log parameters, metrics, tags",
    "artifact": "log an artifact through the proxy",
    "log_model": "log a model",
    "end": "end a run",
    "read": "read a run back",
    "download": "list and download artifacts",
    "load_model": "load a model",
    "search": "search runs",
    "experiments": "list experiments",
    "register": "register a model version",
    "models": "search registered models",
    "alias": "set an alias",
    "stage": "move to a stage",
    "trace": "log and find a trace",
}
# without these nobody can work; the others, such as the registry, are missed by those who use them
NEEDED = {"experiment", "start", "log", "artifact", "log_model", "end", "read", "download", "load_model", "search"}


def constant(file, name):
    """Return a constant of a program, which needs packages that are not here."""
    for node in ast.parse((FOLDER / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise KeyError(name)


def failed(operations):
    """Return {operation: words} of those that failed."""
    return {name: words for name, words in operations.items() if words not in ("ok", "absent")}


def cell(operations):
    """Return what one pair is called in the table."""
    if not operations:
        return "not measured"
    found = failed(operations)
    if not found:
        return "works"
    if set(found) & NEEDED:
        return "**fails**"
    return "all but: " + ", ".join(TITLES[name] for name, words in found.items() if words != "not reached")


def rows():
    """Return (head, rows) of the table: a row for each server, a column for each client."""
    pairs = json.loads(RESULTS.read_text(encoding="utf-8"))["pairs"]
    clients = list(constant("servers.py", "VERSIONS"))
    head = ["Server", *(f"client {client}" for client in clients)]
    return head, [[server, *(cell(pairs[server].get(client, {})) for client in clients)] for server in pairs]


def failures():
    """Return (head, rows) of the table of failures, in the client's own words."""
    pairs = json.loads(RESULTS.read_text(encoding="utf-8"))["pairs"]
    found = []
    for server, clients in pairs.items():
        for client, operations in clients.items():
            for name, words in failed(operations).items():
                if words != "not reached":
                    found.append([server, client, TITLES[name], f"`{words.replace('|', '/').replace('`', '')}`"])
    return ["Server", "Client", "What", "The client says"], found


TABLES = {"pairs": rows, "failures": failures}
