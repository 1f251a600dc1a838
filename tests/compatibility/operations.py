"""What a user does with MLflow, asked of one server by the client that runs this program; prints {operation: words} as JSON, a line each.

    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 PYTHON-OF-A-CLIENT operations.py

The words are "ok", "absent" where this client has no such operation, "not reached" where one failed that it needs, or the client's own. It
runs with every MLflow from 1.28 on, and so with Python 3.8.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import tempfile
import uuid

import mlflow
import pandas
from mlflow.tracking import MlflowClient

MAJOR = int(mlflow.__version__.split(".")[0])
TEXT = "kept through the proxy\n"
WORDS = 160


class Absent(Exception):
    """This client has no such operation."""


class Echo(mlflow.pyfunc.PythonModel):
    """The smallest model: it gives back what it gets."""

    def predict(self, context, model_input, params=None):
        """Return the input."""
        return model_input


def check(condition, words):
    """Raise AssertionError with `words` where something that was read is not what was written."""
    if not condition:
        raise AssertionError(words)


class User:
    """Does one thing after the other; each method is an operation, and leaves what the next ones need."""

    def __init__(self, directory):
        """Work in a directory of its own, under names of its own."""
        self.directory, self.name = directory, "compatibility-" + uuid.uuid4().hex[:8]
        self.client = MlflowClient()
        self.experiment_id = self.run = self.version = self.model = None

    def experiment(self):
        """Create an experiment."""
        self.experiment_id = self.client.create_experiment(self.name)
        check(self.client.get_experiment_by_name(self.name).experiment_id == self.experiment_id, "another experiment has its name")

    def start(self):
        """Start a run."""
        self.run = mlflow.start_run(experiment_id=self.experiment_id)

    def log(self):
        """Log parameters, metrics and a tag."""
        mlflow.log_params({"depth": 3, "kind": "tiny"})
        mlflow.log_metrics({"score": 0.75}, step=1)
        mlflow.log_metric("score", 0.875, step=2)
        mlflow.set_tag("owner", "compatibility")

    def artifact(self):
        """Log an artifact through the server's proxy."""
        path = os.path.join(self.directory, "note.txt")
        with open(path, "w") as stream:
            stream.write(TEXT)
        check(self.run.info.artifact_uri.startswith("mlflow-artifacts:"), "artifacts do not go through the proxy")
        mlflow.log_artifact(path)

    def log_model(self):
        """Log a model."""
        where = {"name": "model"} if MAJOR >= 3 else {"artifact_path": "model"}
        self.model = mlflow.pyfunc.log_model(python_model=Echo(), pip_requirements=["mlflow"], **where)

    def end(self):
        """End the run."""
        mlflow.end_run()
        check(self.client.get_run(self.run.info.run_id).info.status == "FINISHED", "the run is not finished")

    def read(self):
        """Read the run back."""
        found = self.client.get_run(self.run.info.run_id).data
        check(found.params == {"depth": "3", "kind": "tiny"}, f"other parameters: {found.params}")
        check(found.metrics == {"score": 0.875}, f"other metrics: {found.metrics}")
        check(found.tags.get("owner") == "compatibility", "the tag is missing")
        history = self.client.get_metric_history(self.run.info.run_id, "score")
        check([one.value for one in history] == [0.75, 0.875], "another history of the metric")

    def download(self):
        """List the artifacts, and read one back."""
        check("note.txt" in [one.path for one in self.client.list_artifacts(self.run.info.run_id)], "the artifact is not listed")
        path = mlflow.artifacts.download_artifacts(run_id=self.run.info.run_id, artifact_path="note.txt", dst_path=self.directory)
        with open(path) as stream:
            check(stream.read() == TEXT, "the artifact is another one")

    def load_model(self):
        """Load the model, and use it."""
        data = pandas.DataFrame({"x": [1, 2]})
        check(mlflow.pyfunc.load_model(self.model.model_uri).predict(data).equals(data), "the model answers something else")

    def search(self):
        """Search runs."""
        found = self.client.search_runs([self.experiment_id], "metrics.score > 0.8 and params.kind = 'tiny'")
        check([one.info.run_id for one in found] == [self.run.info.run_id], f"{len(found)} runs were found")

    def experiments(self):
        """List experiments."""
        ask = getattr(self.client, "search_experiments", None) or self.client.list_experiments
        check(self.experiment_id in [one.experiment_id for one in ask()], "the experiment is not listed")

    def register(self):
        """Register a version of a model."""
        if self.model:
            self.version = mlflow.register_model(self.model.model_uri, self.name).version
        else:
            # also where no model could be logged
            self.client.create_registered_model(self.name)
            source = self.run.info.artifact_uri + "/model"
            self.version = self.client.create_model_version(self.name, source, self.run.info.run_id).version
        check(self.client.get_model_version(self.name, self.version).name == self.name, "another model")

    def models(self):
        """Search registered models."""
        found = self.client.search_registered_models(f"name = '{self.name}'")
        check([one.name for one in found] == [self.name], f"{len(found)} models were found")

    def alias(self):
        """Give a version of a model an alias (MLflow 2.3 and newer)."""
        if not hasattr(self.client, "set_registered_model_alias"):
            raise Absent
        self.client.set_registered_model_alias(self.name, "champion", self.version)
        check(self.client.get_model_version_by_alias(self.name, "champion").version == self.version, "it is of another version")

    def stage(self):
        """Move a version of a model to a stage, as was done before there were aliases."""
        if not hasattr(self.client, "transition_model_version_stage"):
            raise Absent
        self.client.transition_model_version_stage(self.name, self.version, "Staging")
        check(self.client.get_model_version(self.name, self.version).current_stage == "Staging", "it is in another stage")

    def trace(self):
        """Log a trace, and find it (MLflow 2.14 and newer)."""
        if not hasattr(mlflow, "start_span") or not hasattr(self.client, "search_traces"):
            raise Absent
        mlflow.set_experiment(experiment_id=self.experiment_id)
        with mlflow.start_span(name="compatibility") as span:
            span.set_inputs({"x": 1})
        if hasattr(mlflow, "flush_trace_async_logging"):
            mlflow.flush_trace_async_logging()
        place = "locations" if "locations" in inspect.signature(self.client.search_traces).parameters else "experiment_ids"
        found = self.client.search_traces(**{place: [self.experiment_id]})
        check(len(found) == 1, f"{len(found)} traces were found")


