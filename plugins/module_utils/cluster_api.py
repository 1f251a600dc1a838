# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to a Kubernetes API server: one call each, plain dictionaries, and errors that say what to do."""

from __future__ import annotations

import contextlib
import json
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from ansible_collections.mlops.platform.plugins.module_utils.cluster import ClusterError, configuration, source

CONNECT_TIMEOUT = 5  # seconds; a server that is up accepts at once
READ_TIMEOUT = 30  # seconds; admission webhooks may take that long
RETRIES = 2  # of what the server cannot have acted on, and of 429 and 503 where it says when


def namespaced(namespace, resource, name=None, group="", version="v1"):
    """Return the path of a namespaced resource, of one object with `name`."""
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    path = f"{base}/namespaces/{quote(namespace, safe='')}/{resource}"
    return f"{path}/{quote(name, safe='')}" if name else path


class Cluster:
    """A way to one API server. Raises ClusterError when the options cannot work; sends nothing by itself."""

    def __init__(self, params):
        self.source = source(params)
        self.configuration = configuration(params)
        self.server = self.configuration.host
        self.requests = 0
        self.time = 0.0  # of the last answer, by the server's clock, which the times in its objects are of
        self._impersonate = (params.get("impersonate_user"), params.get("impersonate_groups") or [])
        self._pool = None

    def headers(self):
        """Return the headers that authenticate a request, as a list: impersonation repeats one of them."""
        settings = self.configuration
        found = [(one["key"], one["value"]) for one in settings.auth_settings().values() if one["in"] == "header" and one["value"]]
        if not found and settings.username and settings.password:
            found.append(("authorization", settings.get_basic_auth_token()))
        user, groups = self._impersonate
        if user:
            found.append(("Impersonate-User", user))
        return found + [("Impersonate-Group", group) for group in groups]

    def get(self, what, path, **query):
        """Return the object at `path`; see call()."""
        return self.call(what, "GET", path, query)

    def find(self, what, path, **query):
        """Return the object at `path`, or None where there is none; see call()."""
        try:
            return self.call(what, "GET", path, query)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def call(self, what, method, path, query=None, body=None, accept="application/json, */*"):
        """Send one request and return the answer: a dict, or a text where the server does not answer in JSON.

        Raises ClusterError that begins with "cannot `what`".
        """
        response = self._send(what, method, path, query, body, accept)
        with contextlib.suppress(TypeError, ValueError):
            self.time = parsedate_to_datetime(response.headers.get("date")).timestamp()
        text = response.data.decode("utf-8", "replace")
        answer = None
        if "json" in response.headers.get("content-type", ""):
            try:
                answer = json.loads(text)
            except ValueError:
                answer = None
        if response.status < 300:
            return text if answer is None else answer
        status = answer if isinstance(answer, dict) else {}
        message = status.get("message") or ("" if status else text.strip()[:500]) or f"HTTP {response.status}"
        reason = status.get("reason") or ""
        raise ClusterError(f"cannot {what}: {message}", self._remedy(response.status, message), response.status, reason)

    def _send(self, what, method, path, query, body, accept):
        import urllib3
        from kubernetes.client.rest import RESTClientObject
        from urllib3._collections import HTTPHeaderDict

        if self._pool is None:
            try:
                self._pool = RESTClientObject(self.configuration).pool_manager
            except (OSError, ValueError) as error:  # a CA file or a client certificate that is none
                raise ClusterError(f"cannot use the TLS files of {self.source}: {error}", "set ca_cert, client_cert, client_key") from None
        headers = HTTPHeaderDict()
        for name, value in [("Accept", accept), ("User-Agent", "mlops.platform"), *self.headers()]:
            headers.add(name, value)
        if body is not None:
            headers.add("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        pairs = [(key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in (query or {}).items()]
        url = self.server + path + ("?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs) if pairs else "")
        self.requests += 1
        try:
            return self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
                retries=urllib3.Retry(RETRIES, backoff_factor=0.3, redirect=False, raise_on_status=False),
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"cannot {what}: {self._unreachable(error)}", self._connection_remedy(error), reason="Unreachable") from None

    def _unreachable(self, error):
        cause = getattr(error, "reason", None) or error
        words = str(cause).rsplit(": ", 1)[-1] if "Errno" in str(cause) else str(cause)
        return f"the server {self.server} of {self.source} does not answer as it should: {words}"

    def _connection_remedy(self, error):
        words = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in words or "certificate verify failed" in words:
            return "set ca_cert to the certificate of the authority that signed the server's, or check that the address is the right one"
        if "alert" in words and "certificate" in words:
            return "the client certificate is not accepted (expired?): get a new kubeconfig"
        return "check that the cluster is up, and that its address, the firewall and the proxy are right"

    def _remedy(self, status, message):
        """Return what to do about an answer that is an error."""
        if status == 401 or "system:anonymous" in message:
            return f"the server does not accept the credentials of {self.source} (expired?): log in again, or get a new kubeconfig"
        if "exceeded quota" in message:
            return "raise the namespace's ResourceQuota, or lower replicas, requests and limits"
        if "violates PodSecurity" in message or "unable to validate against any security context constraint" in message:
            return "the namespace's security policy refuses this pod: check mlops_namespace and its labels"
        if status == 403:
            return "ask the cluster's administrator for this permission"
        return ""
