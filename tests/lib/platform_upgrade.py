"""A platform that is upgraded, with what was written to it before: runs with artifacts, a registered model with an alias, and a user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from lib.platform import PORTS, Platform, remove_user, user_exists
from lib.platform_journal import API, missing, write

# of both substrates; roles/local_runtime/files has a lock file of each
OLD, NEW = "3.16.0", "3.17.2"
USER = {"username": "upgrade-user", "password": "a password of a user"}


class Upgraded:
    """A platform that is upgraded, with what was written to it. A class of a substrate adds journal() and upgrade()."""

    def __init__(self, platform):
        self.platform, self.runs = platform, []

    def fill(self):
        """Write runs, a model and a user."""
        http = self.platform.http()
        self.runs += [write(http, f"before-{number}", os.urandom(5000)) for number in range(5)]
        http.json("POST", f"{API}/registered-models/create", {"name": "a-model"})
        source = f"mlflow-artifacts:/0/{self.runs[0]['id']}/artifacts"
        http.json("POST", f"{API}/model-versions/create", {"name": "a-model", "source": source, "run_id": self.runs[0]["id"]})
        http.json("POST", f"{API}/registered-models/alias", {"name": "a-model", "alias": "champion", "version": "1"})
        http.json("POST", f"{API}/users/create", USER)

    def complete(self, version):
        """See that `version` runs with everything that was written, and that a verification passes."""
        http = self.platform.http()
        status, _headers, words = http("GET", "/version")
        assert (status, words.decode()) == (200, version)
        assert missing(self.platform, self.runs) == []
        found = http.json("GET", f"{API}/registered-models/alias?name=a-model&alias=champion")
        assert found["model_version"]["run_id"] == self.runs[0]["id"]
        user = self.platform.http(login=tuple(USER.values()))
        assert user("GET", f"{API}/experiments/search?max_results=1")[0] == 200
        self.verify()

    def verify(self):
        """See that the platform proves itself."""
        self.platform.run("playbooks/verify.yml").ok()


class OnHost(Upgraded):
    """One on a host."""

    def journal(self):
        return json.loads((self.platform.data_dir / "upgrade" / "journal.json").read_text())

    def upgrade(self, **variables):
        """Upgrade, and return the run."""
        return self.platform.run("playbooks/upgrade.yml", extra={"mlflow_version": NEW, **variables})


@contextlib.contextmanager
def old_on_host(name="mlops-test", **variables):
    """Give a platform of its own (OnHost) with the older MLflow and data; it and its backups are gone afterwards."""
    had_user = user_exists()
    platform = Platform.new(PORTS + 200, name)
    platform.variables.update(mlflow_version=OLD, **variables)
    try:
        upgraded = OnHost(platform.install())
        upgraded.fill()
        yield upgraded
    finally:
        platform.reset()
        shutil.rmtree(f"{platform.data_dir}-backup", ignore_errors=True)
        if not had_user:
            remove_user()
