"""What an upgrade in a cluster has to know of the databases, as an image of MLflow sees them: run in a pod, with the server's environment.

Writes one JSON object to TERMINATION_LOG (/dev/termination-log): version (of the MLflow in the image), code (what mlflow_schema.py
ends with), words (a line for each database that is not at this MLflow's schema) and rows (exact counts by DATABASE.TABLE).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path

# both are beside this program
import mlflow_schema
import upgrade_look

# a termination message has at most 4096 bytes, and the counts are in it too
WORDS = 1200


def look(environ):
    """Return the answer for the databases that `environ`, the server's, names. Raises mlflow_schema.SchemaError."""
    found = mlflow_schema.databases(environ)
    states = [mlflow_schema.read_state(database) for database in found]
    rows = {}
    for database, state in zip(found, states):
        if state.code != mlflow_schema.UNREACHABLE:
            with mlflow_schema.connect(database) as cursor:
                rows.update(upgrade_look.counted(cursor, database.name))
    return {
        "code": mlflow_schema.verdict(states),
        "words": [state.text[:WORDS] for state in states if state.code != mlflow_schema.OK],
        "rows": rows,
    }


def main():
    """Write the answer; return the exit code: 0 where there is one, whatever it says."""
    answer = {"version": importlib.metadata.version("mlflow"), "rows": {}}
    try:
        answer.update(look(dict(os.environ)))
    except mlflow_schema.SchemaError as error:
        answer.update(code=error.code, words=[str(error)[:WORDS]])
    Path(os.environ.get("TERMINATION_LOG", "/dev/termination-log")).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
