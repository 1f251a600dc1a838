# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small client of MLflow's REST API.

    client = MlflowClient(MlflowConnection(module.params))
    run = client.call("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id})["run"]

Paths are written without the static prefix: the client adds it.
"""

from __future__ import annotations

import base64
import json as jsonlib
import re
from urllib.parse import quote, urlencode

from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import HttpTransport, MlflowError, plain_words

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


class MlflowClient:
    """Requests to one server over one kept connection."""

    def __init__(self, connection, transport=None):
        """Take an MlflowConnection; tests may give a transport of their own."""
        self.connection = connection
        self.transport = transport or HttpTransport(
            connection.scheme, connection.host, connection.port, connection.timeout, connection.context
        )

    def close(self):
        """Close the kept connection."""
        self.transport.close()

    def call(self, method, path, *, json=None, params=None):
        """Send one API request and return the parsed JSON answer; an empty answer is {}.

        Raises MlflowError for no answer, for a status other than 2xx, and for a success that is not a JSON object.
        """
        body = None if json is None else jsonlib.dumps(json).encode("utf-8")
        response = self.request(method, path, body=body, content_type="application/json" if json is not None else None, params=params)
        if not response.body.strip():
            return {}
        try:
            answer = jsonlib.loads(response.text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise MlflowError("not_json", self._scrub(plain_words(response.text)), status_code=response.status, headers=response.headers)
        return answer

    def request(self, method, path, *, body=None, content_type=None, params=None, unprefixed=False):
        """Send one request with a body of bytes and return the Response; raise MlflowError as call() does, but for the body's form.

        With unprefixed, the static prefix is left out: MLflow serves /metrics without it.
        """
        base = self.connection.root_path if unprefixed else self.connection.base_path
        target = base + quote(path, safe="/:@!$&'()*+,;=~-._")
        if params:
            target += "?" + urlencode(params)
        try:
            response = self.transport.request(method, target, self._headers(content_type), body)
        except MlflowError as exc:
            exc.message = self._scrub(exc.message)
            raise
        if not 200 <= response.status < 300:
            raise self._http_error(response)
        return response

    def pages(self, method, path, key, *, json=None, params=None):
        """Yield the items under `key` of every page of a search, following next_page_token."""
        token = None
        while True:
            extra = {"page_token": token} if token else {}
            if method == "GET":
                answer = self.call(method, path, params={**(params or {}), **extra})
            else:
                answer = self.call(method, path, json={**(json or {}), **extra})
            yield from answer.get(key, [])
            token = answer.get("next_page_token")
            if not token:
                return

    def _headers(self, content_type):
        headers = {"Accept": "application/json", "User-Agent": "mlops.platform"}
        if content_type:
            headers["Content-Type"] = content_type
        if self.connection.host_header:
            headers["Host"] = self.connection.host_header
        if self.connection.authentication == "basic":
            # UTF-8, as MLflow's client sends it and its Flask routes read it
            pair = f"{self.connection.username}:{self.connection.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        elif self.connection.authentication == "token":
            headers["Authorization"] = f"Bearer {self.connection.token}"
        return headers

    def _http_error(self, response):
        """Return the MlflowError of an answer: MLflow's {error_code, message}, FastAPI's {detail}, or a page's words."""
        error_code, message = None, None
        try:
            answer = jsonlib.loads(response.text)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            error_code = answer.get("error_code")
            message = answer.get("message") or answer.get("detail")
        if isinstance(message, str):
            # SQLAlchemy adds the statement with its values to a database's words (a password's hash, for one), and a link
            message = re.split(r"\s*(?:\[SQL:|\(Background on this error)", message)[0]
        if 300 <= response.status < 400:
            # without its query, which may carry a login's state
            message = f"redirects to {response.headers.get('location', 'nowhere').partition('?')[0]}"
        message = plain_words(message if isinstance(message, str) else response.text) or f"HTTP {response.status} with an empty body"
        return MlflowError("http", self._scrub(message), status_code=response.status, error_code=error_code, headers=response.headers)

    def _scrub(self, text):
        for secret in self.connection.secrets:
            text = text.replace(secret, "********")
        return text
