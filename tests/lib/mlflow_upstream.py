"""Print what `mlflow server OPTIONS` of this Python's MLflow would execute, as JSON, without starting anything.

    mlflow_upstream.py --app-name basic-auth --host 127.0.0.1 --port 5000 ...

Run it with the Python of an MLflow environment. The upstream command line itself runs; only those functions are replaced that execute
the server, open the backend store, check its trace rollups and bootstrap basic auth (the last three would need the databases). "command"
is the argument list, "env" what upstream adds to or changes in the environment, "version" MLflow's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys


class Process:
    """Stands for the server's process: it has ended already, without an error."""

    pid = 0

    def poll(self):
        """Return the exit code."""
        return 0

    def wait(self, *_args):
        """Return the exit code."""
        return 0

    def send_signal(self, _number):
        """Take no notice."""


def upstream(arguments):
    """Return what the command line with `arguments` would execute, as the dict that is printed."""
    before, caught = dict(os.environ), {}
    import mlflow
    import mlflow.cli
    import mlflow.server
    import mlflow.server.handlers
    import mlflow.tracing.trace_rollup_service as rollup

    def execute(command, *_args, extra_env=None, **_options):
        caught["command"] = list(command)
        after = {**os.environ, **(extra_env or {})}
        caught["env"] = {name: value for name, value in sorted(after.items()) if before.get(name) != value}
        return Process()

    for module, name, replacement in (
        (mlflow.server, "_exec_cmd", execute),
        (mlflow.server, "_bootstrap_basic_auth", lambda *_args: None),
        (mlflow.server.handlers, "initialize_backend_stores", lambda *_args, **_options: None),
        (rollup, "validate_sql_trace_rollup_startup", lambda *_args, **_options: None),
    ):
        # a function that upstream renamed must not be replaced in vain: the real one would run
        assert hasattr(module, name), f"MLflow {mlflow.__version__} has no {module.__name__}.{name}: adapt this program"
        setattr(module, name, replacement)
    with contextlib.redirect_stdout(sys.stderr):
        mlflow.cli.cli.main(args=["server", *arguments], standalone_mode=False)
    return {**caught, "version": mlflow.__version__}


if __name__ == "__main__":
    print(json.dumps(upstream(sys.argv[1:])))