# in this order; each with the one that it needs
OPERATIONS = {
    "experiment": "",
    "start": "experiment",
    "log": "start",
    "artifact": "start",
    "log_model": "start",
    "end": "start",
    "read": "log",
    "download": "artifact",
    "load_model": "log_model",
    "search": "log",
    "experiments": "experiment",
    "register": "start",
    "models": "register",
    "alias": "register",
    "stage": "register",
    "trace": "experiment",
}


def words(problem):
    """Return the client's own words without what differs from run to run."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    # of a request that was tried again and again the last reason tells
    text = re.sub(r"Max retries exceeded with url: \S+ \(Caused by (.*)\)", r"Max retries exceeded: \1", text)
    text = re.sub(r"https?://127\.0\.0\.1:\d+|127\.0\.0\.1:\d+|host='127\.0\.0\.1', port=\d+", "SERVER", text)
    text = re.sub(r"\b(?:[mr]-)?[0-9a-f]{32}\b|compatibility-[0-9a-f]{8}", "ID", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", re.sub(re.escape(tempfile.gettempdir()) + r"[^\s'\"]*", "FILE", text))
    text = f"{type(problem).__name__}: {text}"
    return text if len(text) <= WORDS else text[: WORDS - 3] + "..."


def done(user, name):
    """Do one operation; return its words."""
    try:
        getattr(user, name)()
    except Absent:
        return "absent"
    except Exception as problem:
        return words(problem)
    return "ok"


def main():
    """Do everything, also after something has failed."""
    said = {}
    with tempfile.TemporaryDirectory() as directory:
        user = User(directory)
        for name, needed in OPERATIONS.items():
            said[name] = done(user, name) if said.get(needed, "ok") == "ok" else "not reached"
            sys.stdout.write("\n" + json.dumps({name: said[name]}) + "\n")
            sys.stdout.flush()
    # without what a client does at its end: one that has traces left would try for minutes
    os._exit(0)


if __name__ == "__main__":
    main()
