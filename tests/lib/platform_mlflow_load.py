"""MLflow's own client in a process of its own, which uses a platform while something is done to it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from lib import platform_mlflow_client


class MlflowClient:
    """It logs metrics and artifacts with its default retries until it is asked for the result, or the test ends it."""

    def __init__(self, platform):
        self.result = None
        program, self.log = platform.scratch / "client.py", platform.scratch / "client.log"
        program.write_text(Path(platform_mlflow_client.__file__).read_text(encoding="utf-8"))
        environment = {
            "MLFLOW_TRACKING_URI": platform.url,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": platform.secret("mlflow_admin_password"),
            "MLFLOW_TRACKING_SERVER_CERT_PATH": platform.ca,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # a bar for each file that is read back
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [platform.python("mlflow"), program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": "/usr/bin:/bin", "HOME": str(platform.scratch), "LANG": "C.UTF-8"},
                cwd=platform.scratch,
            )
        self.process.stdin.write(json.dumps(environment) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "started\n", self.log.read_text()[-2000:]

    def finish(self):
        """Let it end its calls and read back what was acknowledged; return what it found."""
        if self.result is None:
            out, _unused = self.process.communicate(timeout=400)
            self.result = json.loads(out)
        return self.result

    def during(self, kind, start, end):
        """Return the seconds of the calls of `kind` that were under way between two times."""
        return [seconds for one, began, seconds in self.finish()["calls"] if one == kind and began < end and began + seconds > start]

    def end(self):
        """End it, whatever it does."""
        self.process.kill()
        self.process.communicate()
